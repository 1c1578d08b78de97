import { useState } from "react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { get } from "../api/client";
import type { DeadLetter, DeadLetters as Found } from "../api/types";
import { at, count, plural } from "../format";
import { PageHead } from "../parts/PageHead";
import { AsOf, Badge, Empty, Loaded, SkeletonRows } from "../parts/states";
import { Redrive } from "./Redrive";

export interface Choice {
  topic: string | null;
  reason: string | null;
}

const EVERYTHING: Choice = { topic: null, reason: null };
const PAGE = 50;

export default function DeadLetters() {
  const [choice, setChoice] = useState(EVERYTHING);
  const answer = useInfiniteQuery({
    queryKey: ["/operator/deadletters", choice],
    queryFn: ({ pageParam, signal }) => get<Found>("/operator/deadletters", { ...choice, limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
  });
  const first = answer.data?.pages[0];
  return (
    <section aria-label="Dead letters" className="operator">
      <PageHead title="Dead letters" below={<AsOf time={first?.as_of} degraded={first?.degraded} />}>
        <Redrive choice={choice} counts={first?.counts ?? []} done={() => void answer.refetch()} />
      </PageHead>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={8} />}>
        {({ pages }) => (
          <>
            <Counts counts={pages[0]?.counts ?? []} choice={choice} choose={setChoice} />
            <Letters letters={pages.flatMap((page) => page.deadletters)} />
          </>
        )}
      </Loaded>
      {answer.hasNextPage && (
        <button type="button" className="button more" onClick={() => void answer.fetchNextPage()} disabled={answer.isFetchingNextPage}>
          Show more
        </button>
      )}
    </section>
  );
}

function Counts({ counts, choice, choose }: { counts: Found["counts"]; choice: Choice; choose: (choice: Choice) => void }) {
  if (counts.length === 0) return null;
  const all = choice.topic === null && choice.reason === null;
  return (
    <ul className="chips" aria-label="By topic and reason">
      <li>
        <button type="button" className="chip" aria-pressed={all} onClick={() => choose(EVERYTHING)}>
          everything <b>{count(counts.reduce((sum, each) => sum + each.rows, 0))}</b>
        </button>
      </li>
      {counts.map(({ topic, reason, rows }) => (
        <li key={`${topic} ${reason}`}>
          <button type="button" className="chip" aria-pressed={choice.topic === topic && choice.reason === reason} onClick={() => choose({ topic, reason })}>
            {topic} · {reason} <b>{count(rows)}</b>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Letters({ letters }: { letters: DeadLetter[] }) {
  if (letters.length === 0) return <Empty title="No dead letters">Every message kept its contract.</Empty>;
  return (
    <ul className="letters" aria-label={plural(letters.length, "dead letter")}>
      {letters.map((letter) => (
        <li key={`${letter.topic} ${letter.partition} ${letter.offset}`}>
          <details className="letter">
            <summary>
              <span className="letter-reason">{letter.reason}</span>
              {letter.field && <code>{letter.field}</code>}
              <span className="letter-place">
                {letter.topic} <span className="quiet">{letter.partition}/{letter.offset}</span>
              </span>
              {letter.redriven && <Badge tone="good">redriven</Badge>}
              <time dateTime={letter.at}>{at(letter.at)}</time>
            </summary>
            <pre tabIndex={0} aria-label="The message as it came">{letter.raw}</pre>
          </details>
        </li>
      ))}
    </ul>
  );
}
