"""How the sources answer, by what `source.fetches` says of the looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

LATELY: Final = timedelta(hours=26)
"""Longer than a day: the slowest collectors run once a night."""


@dataclass(frozen=True)
class Health:
    """One kind of look at one source over the last week.

    Attributes:
        source: which one.
        kind: what was asked for.
        origin: of the newest look.
        looks: how many.
        good: those of them that ended well.
        requests: sent.
        retries: sent again.
        items: stored.
        last_good: when one ended well.
        outcome: of the newest look.
        note: of the newest look.
    """

    source: str
    kind: str
    origin: str
    looks: int
    good: int
    requests: int
    retries: int
    items: int
    last_good: datetime | None
    outcome: str
    note: str | None

    def answered_lately(self, now: datetime) -> bool:
        """Return whether a look ended well within `LATELY`."""
        return self.last_good is not None and now - self.last_good <= LATELY


def health(conn: psycopg.Connection[tuple[Any, ...]], now: datetime) -> list[Health]:
    """Return how each kind of look at each source went in the week before `now`."""
    rows = conn.execute(
        """
        select source, kind, (array_agg(origin order by finished_at desc))[1], count(*),
            count(*) filter (where outcome = 'ok'), sum(requests), sum(retries), sum(items),
            max(finished_at) filter (where outcome = 'ok'), (array_agg(outcome order by finished_at desc))[1],
            (array_agg(note order by finished_at desc))[1]
        from source.fetches where finished_at > %s - interval '7 days' and finished_at <= %s
        group by source, kind order by source, kind
        """,
        [now, now],
    ).fetchall()
    return [Health(*row) for row in rows]


def silent(found: Iterable[Health], now: datetime) -> list[str]:
    """Return a sentence for each live kind of look that did not end well lately."""
    return [
        f"{each.source} {each.kind}: {each.outcome}, last good {each.last_good or 'never'}"
        for each in found
        if each.origin == "live" and each.kind != "backfill" and not each.answered_lately(now)
    ]
