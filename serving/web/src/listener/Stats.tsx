import { useMemo, useState } from "react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { get, ProblemError } from "../api/client";
import type { Stats as Found, TopItem } from "../api/types";
import { count, day, fullDay, itemPage, named, plural, share } from "../format";
import { BarPlot } from "../parts/BarPlot";
import { Cover } from "../parts/Cover";
import { PageHead } from "../parts/PageHead";
import { Segmented } from "../parts/Segmented";
import { AsOf, Empty, Loaded, SkeletonRows } from "../parts/states";
import { useWho } from "../session";

type Range = "week" | "month" | "year" | "all";

const RANGES: readonly { value: Range; label: string }[] = [
  { value: "week", label: "Week" },
  { value: "month", label: "Month" },
  { value: "year", label: "Year" },
  { value: "all", label: "All" },
];
const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const WEEKDAYS_SHORT = WEEKDAYS.map((name) => name.slice(0, 3));
const DAY_MS = 86_400_000;
const DAYS_DRAWN = 400;

export default function Stats() {
  const { listener } = useWho();
  const [range, setRange] = useState<Range>("month");
  const answer = useQuery({
    queryKey: ["stats", listener, range],
    queryFn: ({ signal }) => get<Found>(`/users/${encodeURIComponent(listener ?? "")}/stats`, { range }, signal),
    enabled: listener !== null,
    placeholderData: keepPreviousData,
  });
  const unknown = answer.error instanceof ProblemError && [404, 503].includes(answer.error.status) ? answer.error : null;
  return (
    <section aria-label="Listening">
      <PageHead
        title="Listening"
        below={
          <AsOf time={answer.data?.as_of} degraded={answer.data?.degraded}>
            {answer.data && <span>days of {answer.data.zone}</span>}
          </AsOf>
        }
      >
        <Segmented label="Range" value={range} options={RANGES} onChange={setRange} />
      </PageHead>
      {listener === null ? (
        <Empty title="Whose listening?">Choose a listener at the top of the page.</Empty>
      ) : unknown && !answer.data ? (
        <Empty title="Nothing to count yet">{unknown.message}</Empty>
      ) : (
        <Loaded answer={answer} skeleton={<SkeletonRows rows={6} kind="tile" />}>
          {(stats) => (stats.listens ? <Numbers stats={stats} /> : <Empty title="Nothing was played in this range">A longer one may hold something.</Empty>)}
        </Loaded>
      )}
    </section>
  );
}

function Numbers({ stats }: { stats: Found }) {
  const days = useMemo(() => everyDay(stats), [stats]);
  const hours = useMemo(() => stats.hours.map((_, hour) => `${String(hour).padStart(2, "0")}:00`), [stats]);
  const best = days.values.indexOf(Math.max(...days.values));
  const hour = stats.hours.indexOf(Math.max(...stats.hours));
  const weekday = stats.weekdays.indexOf(Math.max(...stats.weekdays));
  return (
    <>
      <dl className="figures">
        <Figure label="plays" value={count(stats.listens)} />
        <Figure label="hours" value={count(Math.round(stats.minutes / 6) / 10)} />
        <Figure label="artists" value={count(stats.artists)} />
        <Figure label="tracks" value={count(stats.tracks)} />
        <Figure label="skipped" value={share(stats.skips / stats.listens)} />
        <Figure label="recommended" value={share(stats.recommended / stats.listens)} />
      </dl>
      <div className="plots">
        <BarPlot
          title="By day" of="Day" measure="Plays" labels={days.labels} values={days.values}
          summary={`Most on ${days.labels[best] ?? "no day"}: ${plural(days.values[best] ?? 0, "play")}.`}
        />
        <BarPlot title="By hour" of="Hour" measure="Plays" labels={hours} values={stats.hours} summary={`Most between ${hours[hour] ?? ""} and ${String((hour + 1) % 24).padStart(2, "0")}:00.`} />
        <BarPlot title="By weekday" of="Weekday" measure="Plays" labels={WEEKDAYS} short={WEEKDAYS_SHORT} values={stats.weekdays} summary={`Most on a ${WEEKDAYS[weekday] ?? "day"}.`} />
      </div>
      <div className="tops">
        <Top title="Top artists" items={stats.top_artists} />
        <Top title="Top tracks" items={stats.top_tracks} />
      </div>
    </>
  );
}

/** The days between the first and the last with those without a play, the newest that fit. */
function everyDay(stats: Found): { labels: string[]; values: number[] } {
  const known = new Map(stats.days.map((each) => [each.day, each.listens]));
  const first = stats.first_day ?? stats.days[0]?.day ?? stats.last_day;
  const last = new Date(`${stats.last_day}T00:00:00Z`).getTime();
  const begin = Math.max(new Date(`${first}T00:00:00Z`).getTime(), last - (DAYS_DRAWN - 1) * DAY_MS);
  const dates: string[] = [];
  for (let time = begin; time <= last; time += DAY_MS) dates.push(new Date(time).toISOString().slice(0, 10));
  const named = dates.length > 300 ? fullDay : day;
  return { labels: dates.map(named), values: dates.map((date) => known.get(date) ?? 0) };
}

function Figure({ label, value }: { label: string; value: string }) {
  return (
    <div className="figure">
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Top({ title, items }: { title: string; items: TopItem[] }) {
  const most = Math.max(1, ...items.map((item) => item.listens));
  return (
    <section className="top">
      <h2>{title}</h2>
      <ol>
        {items.map((item) => (
          <li key={item.item_id} className="row">
            <Cover itemId={item.item_id} size="small" />
            <div className="row-text">
              <p className="row-name">
                <Link to={itemPage(item.item_id)}>{named(item.item_id, item.name)}</Link>
              </p>
              {item.artist_name && <p className="row-more">{item.artist_name}</p>}
              <svg className="amount" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <rect className="amount-bar" width={(item.listens / most) * 100} height="4" />
              </svg>
            </div>
            <span className="row-when">{plural(item.listens, "play")}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
