import type { Freshness as Fresh, Health, Ledger, Streams } from "../api/types";
import { ago, count } from "../format";
import { PageHead } from "../parts/PageHead";
import { Badge, Empty, Loaded, SkeletonRows, type Answer } from "../parts/states";
import { Table } from "../parts/Table";
import { Words } from "../parts/Words";
import { Freshness } from "./Freshness";
import { useLooked } from "./useLooked";

type Query = Streams["queries"][number];
type Totals = Ledger["topics"][string];

export default function Overview() {
  const freshness = useLooked<Fresh>("/freshness");
  const health = useLooked<Health>("/health");
  return (
    <section aria-label="Overview" className="operator">
      <PageHead title="Overview" below={<p className="as-of">asked again every 10 seconds</p>} />
      {/* How long the sentences are is not known before: what stands below them waits for them. */}
      {freshness.isPending || health.isPending ? (
        <SkeletonRows rows={14} kind="line" />
      ) : (
        <>
          <Freshness answer={freshness} />
          <Parts answer={health} />
          <StreamTable />
          <LedgerTable />
        </>
      )}
    </section>
  );
}

function Parts({ answer }: { answer: Answer<Health> }) {
  return (
    <section className="panel" aria-labelledby="parts-title">
      <header className="panel-head">
        <h2 id="parts-title">Parts</h2>
        {answer.data && <Badge tone={answer.data.status === "ok" ? "good" : "late"}>{answer.data.status}</Badge>}
      </header>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={2} kind="line" />}>
        {(health) => (
          <ul className="parts">
            {Object.entries(health.dependencies).map(([name, part]) => (
              <li key={name}>
                <span className={`dot dot-${part.state}`} aria-hidden="true" />
                <b>{name}</b> {part.state}
                {part.detail && <span className="quiet">{part.detail}</span>}
              </li>
            ))}
            <li>
              <span className={`dot dot-${health.spool.events ? "late" : "up"}`} aria-hidden="true" />
              <b>spool</b> {count(health.spool.events)} waiting
            </li>
            <li>
              <span className={`dot dot-${health.model.version && !health.model.error ? "up" : "late"}`} aria-hidden="true" />
              <b>model</b> {health.model.version ?? "none yet"}
              {health.model.error && <span className="quiet">{health.model.error}</span>}
            </li>
          </ul>
        )}
      </Loaded>
    </section>
  );
}

const LAG = [
  { head: "Query", cell: (row: Query) => row.query, names: true },
  { head: "Topic", cell: (row: Query) => row.topic ?? "–" },
  { head: "State", cell: (row: Query) => <Badge tone={row.halted ? "bad" : row.state === "running" ? "good" : "plain"}>{row.halted ? "halted" : row.state}</Badge> },
  { head: "Lag", cell: (row: Query) => (row.lag === null ? "–" : count(row.lag)), number: true },
  { head: "Last batch", cell: (row: Query) => (row.last_batch_at ? ago(row.last_batch_at) : "–") },
  { head: "In words", cell: (row: Query) => <Words>{row.sentence}</Words> },
];

function StreamTable() {
  const answer = useLooked<Streams>("/operator/streams");
  return (
    <section className="panel" aria-labelledby="streams-title">
      <header className="panel-head">
        <h2 id="streams-title">Streams</h2>
      </header>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={4} kind="line" />}>
        {({ queries }) =>
          queries.length ? (
            <Table label="Streams" columns={LAG} rows={queries} id={(row) => `${row.query} ${row.topic ?? ""}`} />
          ) : (
            <Empty title="No stream runs">Start them with the stack: music up.</Empty>
          )
        }
      </Loaded>
    </section>
  );
}

interface LedgerRow extends Totals {
  topic: string;
}

const LEDGER = [
  { head: "Topic", cell: (row: LedgerRow) => row.topic, names: true },
  { head: "Received", cell: (row: LedgerRow) => count(row.received), number: true },
  { head: "Stored", cell: (row: LedgerRow) => count(row.stored), number: true },
  { head: "Duplicate", cell: (row: LedgerRow) => count(row.duplicate), number: true },
  { head: "Dead letters", cell: (row: LedgerRow) => count(row.dead_lettered), number: true },
  { head: "Conflicts", cell: (row: LedgerRow) => count(row.event_id_conflicts), number: true },
  {
    head: "Balance",
    cell: (row: LedgerRow) => {
      const missing = row.received - row.stored - row.duplicate - row.dead_lettered;
      return missing ? <Badge tone="bad">{count(missing)} missing</Badge> : <Badge tone="good">balances</Badge>;
    },
  },
];

function LedgerTable() {
  const answer = useLooked<Ledger>("/ledger");
  return (
    <section className="panel" aria-labelledby="ledger-title">
      <header className="panel-head">
        <h2 id="ledger-title">Ledger</h2>
        <span className="quiet">received = stored + duplicate + dead letters</span>
      </header>
      <Loaded answer={answer} skeleton={<SkeletonRows rows={6} kind="line" />}>
        {({ topics }) => (
          <Table label="Ledger" columns={LEDGER} rows={Object.entries(topics).map(([topic, totals]) => ({ topic, ...totals }))} id={(row) => row.topic} />
        )}
      </Loaded>
    </section>
  );
}
