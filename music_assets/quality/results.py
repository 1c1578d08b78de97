"""The table of results, and which of them are news."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Severity = Literal["error", "warn"]

_COLUMNS: Final = (
    "event_id", "asset", "check_name", "passed", "severity", "is_blocking", "owner", "description", "figures", "run_id",
    "evaluated_at",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)
_INSERT: Final = f"""
    insert into ops.quality_results ({_NAMES}) values ({", ".join(f"%({name})s" for name in _COLUMNS)})
    on conflict (event_id) do nothing
"""
# The first result of a check is news only if it is bad.
_TURNS: Final = f"""
    select {_NAMES} from (
        select *, lag(passed, 1, true) over (partition by asset, check_name order by event_id) as before
        from ops.quality_results
    ) as told
    where passed <> before and event_id = any(%s) order by event_id
"""
_LATEST: Final = f"""
    select distinct on (asset, check_name) {_NAMES} from ops.quality_results
    order by asset, check_name, event_id desc
"""
_HISTORY: Final = f"""
    select {_NAMES} from ops.quality_results where asset = %s and check_name = %s order by event_id desc limit %s
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result of a check.

    Attributes:
        event_id: its place in Dagster's log.
        asset: key of the asset, `layer/name`.
        check_name: of the check; a test of dbt is one.
        passed: whether the sentence that the check is named for was true.
        severity: `error`, or `warn` for what a person may leave.
        is_blocking: whether it stops what lies downstream.
        owner: of the asset.
        description: what the check said.
        figures: its metadata that are numbers, texts or truth values.
        run_id: of the run that made it.
        evaluated_at: when.
    """

    event_id: int
    asset: str
    check_name: str
    passed: bool
    severity: Severity
    is_blocking: bool
    owner: str | None = None
    description: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    run_id: str
    evaluated_at: datetime


def record(conn: Connection, results: Sequence[Result]) -> list[Result]:
    """Keep results and return those that turned: failed after a pass, or passed after a failure.

    A result that is kept already changes nothing, but is returned again if it turned: who tells of it knows what was
    told.
    """
    with conn.cursor() as cursor:
        cursor.executemany(_INSERT, [{**vars(each), "figures": Jsonb(dict(each.figures))} for each in results])
    return _read(conn, _TURNS, ([each.event_id for each in results],))


def latest(conn: Connection) -> list[Result]:
    """Return the newest result of every check, by asset and name."""
    return _read(conn, _LATEST)


def history(conn: Connection, asset: str, check_name: str, *, limit: int) -> list[Result]:
    """Return a check's results, the newest first."""
    return _read(conn, _HISTORY, (asset, check_name, limit))


def by_event(conn: Connection, event_ids: Sequence[int]) -> dict[int, Result]:
    """Return results by their place in Dagster's log."""
    query = f"select {_NAMES} from ops.quality_results where event_id = any(%s)"
    return {each.event_id: each for each in _read(conn, query, (list(event_ids),))}


def forget_older(conn: Connection, age: timedelta) -> int:
    """Delete results older than `age`, but never the newest of a check; return how many."""
    return conn.execute(
        """
        delete from ops.quality_results as old where evaluated_at < now() - %s and exists (
            select from ops.quality_results as later
            where (later.asset, later.check_name) = (old.asset, old.check_name) and later.event_id > old.event_id
        )
        """,
        (age,),
    ).rowcount


def _read(conn: Connection, query: str, values: tuple[Any, ...] = ()) -> list[Result]:
    with conn.cursor(row_factory=class_row(Result)) as cursor:
        return cursor.execute(query, values).fetchall()
