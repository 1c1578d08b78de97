import { useState } from "react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { get } from "../api/client";
import type { Message, Messages as Found, Topics } from "../api/types";
import { at } from "../format";
import { Icon } from "../parts/Icon";
import { PageHead } from "../parts/PageHead";
import { Segmented } from "../parts/Segmented";
import { Empty, Loaded, SkeletonRows } from "../parts/states";
import { useLooked } from "./useLooked";

const PAGE = 20;
/** Until the partitions are known as well: what stands below them must not move. */
const WAITING = { data: undefined, error: null, refetch: () => undefined };

export default function Messages() {
  const { topic = "" } = useParams();
  const [partition, setPartition] = useState("all");
  const topics = useLooked<Topics>("/operator/topics");
  const partitions = topics.data?.topics.find((each) => each.topic === topic)?.partitions ?? 0;
  const answer = useInfiniteQuery({
    queryKey: ["messages", topic, partition],
    queryFn: ({ pageParam, signal }) =>
      get<Found>(`/operator/topics/${encodeURIComponent(topic)}/messages`, { limit: PAGE, partition: partition === "all" ? null : partition, offset: pageParam }, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
  });
  return (
    <section aria-label="Messages" className="operator">
      <PageHead
        title={topic}
        below={
          <p className="as-of">
            <Link to="/operator/topics">all topics</Link> <span>newest first</span>
          </p>
        }
      >
        <button type="button" className="button" onClick={() => void answer.refetch()} disabled={answer.isFetching}>
          <Icon name="redo" /> Renew
        </button>
      </PageHead>
      <Loaded answer={topics.isPending ? WAITING : answer} skeleton={<SkeletonRows rows={8} kind="line" />}>
        {({ pages }) => (
          <>
            {partitions > 1 && (
              <Segmented
                label="Partition"
                value={partition}
                options={["all", ...Array.from({ length: partitions }, (_, number) => String(number))].map((value) => ({ value, label: value }))}
                onChange={setPartition}
              />
            )}
            <Letters messages={pages.flatMap((page) => page.messages)} />
          </>
        )}
      </Loaded>
      {answer.hasNextPage && (
        <button type="button" className="button more" onClick={() => void answer.fetchNextPage()} disabled={answer.isFetchingNextPage}>
          Show older
        </button>
      )}
    </section>
  );
}

function Letters({ messages }: { messages: Message[] }) {
  if (messages.length === 0) return <Empty title="Nothing is on this topic">A message is here as soon as it was sent.</Empty>;
  return (
    <ul className="letters" aria-label="Messages">
      {messages.map((message) => (
        <li key={`${message.partition} ${message.offset}`}>
          <details className="letter">
            <summary>
              <span className="letter-reason">
                {message.partition}/{message.offset}
              </span>
              <code className="letter-key">{message.key ?? "no key"}</code>
              <span className="letter-place quiet">{message.value ?? "nothing: the key was deleted"}</span>
              {message.timestamp && <time dateTime={message.timestamp}>{at(message.timestamp)}</time>}
            </summary>
            <pre tabIndex={0} aria-label="Value">{message.value === null ? "nothing: the key was deleted" : pretty(message.value)}</pre>
            {Object.keys(message.headers).length > 0 && (
              <pre tabIndex={0} aria-label="Headers">
                {Object.entries(message.headers)
                  .map(([name, value]) => `${name}: ${value ?? ""}`)
                  .join("\n")}
              </pre>
            )}
          </details>
        </li>
      ))}
    </ul>
  );
}

function pretty(value: string): string {
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}
