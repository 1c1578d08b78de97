import type { Sources as Found } from "../api/types";
import { ago, at } from "../format";
import { PageHead } from "../parts/PageHead";
import { AsOf, Badge, Empty, Loaded, SkeletonRows } from "../parts/states";
import { Table } from "../parts/Table";
import { useLooked } from "./useLooked";
import { Words } from "../parts/Words";

type Source = Found["sources"][number];
type Gap = Found["gaps"][number];

const TONES = { ok: "good", silent: "late", recorded: "plain" } as const;

const SOURCES = [
  { head: "Source", cell: (row: Source) => row.source, names: true },
  { head: "State", cell: (row: Source) => <Badge tone={TONES[row.state]}>{row.state}</Badge> },
  { head: "Last event", cell: (row: Source) => (row.last_event_at ? ago(row.last_event_at) : "–") },
  { head: "In words", cell: (row: Source) => <Words>{row.sentence}</Words> },
];

const GAPS = [
  { head: "Source", cell: (row: Gap) => row.source, names: true },
  { head: "Listener", cell: (row: Gap) => row.user_id ?? "–" },
  { head: "From", cell: (row: Gap) => at(row.from) },
  { head: "Until", cell: (row: Gap) => at(row.until) },
  { head: "In words", cell: (row: Gap) => <Words>{row.sentence}</Words> },
];

export default function Sources() {
  const answer = useLooked<Found>("/operator/sources");
  return (
    <section aria-label="Sources" className="operator">
      <PageHead title="Sources" below={<AsOf time={answer.data?.as_of} degraded={answer.data?.degraded} />} />
      <Loaded answer={answer} skeleton={<SkeletonRows rows={8} kind="line" />}>
        {({ sources, gaps }) => (
          <>
            <section className="panel" aria-labelledby="health-title">
              <header className="panel-head">
                <h2 id="health-title">Health</h2>
              </header>
              {sources.length ? <Table label="Health of the sources" columns={SOURCES} rows={sources} id={(row) => row.source} /> : <Empty title="No source was asked yet">Collectors report here after their first round.</Empty>}
            </section>
            <section className="panel" aria-labelledby="gaps-title">
              <header className="panel-head">
                <h2 id="gaps-title">Gaps</h2>
              </header>
              {gaps.length ? <Table label="Gaps" columns={GAPS} rows={gaps} id={(row) => `${row.source} ${row.user_id ?? ""} ${row.from}`} /> : <Empty title="No gaps">Every source has brought what it should have.</Empty>}
            </section>
          </>
        )}
      </Loaded>
    </section>
  );
}
