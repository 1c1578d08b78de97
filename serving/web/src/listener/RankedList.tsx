/** A chart: place, movement, cover, name and a bar as long as the number beside it. */
import { Link } from "react-router";
import { count, itemPage } from "../format";
import { Cover } from "../parts/Cover";
import { Move } from "./Move";

export interface RankedRow {
  itemId: string;
  name: string;
  more: string;
  rank: number;
  before: number | null | undefined;
  value: number;
  told: string;
}

export function RankedList({ label, measure, rows, moves }: { label: string; measure: string; rows: RankedRow[]; moves: boolean }) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return (
    <ol className={`ranked ${moves ? "ranked-moves" : ""}`} aria-label={label}>
      {rows.map((row) => (
        <li key={row.itemId} className="row ranked-row">
          <span className="rank">{row.rank}</span>
          {moves && <Move rank={row.rank} before={row.before} />}
          <Cover itemId={row.itemId} size="small" />
          <div className="row-text">
            <p className="row-name">
              <Link to={itemPage(row.itemId)}>{row.name}</Link>
            </p>
            <p className="row-more">{row.more}</p>
          </div>
          <svg className="amount" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <rect className="amount-track" width="100" height="4" />
            <rect className="amount-bar" width={(row.value / most) * 100} height="4" />
          </svg>
          <p className="ranked-number">
            <span>
              {count(row.value)} {measure}
            </span>
            <span className="quiet">{row.told}</span>
          </p>
        </li>
      ))}
    </ol>
  );
}
