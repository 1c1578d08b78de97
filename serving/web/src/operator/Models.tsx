import type { Models as Found, Rated } from "../api/types";
import { ago, at, share, span } from "../format";
import { PageHead } from "../parts/PageHead";
import { AsOf, Badge, Empty, Loaded, SkeletonRows } from "../parts/states";
import { Table } from "../parts/Table";
import { useLooked } from "./useLooked";
import { Words } from "../parts/Words";

type Release = Found["releases"][number];

const TONES = { serves: "good", challenger: "plain", before: "plain", withdrawn: "bad", damaged: "bad", kept: "plain" } as const;

const RELEASES = [
  { head: "Version", cell: (row: Release) => <code>{row.version}</code>, names: true },
  { head: "When", cell: (row: Release) => (row.at ? <time dateTime={row.at} title={at(row.at)}>{ago(row.at)}</time> : "–") },
  { head: "Verdict", cell: (row: Release) => <Badge tone={TONES[row.verdict]}>{row.verdict}</Badge> },
  { head: "Why", cell: (row: Release) => (row.reason ? <Words>{row.reason}</Words> : "–") },
];

export default function Models() {
  const answer = useLooked<Found>("/operator/models");
  return (
    <section aria-label="Models" className="operator">
      <PageHead title="Models" below={<AsOf time={answer.data?.as_of} degraded={answer.data?.degraded} />} />
      <Loaded answer={answer} skeleton={<SkeletonRows rows={8} kind="line" />}>
        {(found) => (
          <>
            <section className="panel" aria-labelledby="leaderboard-title">
              <header className="panel-head">
                <h2 id="leaderboard-title">Leaderboard</h2>
                <span className="quiet">NDCG with its interval of 95 %</span>
              </header>
              {found.leaderboard.length ? <Leaderboard rated={found.leaderboard} champion={found.champion} /> : <Empty title="No model was rated yet">Materialize the recommender in Dagster.</Empty>}
            </section>
            <section className="panel" aria-labelledby="releases-title">
              <header className="panel-head">
                <h2 id="releases-title">Releases</h2>
                {found.champion && <span className="quiet">serving: {found.champion}</span>}
              </header>
              {found.releases.length ? <Table label="Releases" columns={RELEASES} rows={found.releases} id={(row) => `${row.version} ${row.at}`} /> : <Empty title="Nothing was released yet" />}
            </section>
          </>
        )}
      </Loaded>
    </section>
  );
}

const STEP = 0.05;

function Leaderboard({ rated, champion }: { rated: Rated[]; champion: string | null }) {
  const low = Math.max(0, Math.floor((Math.min(...rated.map((each) => each.low)) - 0.01) / STEP) * STEP);
  const high = Math.ceil((Math.max(...rated.map((each) => each.high)) + 0.01) / STEP) * STEP;
  const place = (value: number): number => ((value - low) / (high - low)) * 100;
  const columns = [
    { head: "Model", names: true, cell: (row: Rated) => <>{row.model}{champion?.endsWith(`-${row.model}`) && <> <Badge tone="good">serves</Badge></>}</> },
    { head: "NDCG", number: true, cell: (row: Rated) => row.ndcg.toFixed(3) },
    {
      head: `Interval, ${low.toFixed(2)} to ${high.toFixed(2)}`,
      cell: (row: Rated) => (
        <span className="interval">
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <line x1="0" x2="100" y1="5" y2="5" className="interval-line" />
            <rect x={place(row.low)} width={Math.max(0.5, place(row.high) - place(row.low))} y="3" height="4" className="interval-span" />
            <rect x={place(row.ndcg) - 0.6} width="1.2" y="0.5" height="9" className="interval-dot" />
          </svg>
          <span className="quiet">
            {row.low.toFixed(3)}–{row.high.toFixed(3)}
          </span>
        </span>
      ),
    },
    { head: "Recall", number: true, cell: (row: Rated) => row.recall?.toFixed(3) ?? "–" },
    { head: "Coverage", number: true, cell: (row: Rated) => (row.coverage === null ? "–" : share(row.coverage)) },
    { head: "Fitted in", number: true, cell: (row: Rated) => (row.seconds === null ? "–" : span(row.seconds)) },
  ];
  return <Table label="Leaderboard" columns={columns} rows={rated} id={(row) => row.model} />;
}
