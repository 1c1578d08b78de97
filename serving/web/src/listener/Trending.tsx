import { useState } from "react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get } from "../api/client";
import type { Trending as Found } from "../api/types";
import { count, kindOf, named } from "../format";
import { PageHead } from "../parts/PageHead";
import { Segmented } from "../parts/Segmented";
import { AsOf, Empty, Loaded, SkeletonRows } from "../parts/states";
import { KINDS, type Kind } from "./kinds";
import { RankedList } from "./RankedList";

type Span = Found["window"];

const WINDOWS: readonly { value: Span; label: string }[] = [
  { value: "1h", label: "Last hour" },
  { value: "24h", label: "Last day" },
];
const SHOWN = 50;

export default function Trending() {
  const [span, setSpan] = useState<Span>("1h");
  const [kind, setKind] = useState<Kind>("all");
  const answer = useQuery({
    queryKey: ["trending", span, kind],
    queryFn: ({ signal }) => get<Found>("/trending", { window: span, kind: kind === "all" ? null : kind, k: SHOWN }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 10_000,
  });
  return (
    <section aria-label="Trending">
      <PageHead title="Trending" below={<AsOf time={answer.data?.as_of} degraded={answer.data?.degraded} />}>
        <Segmented label="Window" value={span} options={WINDOWS} onChange={setSpan} />
        <Segmented label="Kind" value={kind} options={KINDS} onChange={setKind} />
      </PageHead>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={12} />}>
        {({ items }) =>
          items.length ? (
            <RankedList
              label="Most played now"
              measure="plays"
              rows={items.map((item) => ({
                itemId: item.item_id,
                name: named(item.item_id, item.name),
                more: kindOf(item.item_id),
                rank: item.rank,
                // Ranks of the tick before are counted within a kind.
                before: kind === "all" ? undefined : item.previous_rank,
                value: item.events,
                told: `${count(item.listeners)} listening`,
              }))}
              moves={kind !== "all"}
            />
          ) : (
            <Empty title="Nothing was played in this window">The chart is counted anew every few seconds.</Empty>
          )
        }
      </Loaded>
    </section>
  );
}
