import { Link } from "react-router";
import type { Topics as Found } from "../api/types";
import { ago, count } from "../format";
import { PageHead } from "../parts/PageHead";
import { Empty, Loaded, SkeletonRows } from "../parts/states";
import { Table } from "../parts/Table";
import { useLooked } from "./useLooked";

type Topic = Found["topics"][number];

const COLUMNS = [
  { head: "Topic", cell: (row: Topic) => <Link to={`/operator/topics/${encodeURIComponent(row.topic)}`}>{row.topic}</Link>, names: true },
  { head: "Partitions", cell: (row: Topic) => count(row.partitions), number: true },
  { head: "Messages", cell: (row: Topic) => count(row.messages), number: true },
  { head: "Oldest", cell: (row: Topic) => (row.oldest ? ago(row.oldest) : "–") },
  { head: "Newest", cell: (row: Topic) => (row.newest ? ago(row.newest) : "–") },
];

export default function Topics() {
  const answer = useLooked<Found>("/operator/topics");
  return (
    <section aria-label="Topics" className="operator">
      <PageHead title="Topics" below={<p className="as-of">what the broker holds; a topic leads to its messages</p>} />
      <Loaded answer={answer} skeleton={<SkeletonRows rows={8} kind="line" />}>
        {({ topics }) => (topics.length ? <Table label="Topics" columns={COLUMNS} rows={topics} id={(row) => row.topic} /> : <Empty title="The broker has no topics" />)}
      </Loaded>
    </section>
  );
}
