"""Carries out the redrives that were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row

from music_assets.redrives import GET, Redrive, waiting
from streaming.errors import MusicError, UnavailableError
from streaming.repair.letters import Wanted
from streaming.repair.redrive import redrive

if TYPE_CHECKING:
    from music_assets.settings import Settings


def carry_out(settings: Settings) -> list[Redrive]:
    """Carry out the requests that wait, one after the other; one that fails says why and does not hold up the next.

    A run that was killed left its request running: the next one begins it again, and what was sent is not sent twice.

    Returns:
        Those that waited, as they stand then.

    Raises:
        UnavailableError: another run carries them out.
    """
    with psycopg.connect(settings.database, connect_timeout=10, autocommit=True) as connection:
        # The lock goes with the connection, so a killed run leaves none.
        if not connection.execute("select pg_try_advisory_lock(hashtext('ops.redrives'))").fetchone() == (True,):
            raise UnavailableError("another run carries out the redrives; it takes those that wait")
        found = waiting(connection)
        for each in found:
            _carry_out(settings, connection, each)
        cursor = connection.cursor(row_factory=class_row(Redrive))
        done = [cursor.execute(GET, {"redrive_id": each.redrive_id}).fetchone() for each in found]
        return [each for each in done if each is not None]


def _carry_out(settings: Settings, connection: psycopg.Connection[Any], asked: Redrive) -> None:
    _set(connection, asked, "running", "dead letters are being sent to their topics")
    try:
        wanted = Wanted(topic=asked.topic, reason=asked.reason, since=asked.since)
        outcome = redrive(settings, wanted)
    except MusicError as error:
        _set(connection, asked, "failed", str(error))
        return
    skipped = ", ".join(f"{count:,} {why}" for why, count in sorted(outcome.skipped.items()))
    sent = outcome.sent.total() + outcome.recovered
    _set(connection, asked, "done", f"{sent:,} sent; left: {skipped or 'none'}", sent)


def _set(
    connection: psycopg.Connection[Any], asked: Redrive, state: str, sentence: str, sent: int | None = None
) -> None:
    connection.execute(
        "update ops.redrives set state = %s, sentence = %s, sent = %s, updated_at = now() where redrive_id = %s",
        (state, sentence, sent, asked.redrive_id),
    )
