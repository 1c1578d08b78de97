"""The sources that plays and facts are collected from, and what they missed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psycopg

from music_assets.sources.collect import owner_of
from music_assets.sources.gaps import WATCHED, find
from music_assets.sources.health import health, silent
from serving.operator.schemas import GapRow, SourceRow, SourcesAnswer
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from music_assets.sources.gaps import Gap
    from music_assets.sources.health import Health
    from serving.settings import Settings

_OPTIONS: Final = "-c statement_timeout=5s -c default_transaction_read_only=on"


def read(settings: Settings) -> SourcesAnswer:
    """Return how each source answered in the last week, and the gaps of the last 30 days.

    Raises:
        UnavailableError: PostgreSQL does not answer.
    """
    now, owner = datetime.now(UTC), owner_of(settings)
    try:
        with psycopg.connect(
            settings.database, connect_timeout=2, autocommit=True, application_name="music-operator", options=_OPTIONS
        ) as connection:
            looks = health(connection, now)
            gaps = find(connection, owner, now, since=now - WATCHED)
    except psycopg.Error as error:
        raise UnavailableError(f"PostgreSQL does not answer ({type(error).__name__}); try again later") from error
    names = sorted({each.source for each in looks})
    return SourcesAnswer(
        sources=[_source(name, [each for each in looks if each.source == name], now) for name in names],
        gaps=[_gap(each, owner(each.source, each.account)) for each in gaps],
        as_of=now,
    )


def _source(name: str, looks: list[Health], now: datetime) -> SourceRow:
    quiet = silent(looks, now)
    live = any(each.origin == "live" for each in looks)
    good = sum(each.good for each in looks)
    told = f"{good:,} of {sum(each.looks for each in looks):,} looks in a week ended well"
    return SourceRow(
        source=name, state="silent" if quiet else "ok" if live else "recorded",
        last_event_at=max((each.last_good for each in looks if each.last_good), default=None),
        sentence="; ".join(quiet) or (told if live else f"{told}, on recorded answers: no key is set"),
    )  # fmt: skip


def _gap(gap: Gap, user_id: str) -> GapRow:
    known = f"{gap.plays:,} plays are known from it" if gap.plays else "no play is known from it"
    return GapRow(
        source=gap.source, user_id=user_id, from_=gap.since, until=gap.until,
        sentence=f"no look covers this time, {known}: `music source backfill` reads it again",
    )  # fmt: skip
