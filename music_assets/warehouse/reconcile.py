"""Compares lake, staged copies and marts by day, and names what differs.

Both sides reduce a row to the same 64 bits, the head of an MD5 over all of its columns, and a day to their sum: any
value that changed anywhere changes its day. Only days that differ are read again, event by event.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from music_assets.warehouse import watermark
from music_assets.warehouse.schema import identifier
from streaming.tables import Table, tables

if TYPE_CHECKING:
    import psycopg

    from streaming.lake import Lake

    Connection = psycopg.Connection[tuple[Any, ...]]

NAMED: Final = 20
"""Events that a difference names at most."""

_NULL, _BETWEEN, _ELEMENT = "\x01", "\x1e", "\x1f"
_EPOCH: Final = date(1970, 1, 1)
_HEAD: Final = "('x' || left(md5({}), 16))::bit(64)::bigint"
_LIST_BITS: Final = """(
    select case when {0} is not null then coalesce(string_agg(coalesce({1}, chr(1)), chr(31) order by place), '') end
    from unnest({0}) with ordinality as one (each, place)
)"""
_BITS: Final = "('x' || encode(float8send({}), 'hex'))::bit(64)::bigint::text"

Days = dict[date, tuple[int, int]]
"""Rows and sum of their hashes modulo 2**64, by day in UTC."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A day on which two places do not hold the same.

    Attributes:
        between: the two places, such as `lake and staging`.
        table: of the second place, such as `silver.events_listens`.
        day: in UTC; for a catalogue, of its last change.
        ids: events or items that differ, at most `NAMED` of them.
    """

    between: str
    table: str
    day: date
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.between} differ in {self.table} on {self.day}: {', '.join(self.ids)}"


def reconcile(conn: Connection, lake: Lake) -> list[Difference]:
    """Return every difference between lake, staging and marts, as far as the warehouse was loaded."""
    found: list[Difference] = []
    for table in tables().values():
        if table.layer == "silver":
            found += _lake_and_staging(conn, lake, table)
    for name, query in _MARTS.items():
        rows = conn.execute(query, {"named": NAMED}).fetchall()
        found += [Difference(between="staging and marts", table=name, day=day, ids=tuple(ids)) for day, ids in rows]
    return found


def _moment(table: Table) -> str:
    return "timestamp" if "timestamp" in table.schema.names else "updated_at"


def _lake_and_staging(conn: Connection, lake: Lake, table: Table) -> list[Difference]:
    exists = conn.execute("select to_regclass(%s) is not null", (identifier(table).as_string(conn),)).fetchone()
    if not (exists and exists[0]) or not lake.exists(table):
        return []
    theirs = _staged_days(conn, table)
    rows = lake.read(table, where=watermark.up_to(watermark.read(conn, table)))
    hashes, days = _hashes(rows, table), _days(rows, table)
    ours = _lake_days(hashes, days)
    found = []
    for day in sorted(ours.keys() | theirs.keys()):
        if ours.get(day) != theirs.get(day):
            mine = days == (day - _EPOCH).days
            ids = _differing(conn, table, day, dict(zip(_keys(rows, table, mine), hashes[mine].tolist(), strict=True)))
            found.append(Difference(between="lake and staging", table=f"silver.{table.name}", day=day, ids=ids))
    return found


def _keys(rows: pa.Table, table: Table, mine: np.ndarray[Any, Any]) -> list[str]:
    keys: list[str] = rows.column(table.key[0]).filter(pa.array(mine)).to_pylist()
    return keys


def _days(rows: pa.Table, table: Table) -> np.ndarray[Any, Any]:
    """Days since 1970 of each row."""
    micros = pc.fill_null(rows.column(_moment(table)).cast(pa.int64()), 0).to_numpy()
    return np.asarray(micros // 86_400_000_000)


def _hashes(rows: pa.Table, table: Table) -> np.ndarray[Any, Any]:
    """The 64 bits of each row, as `_row_hash` has PostgreSQL compute them."""
    columns = [_text(rows.column(field.name).combine_chunks()) for field in table.schema]
    joined = pc.binary_join_element_wise(*columns, _BETWEEN)
    heads = [int.from_bytes(_digest(text), "big", signed=True) for text in joined.to_pylist()]
    return np.array(heads, np.int64)


def _digest(text: str) -> bytes:
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8]


def _text(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_list(kind):
        flat = column.flatten()
        # PostgreSQL and Arrow spell a number differently: its bits are compared.
        flat = flat.view(pa.int64()) if pa.types.is_floating(flat.type) else flat
        values = pc.fill_null(pc.cast(flat, pa.string()), _NULL)
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        bounds = pa.concat_arrays([pa.array([0], pa.int32()), pc.cast(pc.cumulative_sum(lengths), pa.int32())])
        joined = pc.binary_join(pa.ListArray.from_arrays(bounds, values), _ELEMENT)
        return pc.if_else(pc.is_valid(column), joined, _NULL)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_floating(kind):
        column = column.view(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return pc.fill_null(column.cast(pa.string()), _NULL)


def _row_hash(table: Table) -> sql.Composable:
    parts = []
    for field in table.schema:
        name = f'"{field.name}"'
        if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            text = _LIST_BITS.format(name, _BITS.format("each"))
        elif pa.types.is_list(field.type):
            text = f"array_to_string({name}, chr(31), chr(1))"
        elif pa.types.is_timestamp(field.type):
            text = f"(extract(epoch from {name}) * 1000000)::bigint::text"
        elif pa.types.is_floating(field.type):
            text = _BITS.format(name)
        elif pa.types.is_boolean(field.type):
            text = f"{name}::int::text"
        else:
            text = f"{name}::text"
        parts.append(f"coalesce({text}, chr(1))")
    return sql.SQL(_HEAD.format(" || chr(30) || ".join(parts)))


def _day(table: Table) -> sql.Composable:
    return sql.SQL("coalesce(({} at time zone 'UTC')::date, date '1970-01-01')").format(sql.Identifier(_moment(table)))


def _staged_days(conn: Connection, table: Table) -> Days:
    query = sql.SQL("select {}, count(*), sum({}::numeric) from {} group by 1")
    rows = conn.execute(query.format(_day(table), _row_hash(table), identifier(table))).fetchall()
    return {day: (count, int(total) % 2**64) for day, count, total in rows}


def _lake_days(hashes: np.ndarray[Any, Any], days: np.ndarray[Any, Any]) -> Days:
    numbers, places, counts = np.unique(days, return_inverse=True, return_counts=True)
    sums = np.zeros(len(numbers), np.uint64)
    np.add.at(sums, places, hashes.view(np.uint64))
    named = [date.fromordinal(_EPOCH.toordinal() + int(number)) for number in numbers]
    return {day: (int(count), int(total)) for day, count, total in zip(named, counts, sums, strict=True)}


def _differing(conn: Connection, table: Table, day: date, ours: dict[str, int]) -> tuple[str, ...]:
    query = sql.SQL("select {}, {} from {} where {} = %s").format(
        sql.Identifier(table.key[0]), _row_hash(table), identifier(table), _day(table)
    )
    theirs: dict[str, int] = dict(conn.execute(query, (day,)).fetchall())
    return tuple(sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))[:NAMED])


_BY_DAY: Final = """
    select coalesce((at at time zone 'UTC')::date, date '1970-01-01'), (array_agg(id order by id))[1:%(named)s]
    from ({}) as wrong (id, at) group by 1 order by 1
