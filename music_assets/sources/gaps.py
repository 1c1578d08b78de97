"""Times that no look at a source covers although there were plays: what a collector has missed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from music_assets.sources.http import Outcome

if TYPE_CHECKING:
    import psycopg

SILENCE: Final = timedelta(hours=3)
"""A stretch without a successful look that is named even if no play is known from it."""

WATCHED: Final = timedelta(days=30)
"""How far back gaps are looked for."""

Key = tuple[str, str]
"""Source and account."""


@dataclass(frozen=True, order=True)
class Look:
    """A look at an account's plays: the time it covers, None where it covers nothing, and what became of it."""

    source: str
    account: str
    covered_from: datetime | None
    covered_until: datetime | None
    outcome: str


@dataclass(frozen=True, order=True)
class Gap:
    """A time of an account that no look covers.

    Attributes:
        source: which one.
        account: whose.
        since: where the last covered time ends.
        until: where the next one begins.
        plays: known plays from it, of any source: it was no time of silence.
        outcomes: of the looks that failed to cover it.
    """

    source: str
    account: str
    since: datetime
    until: datetime
    plays: int
    outcomes: tuple[str, ...]


def gaps(
    looks: Iterable[Look], plays: Mapping[Key, Sequence[datetime]], now: datetime, *, silence: timedelta = SILENCE
) -> list[Gap]:
    """Return the gaps from each account's first covered time up to `now`, in order.

    What is left of a window that a later look covered is none. A time without a known play counts if it is as long
    as `silence`.

    Args:
        looks: at any accounts, in any order.
        plays: times of plays by source and account that are known from elsewhere, such as another source's.
        now: where the last gap would end.
        silence: longer than the pause between two looks.
    """
    by_account: dict[Key, list[Look]] = defaultdict(list)
    for look in looks:
        by_account[look.source, look.account].append(look)
    found: list[Gap] = []
    for key, own in sorted(by_account.items()):
        failed = sorted({look.outcome for look in own if look.outcome != Outcome.OK})
        for since, until in _uncovered(own, now):
            inside = sum(since < played < until for played in plays.get(key, ()))
            if inside or until - since >= silence:
                found.append(Gap(*key, since, until, inside, tuple(failed)))
    return found


def _uncovered(looks: Iterable[Look], now: datetime) -> list[tuple[datetime, datetime]]:
    spans = sorted(
        (look.covered_from, look.covered_until)
        for look in looks
        if look.covered_from is not None and look.covered_until is not None and look.covered_from < look.covered_until
    )
    if not spans:
        return []
    found, reached = [], spans[0][1]
    for begin, end in spans[1:]:
        if begin > reached:
            found.append((reached, begin))
        reached = max(reached, end)
    if reached < now:
        found.append((reached, now))
    return found


def find(
    conn: psycopg.Connection[tuple[Any, ...]], owner: Callable[[str, str], str], now: datetime, *, since: datetime
) -> list[Gap]:
    """Return the gaps of live accounts that end after `since`.

    Args:
        conn: to the database of the fetches, the listeners and the warehouse's copy of the listens.
        owner: gives the user id of a source's account; plays of theirs from any source tell what lies in a gap.
        now: where the last gap would end.
        since: gaps that ended before are past mending: Spotify has forgotten them, others were filled.
    """
    rows = conn.execute(
        """
        select source, account, covered_from, covered_until, outcome from source.fetches
        where kind in ('listens', 'backfill') and account is not null and origin = 'live'
        """
    ).fetchall()
    looks = [Look(*row) for row in rows]
    plays = {key: _plays(conn, owner(*key), since) for key in {(look.source, look.account) for look in looks}}
    return [gap for gap in gaps(looks, plays, now) if gap.until > since]


def _plays(conn: psycopg.Connection[tuple[Any, ...]], user_id: str, since: datetime) -> list[datetime]:
    [there] = conn.execute("select to_regclass('silver.events_listens') is not null").fetchone() or (False,)
    if not there:
        return []
    rows = conn.execute(
        "select listen.timestamp from silver.events_listens as listen"
        " join identity.listener on listener.listener_id::text = listen.user_id"
        " where listener.user_id = %s and listen.timestamp >= %s",
        [user_id, since],
    ).fetchall()
    return [row[0] for row in rows]
