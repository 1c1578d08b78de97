import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { get, ProblemError } from "../api/client";
import type { Item as Found, Similar } from "../api/types";
import { itemPage, named } from "../format";
import { Cover } from "../parts/Cover";
import { Icon } from "../parts/Icon";
import { PageHead } from "../parts/PageHead";
import { AsOf, Empty, Loaded, SkeletonRows } from "../parts/states";
import { useWho } from "../session";
import { useFeedback } from "./useFeedback";

const SHOWN = 12;
const isAway = (error: Error | null): boolean => error instanceof ProblemError && [404, 503].includes(error.status);

export default function Item() {
  const [parameters] = useSearchParams();
  const itemId = parameters.get("id") ?? "";
  const path = encodeURIComponent(itemId);
  const answer = useQuery({ queryKey: ["item", itemId], queryFn: ({ signal }) => get<Found>(`/items/${path}`, undefined, signal) });
  const item = answer.data;
  const name = named(itemId, item?.name);
  return (
    <article>
      <div className="item-head">
        <Cover itemId={itemId} size="large" />
        <div>
          <PageHead title={name} below={<AsOf time={item?.as_of} degraded={item?.degraded} />} />
          {answer.error && isAway(answer.error) ? <p className="quiet">{answer.error.message}</p> : null}
          <Facts item={item} />
          <Actions itemId={itemId} name={name} />
        </div>
      </div>
      <SimilarItems key={itemId} itemId={itemId} />
    </article>
  );
}

function Facts({ item }: { item: Found | undefined }) {
  const facts: [string, React.ReactNode][] = [
    ["Kind", item?.kind],
    ["Artist", item?.artist_id ? <Link to={itemPage(item.artist_id)}>{named(item.artist_id, item.artist_name)}</Link> : null],
    ["Album", item?.album_id ? <Link to={itemPage(item.album_id)}>{named(item.album_id, item.album_name)}</Link> : null],
    ["Genre", item?.genre],
    ["Released", item?.release_date],
    ["From", item?.country],
  ];
  return (
    <dl className="facts">
      {facts.map(([label, value]) =>
        value ? (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

function Actions({ itemId, name }: { itemId: string; name: string }) {
  const { listener } = useWho();
  const feedback = useFeedback(listener ?? "");
  if (listener === null) return null;
  return (
    <div className="item-tools">
      <button type="button" className="button button-strong" onClick={() => feedback.play(itemId, name)}>
        <Icon name="play" /> Play
      </button>
      <button type="button" className="button button-like" aria-pressed={feedback.liked.has(itemId)} onClick={() => feedback.like(itemId, name)}>
        <Icon name="like" filled={feedback.liked.has(itemId)} /> Like
      </button>
      <button type="button" className="button" disabled={feedback.hidden.has(itemId)} onClick={() => feedback.hide(itemId, name)}>
        <Icon name="hide" /> Not this
      </button>
    </div>
  );
}

function SimilarItems({ itemId }: { itemId: string }) {
  const answer = useQuery({
    queryKey: ["similar", itemId],
    queryFn: ({ signal }) => get<Similar>(`/similar/${encodeURIComponent(itemId)}`, { k: SHOWN }, signal),
  });
  return (
    <section aria-labelledby="similar-title">
      <h2 id="similar-title">Played by the same listeners</h2>
      {isAway(answer.error) ? (
        <Empty title="Nothing is known to be like this">{answer.error?.message}</Empty>
      ) : (
        <Loaded answer={answer} skeleton={<SkeletonRows rows={6} />}>
          {({ items }) => (
            <ol className="results">
              {items.map((item) => (
                <li key={item.item_id} className="row">
                  <Cover itemId={item.item_id} />
                  <div className="row-text">
                    <p className="row-name">
                      <Link to={itemPage(item.item_id)}>{named(item.item_id, item.name)}</Link>
                    </p>
                    <p className="row-more">{item.reason}</p>
                  </div>
                </li>
              ))}
            </ol>
          )}
        </Loaded>
      )}
    </section>
  );
}
