import { useState } from "react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { get, ProblemError } from "../api/client";
import type { Chart } from "../api/types";
import { fullDay, named, plural } from "../format";
import { Icon } from "../parts/Icon";
import { PageHead } from "../parts/PageHead";
import { Segmented } from "../parts/Segmented";
import { AsOf, Empty, Loaded, SkeletonRows } from "../parts/states";
import { RankedList } from "./RankedList";

const KINDS: readonly { value: Chart["kind"]; label: string }[] = [
  { value: "track", label: "Tracks" },
  { value: "artist", label: "Artists" },
];
const PAGE = 50;
const WEEK_MS = 7 * 86_400_000;

const moved = (week: string, by: number): string =>
  new Date(new Date(`${week}T00:00:00Z`).getTime() + by * WEEK_MS).toISOString().slice(0, 10);

export default function Charts() {
  const [kind, setKind] = useState<Chart["kind"]>("track");
  const [week, setWeek] = useState<string | null>(null);
  const answer = useInfiniteQuery({
    queryKey: ["charts", kind, week],
    queryFn: ({ pageParam, signal }) => get<Chart>("/charts", { kind, week, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next ?? null,
    placeholderData: keepPreviousData,
  });
  const first = answer.data?.pages[0];
  const none = answer.error instanceof ProblemError && answer.error.status === 404 ? answer.error : null;
  const shown = none ? week : (first?.week ?? week);
  return (
    <section aria-label="Charts">
      <PageHead title="Weekly charts" below={<AsOf time={first?.as_of} degraded={first?.degraded} />}>
        <div className="weeks" role="group" aria-label="Week">
          <button type="button" className="button button-icon" aria-label="The week before" disabled={!shown} onClick={() => shown && setWeek(moved(shown, -1))}>
            <Icon name="left" />
          </button>
          <span className="week" aria-live="polite">
            {shown ? `week of ${fullDay(shown)}` : "newest week"}
          </span>
          <button type="button" className="button button-icon" aria-label="The week after" disabled={week === null} onClick={() => shown && setWeek(moved(shown, 1))}>
            <Icon name="right" />
          </button>
          {week !== null && (
            <button type="button" className="button button-quiet" onClick={() => setWeek(null)}>
              Newest
            </button>
          )}
        </div>
        <Segmented label="Kind" value={kind} options={KINDS} onChange={setKind} />
      </PageHead>
      {none ? (
        <Empty title="No chart of this week">{none.message}</Empty>
      ) : (
        <Loaded answer={answer} skeleton={<SkeletonRows rows={12} />}>
          {({ pages }) => (
            <RankedList
              label="Most played of the week"
              measure="plays"
              moves
              rows={pages.flatMap((page) => page.items).map((item) => ({
                itemId: item.item_id,
                name: named(item.item_id, item.name),
                more: item.artist_name ?? kind,
                rank: item.rank,
                before: item.previous_rank,
                value: item.listens,
                told: plural(item.listeners, "listener"),
              }))}
            />
          )}
        </Loaded>
      )}
      {answer.hasNextPage && (
        <button type="button" className="button more" onClick={() => void answer.fetchNextPage()} disabled={answer.isFetchingNextPage}>
          Show more
        </button>
      )}
    </section>
  );
}
