import { useDeferredValue, useEffect, useId, useRef } from "react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { get } from "../api/client";
import type { Search as Found } from "../api/types";
import { Cover } from "../parts/Cover";
import { Icon } from "../parts/Icon";
import { PageHead } from "../parts/PageHead";
import { Segmented } from "../parts/Segmented";
import { AsOf, Empty, Loaded, SkeletonRows } from "../parts/states";
import { KINDS, type Kind } from "./kinds";
import { itemPage } from "../format";

const SHOWN = 30;

export default function Search() {
  const [parameters, setParameters] = useSearchParams();
  const text = parameters.get("q") ?? "";
  const kind = (parameters.get("kind") ?? "all") as Kind;
  const asked = useDeferredValue(text.trim());
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const set = (name: string, value: string): void => {
    const next = new URLSearchParams(parameters);
    if (value && value !== "all") next.set(name, value);
    else next.delete(name);
    setParameters(next, { replace: true });
  };
  const answer = useQuery({
    queryKey: ["search", asked, kind],
    queryFn: ({ signal }) => get<Found>("/search", { q: asked, kind: kind === "all" ? null : kind, k: SHOWN }, signal),
    enabled: asked !== "",
    placeholderData: keepPreviousData,
  });
  return (
    <section aria-label="Search">
      <PageHead title="Search" below={answer.data && asked ? <AsOf time={answer.data.as_of} degraded={answer.data.degraded} /> : <p className="as-of">Artists, tracks and albums; a letter or two may be wrong.</p>}>
        <Segmented label="Kind" value={kind} options={KINDS} onChange={(value) => set("kind", value)} />
      </PageHead>
      <div className="search-field">
        <label htmlFor={id} className="unseen">
          A name, or nearly one
        </label>
        <Icon name="search" />
        <input
          id={id} ref={field} type="search" className="input" placeholder="A name, or nearly one" value={text} maxLength={100}
          autoComplete="off" spellCheck={false} onChange={(event) => set("q", event.target.value)}
        />
      </div>
      {asked === "" ? (
        <Empty title="What are you looking for?">Type the name of an artist, a track or an album.</Empty>
      ) : (
        <Loaded answer={answer} skeleton={<SkeletonRows rows={8} />}>
          {(found) => <Results found={found} asked={asked} />}
        </Loaded>
      )}
    </section>
  );
}

function Results({ found, asked }: { found: Found; asked: string }) {
  return (
    <>
      <p className="unseen" role="status">
        {found.items.length} found
      </p>
      {found.items.length === 0 ? (
        <Empty title={`Nothing is like “${asked}”`}>Try fewer letters, or another kind.</Empty>
      ) : (
        <ol className="results">
          {found.items.map((item) => (
            <li key={item.item_id} className="row">
              <Cover itemId={item.item_id} />
              <div className="row-text">
                <p className="row-name">
                  <Link to={itemPage(item.item_id)}>{item.name}</Link>
                </p>
                <p className="row-more">
                  {item.kind}
                  {item.artist_name ? ` by ${item.artist_name}` : ""}
                </p>
              </div>
              <span className="row-when" title="Likeness, 0 to 100">
                {Math.round(item.score)} %
              </span>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