"""

_MARTS: Final[dict[str, str]] = {
    name: _BY_DAY.format(query)
    for name, query in {
        # Every stored listen is in one play, and a play says nothing that none of its events says.
        "intermediate.int_listens_deduplicated": """
            with told as (
                select plays.listen_id, plays.user_id, plays.listened_at, plays.ms_played, plays.context, plays.source,
                    plays.recommendation_id, plays.source_item_id, unnest(plays.event_ids) as event_id
                from intermediate.int_listens_deduplicated as plays
            )
            select coalesce(stored.event_id, told.event_id), coalesce(stored.timestamp, told.listened_at)
            from silver.events_listens as stored full outer join told using (event_id)
            where stored.event_id is null or told.event_id is null or stored.user_id is distinct from told.user_id
            union all
            select min(told.event_id), told.listened_at
            from told inner join silver.events_listens as stored using (event_id)
            group by told.listen_id, told.listened_at, told.ms_played, told.context, told.source,
                told.recommendation_id, told.source_item_id
            having min(stored.timestamp) <> told.listened_at or count(*) <> count(distinct stored.event_id)
                or not bool_or(stored.ms_played is not distinct from told.ms_played)
                or not bool_or(stored.context is not distinct from told.context)
                or not bool_or(coalesce(stored.source, 'unknown') = told.source)
                or not bool_or(stored.recommendation_id is not distinct from told.recommendation_id)
                or not bool_or(stored.item_id = told.source_item_id)
        """,
        "marts.fct_listens": """
            select coalesce(plays.event_id, facts.event_id), coalesce(plays.listened_at, facts.listened_at)
            from intermediate.int_listens_deduplicated as plays
            full outer join marts.fct_listens as facts on plays.listen_id = facts.listen_id
            where (plays.user_id, plays.item_id, plays.event_id, plays.source_item_id, plays.listened_at,
                plays.ms_played, plays.source, plays.context, plays.recommendation_id)
                is distinct from (facts.user_id, facts.item_id, facts.event_id, facts.source_item_id, facts.listened_at,
                facts.ms_played, facts.source, facts.context, facts.recommendation_id)
        """,
        "marts.fct_ratings": """
            select coalesce(stored.event_id, facts.event_id), coalesce(stored.timestamp, facts.rated_at)
            from silver.events_ratings as stored full outer join marts.fct_ratings as facts using (event_id)
            where (stored.user_id, stored.rating, stored.timestamp, stored.source, stored.context,
                stored.recommendation_id)
                is distinct from (facts.user_id, facts.rating, facts.rated_at, facts.source, facts.context,
                facts.recommendation_id)
        """,
        "marts.fct_recommendations": """
            select coalesce(stored.event_id, facts.recommendation_id), coalesce(stored.timestamp, facts.shown_at)
            from silver.recommendation_events as stored
            full outer join (
                select recommendation_id, min(user_id) as user_id, min(shown_at) as shown_at,
                    min(model_version) as model_version, array_agg(source order by position) as sources,
                    array_agg(reason order by position) as reasons, min(experiment) as experiment, min(arm) as arm,
                    array_agg(propensity order by position) filter (where propensity is not null) as propensities
                from marts.fct_recommendations group by recommendation_id
            ) as facts on stored.event_id = facts.recommendation_id
            where coalesce(cardinality(stored.item_ids), 0) > 0
                and (stored.user_id, stored.timestamp, stored.model_version, stored.sources, stored.reasons,
                    stored.experiment, stored.arm, stored.propensities)
                is distinct from (facts.user_id, facts.shown_at, facts.model_version, facts.sources, facts.reasons,
                    facts.experiment, facts.arm, facts.propensities)
        """,
        "marts.fct_interactions": """
            select coalesce(met.user_id, facts.user_id) || ' ' || coalesce(met.item_id, facts.item_id),
                coalesce(met.last_at, facts.last_at)
            from (
                select user_id, coalesce(links.canonical_id, events.item_id) as item_id, sum(plays) as plays,
                    sum(views) as views, sum(clicks) as clicks, min(first_at) as first_at, max(last_at) as last_at
                from (
                    select user_id, item_id, 1 as plays, 0 as views, 0 as clicks, listened_at as first_at,
                        listened_at as last_at
                    from intermediate.int_listens_deduplicated
                    union all
                    select user_id, item_id, 0, 1, 0, timestamp, timestamp from silver.events_views
                    union all
                    select user_id, item_id, 0, 0, 1, timestamp, timestamp from silver.events_clicks
                ) as events
                left join intermediate.int_items_canonical as links on events.item_id = links.item_id
                group by 1, 2
            ) as met
            full outer join marts.fct_interactions as facts
                on met.user_id = facts.user_id and met.item_id = facts.item_id
            where (met.plays, met.views, met.clicks, met.first_at, met.last_at)
                is distinct from (facts.plays, facts.views, facts.clicks, facts.first_at, facts.last_at)
        """,
    }.items()
}
