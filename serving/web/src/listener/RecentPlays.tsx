import { Link } from "react-router";
import { ProblemError } from "../api/client";
import type { Play } from "../api/types";
import { ago, at, itemPage, named } from "../format";
import { Cover } from "../parts/Cover";
import { Badge, Empty, Loaded, SkeletonRows } from "../parts/states";
import { useNow } from "../useNow";
import { playKey, useLivePlays } from "./useLivePlays";

const NOTHING = <Empty title="Nothing played yet">A play is here the moment it happens.</Empty>;

export function RecentPlays({ userId }: { userId: string }) {
  const { answer, live } = useLivePlays(userId);
  return (
    <section className="recent panel" aria-labelledby="recent-title">
      <header className="panel-head">
        <h2 id="recent-title">Recent plays</h2>
        {answer.data?.degraded && <Badge tone="late">degraded</Badge>}
        <span className={`live ${live ? "live-on" : ""}`} role="status">
          {live ? "live" : "not live"}
        </span>
      </header>
      {answer.error instanceof ProblemError && answer.error.status === 404 ? (
        NOTHING
      ) : (
        <Loaded answer={answer} skeleton={<SkeletonRows rows={10} />}>
          {({ plays }) =>
            plays.length ? (
              <ol className="plays" aria-label="Newest first">
                {plays.map((play) => (
                  <PlayRow key={playKey(play)} play={play} />
                ))}
              </ol>
            ) : (
              NOTHING
            )
          }
        </Loaded>
      )}
    </section>
  );
}

function PlayRow({ play }: { play: Play }) {
  const now = useNow();
  const name = named(play.item_id, play.name);
  return (
    <li className="row play">
      <Cover itemId={play.item_id} size="small" />
      <div className="row-text">
        <p className="row-name">
          <Link to={itemPage(play.item_id)}>{name}</Link>
        </p>
        {play.artist && play.artist !== name && <p className="row-more">{play.artist}</p>}
      </div>
      <time className="row-when" dateTime={play.played_at} title={at(play.played_at)}>
        {ago(play.played_at, now)}
      </time>
    </li>
  );
}
