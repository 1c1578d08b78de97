"""Carries out imports: reads a file record by record, sends its plays, and notes how far the broker has them."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg

from music_assets.identity import ensure_listeners
from music_assets.sources import exports, import_table, items, kaggle
from music_assets.sources.exports import KINDS
from music_assets.sources.exports.base import Options, Rejected, Skipped
from music_assets.sources.exports.files import sha256
from music_assets.sources.facts import Origin, TrackRow, land
from music_assets.sources.import_table import Import, RejectedRow
from music_assets.sources.plays import Play, PlaySender
from streaming.errors import ConfigurationError, MusicError, UnavailableError
from streaming.events import ItemKind
from streaming.producer import EventProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from music_assets.settings import Settings

BATCH: Final = 20_000
"""Records between two notes of the position: what a killed import repeats at most."""

ALL_KINDS: Final = (*KINDS, kaggle.KIND)


@dataclass
class Preview:
    """What a file holds, without a word to anybody.

    Attributes:
        plays: records that can be sent.
        skipped: by reason.
        rejected: by field and reason.
        first: time of the earliest play.
        last: time of the latest one.
    """

    plays: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None


def time_zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ConfigurationError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"there is no time zone {name[:60]!r}; valid: such as UTC, Europe/Brussels") from error


def check_kind(kind: str) -> None:
    """Check that there is a kind of file.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if kind not in ALL_KINDS:
        raise ConfigurationError(f"there is no kind {kind[:60]!r}; valid: {', '.join(ALL_KINDS)}")


def preview(kind: str, path: Path, *, user: str | None, zone: str) -> Preview:
    """Read a file of plays and count what is in it.

    Raises:
        ConfigurationError: the file is not of the kind.
    """
    found = Preview()
    for _, record in exports.read(kind, path, Options(user=user, zone=time_zone(zone))):
        match record:
            case Play(played_at=moment):
                found.plays += 1
                found.first = min(found.first or moment, moment)
                found.last = max(found.last or moment, moment)
            case Skipped(reason):
                found.skipped[reason] += 1
            case Rejected(name, reason):
                found.rejected[name or "", reason] += 1
    return found


def hand_in(settings: Settings, kind: str, path: Path, *, user: str | None, zone: str) -> Import:
    """Return the import of a file that lies here; the same file of the same person is the same import.

    Raises:
        ConfigurationError: there is no such kind, zone or file.
        UnavailableError: PostgreSQL does not answer.
    """
    check_kind(kind)
    time_zone(zone)
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist: give a file, a folder or a zip archive")
    digest = sha256(path)
    with connect(settings) as connection:
        listener_id = None if user is None else _listener(connection, user)
        record, _ = import_table.register(
            connection, kind=kind, file_name=path.name, sha256=digest, listener_id=listener_id, time_zone=zone,
            status="running",
        )  # fmt: skip
    return record


def _listener(connection: psycopg.Connection[Any], user: str) -> str:
    found = ensure_listeners(connection, [user])
    if user not in found:
        raise ConfigurationError("this user was erased or has paused: nothing of theirs is taken in")
    return found[user]


def carry_out(settings: Settings, record: Import, path: Path, *, progress: Callable[[Import], None]) -> Import:
    """Do what is left of an import and return how it stands then; one that is done stays as it is.

    Args:
        settings: where broker and database are.
        record: the import.
        path: its file, unchanged since it was handed in.
        progress: told the row after every batch.

    Raises:
        ConfigurationError: the file is not of the kind.
        UnavailableError: broker or database do not answer, or another process carries it out; it can go on later.
    """
    with connect(settings) as connection, import_table.claimed(connection, record.import_id) as found:
        if found.status == "done":
            return found
        import_table.set_status(connection, found.import_id, "running")
        try:
            if found.kind == kaggle.KIND:
                kaggle.load(connection, found, path, progress)
            else:
                with closing(EventProducer(settings.bootstrap_servers, client_id="music-import")) as producer:
                    _send(connection, found, path, _sender(producer, settings, found), progress)
        except MusicError as error:
            import_table.set_status(connection, found.import_id, "failed", str(error))
            raise
        import_table.set_status(connection, found.import_id, "done")
        return import_table.get(connection, found.import_id)


