/** Recommendations with their reasons; those behind the shown ones take the place of what is sent away. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { get, ProblemError } from "../api/client";
import type { Recommendations, Recommended } from "../api/types";
import { itemPage, kindOf, named } from "../format";
import { Cover } from "../parts/Cover";
import { Icon } from "../parts/Icon";
import { PageHead } from "../parts/PageHead";
import { AsOf, Badge, Empty, Loaded, SkeletonRows } from "../parts/states";
import { useFeedback, type Feedback } from "./useFeedback";

const SHOWN = 16;
const ASKED = 40;

const RUNGS: Record<Recommendations["rung"], string> = {
  personal: "from your own listening",
  trending: "what everybody plays now",
  popular: "what everybody plays",
};

/** What no model that learns from listens proposed: a place given to something seldom played, or to something nobody played. */
const BADGES: Record<string, string> = { exploration: "try", content: "new" };

export function ForYou({ userId }: { userId: string }) {
  const answer = useQuery({
    queryKey: ["recommend", userId],
    queryFn: ({ signal }) => get<Recommendations>("/recommend", { user_id: userId, k: ASKED }, signal),
    // A list that changes by itself under the hand is worse than one that is a minute old.
    staleTime: Infinity,
  });
  const { data } = answer;
  return (
    <section aria-label="Recommendations" className="for-you">
      <PageHead
        title="For you"
        below={
          data ? (
            <AsOf time={data.as_of} degraded={data.degraded}>
              <span>{RUNGS[data.rung]}</span>
            </AsOf>
          ) : (
            <p className="as-of">&nbsp;</p>
          )
        }
      >
        <button type="button" className="button" onClick={() => void answer.refetch()} disabled={answer.isFetching}>
          <Icon name="redo" /> Renew
        </button>
      </PageHead>
      {answer.error instanceof ProblemError && answer.error.status === 503 && !data ? (
        <Empty title="Nothing to recommend yet">{answer.error.message}</Empty>
      ) : (
        <Loaded answer={answer} skeleton={<div className="recommendations"><SkeletonRows rows={SHOWN} /></div>}>
          {(found) => <List key={found.recommendation_id} found={found} userId={userId} />}
        </Loaded>
      )}
    </section>
  );
}

function List({ found, userId }: { found: Recommendations; userId: string }) {
  const feedback = useFeedback(userId, found.recommendation_id);
  const left = found.items.filter((item) => !feedback.hidden.has(item.item_id)).slice(0, SHOWN);
  if (left.length === 0) return <Empty title="Nothing is left here">Renew the list to see what comes next.</Empty>;
  return (
    <ol className="recommendations">
      {left.map((item) => (
        <Row key={item.item_id} item={item} feedback={feedback} />
      ))}
    </ol>
  );
}

function Row({ item, feedback }: { item: Recommended; feedback: Feedback }) {
  const name = named(item.item_id, item.name);
  const liked = feedback.liked.has(item.item_id);
  return (
    <li className="row recommendation">
      <Cover itemId={item.item_id} />
      <div className="row-text">
        <p className="row-name">
          <Link to={itemPage(item.item_id)}>{name}</Link>
        </p>
        <p className="row-more">
          {item.source in BADGES ? <Badge tone="plain">{BADGES[item.source]}</Badge> : null}
          {item.reason || kindOf(item.item_id)}
        </p>
      </div>
      <div className="row-tools">
        <button type="button" className="button button-icon" aria-label={`Play ${name}`} title="Play" onClick={() => feedback.play(item.item_id, name)}>
          <Icon name="play" />
        </button>
        <button
          type="button" className="button button-icon button-like" aria-label={`Like ${name}`} aria-pressed={liked} title="Like"
          onClick={() => feedback.like(item.item_id, name)}
        >
          <Icon name="like" filled={liked} />
        </button>
        <button type="button" className="button button-icon" aria-label={`Not this: ${name}`} title="Not this" onClick={() => feedback.hide(item.item_id, name)}>
          <Icon name="hide" />
        </button>
      </div>
    </li>
  );
}