def _sender(producer: EventProducer, settings: Settings, record: Import) -> PlaySender:
    known = {record.listener_id: record.listener_id} if record.listener_id else {}
    return PlaySender(producer, settings.database, listeners=known)


def _send(
    connection: psycopg.Connection[Any],
    record: Import,
    path: Path,
    sender: PlaySender,
    progress: Callable[[Import], None],
) -> None:
    # The listener's id stands for the person: who that is was forgotten when the file was handed in.
    options = Options(user=record.listener_id, zone=time_zone(record.time_zone or "UTC"))
    start, batch = record.position, _Batch()

    def note(position: int) -> None:
        nonlocal batch
        accepted = sender.send(batch.plays)
        land(connection, _recordings(batch.plays), fill=True)
        row = import_table.advance(
            connection, record, position=position, accepted=accepted, skipped=batch.skipped, rejected=batch.rejected
        )
        batch = _Batch()
        progress(row)

    position = start - 1
    for position, outcome in exports.read(record.kind, path, options):
        if position < start:
            continue
        batch.add(position, outcome)
        if (position + 1 - start) % BATCH == 0:
            note(position + 1)
    note(max(position + 1, start))


def _recordings(plays: Iterable[Play]) -> Iterator[TrackRow]:
    """Yield which recording of MusicBrainz each track is, where the file says so: identity joins items by it."""
    now = datetime.now(UTC)
    for item_id, play in {play.item_id: play for play in plays if play.mbid is not None}.items():
        yield TrackRow(
            play.source, item_id, play.title, Origin.FILE, now, artist_id=items.named(ItemKind.ARTIST, play.artist),
            artist_name=play.artist, duration_ms=play.duration_ms, mbid=play.mbid,
        )  # fmt: skip


class _Batch:
    """Records since the last note of the position."""

    def __init__(self) -> None:
        self.plays: list[Play] = []
        self.rejected: list[RejectedRow] = []
        self.skipped = 0

    def add(self, position: int, outcome: Play | Rejected | Skipped) -> None:
        """Take a record in."""
        match outcome:
            case Play():
                self.plays.append(outcome)
            case Rejected(name, reason, raw):
                self.rejected.append(RejectedRow(position, reason, name, raw))
            case Skipped():
                self.skipped += 1


def upload_path(settings: Settings, record: Import) -> Path:
    """Return where the file of an import lies that came through the API; it is removed when the import is done."""
    return settings.upload_root / str(record.import_id)


def waiting(settings: Settings, kinds: Collection[str] = ALL_KINDS) -> list[Import]:
    """Return the uploaded files of some kinds that wait for somebody to carry them out, the oldest first.

    One whose process was killed waits as well.

    Raises:
        UnavailableError: PostgreSQL does not answer.
    """
    with connect(settings) as connection:
        found = import_table.newest(connection, statuses=["queued", "running"], limit=1000)
        return [
            record
            for record in reversed(found)
            if record.kind in kinds
            and upload_path(settings, record).exists()
            and import_table.is_free(connection, record.import_id)
        ]


def carry_out_waiting(
    settings: Settings, kinds: Collection[str] = ALL_KINDS, *, progress: Callable[[Import], None]
) -> list[Import]:
    """Carry out the uploaded files that wait, and return how each stands then; one that fails does not stop the others.

    Raises:
        UnavailableError: PostgreSQL does not answer.
    """
    ended: list[Import] = []
    for record in waiting(settings, kinds):
        path = upload_path(settings, record)
        try:
            found = carry_out(settings, record, path, progress=progress)
        except MusicError:
            with connect(settings) as connection:
                found = import_table.get(connection, record.import_id)
        if found.status == "done":
            path.unlink(missing_ok=True)
        ended.append(found)
    return ended


@contextmanager
def connect(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection to PostgreSQL.

    Raises:
        UnavailableError: it does not answer.
    """
    try:
        with psycopg.connect(settings.database, connect_timeout=10, application_name="music-import") as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise UnavailableError("PostgreSQL does not answer: the import goes on when it is there again") from error
