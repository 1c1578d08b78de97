"""Collects the plays of an account from any source that gives them newest first: each one sent, none forgotten.

A run walks a window of time from its new end to its old one. Pages are found by time, not by number: the next one
begins at the second where the last one ended, so that what is added or removed meanwhile moves no page. How far the
walk came is committed after each acknowledged part of a page; a killed run goes on there.

Plays come late: a scrobble bears the time its track began and arrives minutes, an offline player's days after. Every
window therefore reaches back by `lookback_ms` behind the newest known play, and what was sent from there is known by
its key and not sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from music_assets.sources.facts import Fact, land
from music_assets.sources.http import Fetcher, FetchError, Outcome
from music_assets.sources.plays import Play, refusal

if TYPE_CHECKING:
    from music_assets.sources.books import Books, Fetch

_PART: Final = 100
"""Plays between two commits of the cursor."""

KIND: Final = "listens"
BACKFILL: Final = "backfill"
OF_BACKFILL: Final = f" {BACKFILL} "
"""Stands between an account and a window where the cursor of a backfill is kept."""


class Sink(Protocol):
    """Where plays go."""

    def send(self, plays: Sequence[Play]) -> int:
        """Send plays and return how many the broker has acknowledged: all, or an error."""


@dataclass(frozen=True)
class Page:
    """Plays of a window, newest first.

    Attributes:
        plays: since <= time < before.
        more: whether older ones of the window may be left.
        full: whether it holds as many as the source gives at once.
        facts: what the page tells about their items.
        names: items that it names without telling more.
        complete_from_ms: the source has forgotten what lies before; None if it keeps everything.
    """

    plays: Sequence[Play]
    more: bool
    full: bool = True
    facts: Sequence[Fact] = ()
    names: Sequence[Fact] = ()
    complete_from_ms: int | None = None


class ListenSource(Protocol):
    """A source of plays."""

    name: str
    origin: str
    fetcher: Fetcher
    step_ms: int
    """Between two times that the source can tell apart."""
    lookback_ms: int
    """How late a play may come."""

    def page(self, account: str, *, since_ms: int, before_ms: int) -> Page:
        """Return the newest plays with since <= time < before. Raises FetchError."""


class Window(msgspec.Struct):
    """A time that is being walked, in milliseconds: all of reached <= time < until is acknowledged.

    `edge` holds the keys of plays at `reached`, which the next page gives again.
    """

    since: int
    until: int
    reached: int
    newest: int = 0
    edge: list[str] = []


class Cursor(msgspec.Struct):
    """Where an account goes on.

    `through` is the newest acknowledged play's time; `recent` the keys of acknowledged plays that the next window
    gives again, with their times.
    """

    through: int = 0
    recent: dict[str, int] = {}
    window: Window | None = None


@dataclass
class Collected:
    """What a run brought.

    Attributes:
        sent: plays acknowledged.
        rejected: plays that break the contract of a message.
        newest: the newest play's time.
        errors: what kept accounts from being read to the end.
        sample: the first plays, for people.
    """

    sent: int = 0
    rejected: int = 0
    newest: datetime | None = None
    errors: list[FetchError] = field(default_factory=list)
    sample: list[Play] = field(default_factory=list)


def key(play: Play) -> str:
    """Return what tells a play from the others of its account."""
    text = "\x1f".join((play.item_id, play.artist, play.title, str(milliseconds(play.played_at))))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def _played_at(play: Play) -> datetime:
    return play.played_at


def moment_of(value: int) -> datetime:
    """Return the time of milliseconds since 1970."""
    return datetime.fromtimestamp(value / 1000, UTC)


class Collector:
    """Walks the windows of one account.

    Args:
        source: where plays come from.
        books: where the cursor lies.
        sink: where plays go.
        collected: counts of the run.
    """

    def __init__(self, source: ListenSource, books: Books, sink: Sink, collected: Collected) -> None:
        self._source = source
        self._books = books
        self._sink = sink
        self._collected = collected

    def collect(self, account: str, now: datetime) -> None:
        """Bring the account up to `now`: first the rest of an interrupted window, then the new one.

        Raises:
            FetchError: the source did not answer; what came before is sent and not asked for again.
        """
        cursor = self._books.cursor(self._source.name, account, Cursor) or Cursor()
        if cursor.window is not None:
            self._walk(account, KIND, account, cursor, cursor.window)
        until = milliseconds(now) + self._source.step_ms
        since = max(0, cursor.through - self._source.lookback_ms)
        cursor.window = Window(since=since, until=until, reached=until)
        self._walk(account, KIND, account, cursor, cursor.window)

    def backfill(self, account: str, since: datetime, until: datetime) -> None:
        """Read a window of the past again, whatever was sent from it: known plays are stored once all the same.

        Raises:
            FetchError: the source did not answer; the same call goes on where this one ended.
        """
        place = f"{account}{OF_BACKFILL}{since.astimezone(UTC):%Y%m%dT%H%M%S}-{until.astimezone(UTC):%Y%m%dT%H%M%S}"
        end = milliseconds(until)
        cursor = self._books.cursor(self._source.name, place, Cursor) or Cursor(
            window=Window(since=milliseconds(since), until=end, reached=end)
        )
        assert cursor.window is not None
        self._walk(account, BACKFILL, place, cursor, cursor.window)
        self._books.forget(self._source.name, place)

    def _walk(self, account: str, kind: str, place: str, cursor: Cursor, window: Window) -> None:
        source = self._source
        with self._books.fetch(source.fetcher, kind, account=account, origin=source.origin) as fetch:
            fetch.covered_until = moment_of(window.until)
            before, complete_from = window.reached + source.step_ms * bool(window.edge), window.since
            while True:
                given = source.page(account, since_ms=window.since, before_ms=before)
                # How far the walk came is only true if no page has an older play before a newer one.
                page = replace(given, plays=sorted(given.plays, key=_played_at, reverse=True))
                self._take(page, place, cursor, window, fetch)
                if page.complete_from_ms is not None and page.complete_from_ms > max(window.since, cursor.through):
                    fetch.remark("the source keeps nothing from before; `music source gaps` shows what is missing")
                    complete_from = page.complete_from_ms
                if not page.more:
                    break
                before = self._next(page, before, fetch)
            fetch.covered_from = moment_of(complete_from)
            _close(cursor, window, source.lookback_ms)
            self._books.save(source.name, place, cursor)

    def _next(self, page: Page, before: int, fetch: Fetch) -> int:
        if not page.plays:
            raise self._source.fetcher.error(Outcome.MALFORMED, "an empty page that is not the last one")
        oldest = milliseconds(page.plays[-1].played_at)
        if oldest + self._source.step_ms < before:
            return oldest + self._source.step_ms
        if page.full:
            # A page of one moment: what else lies there cannot be asked for by time.
            fetch.remark(f"more than a page of plays at {moment_of(oldest).isoformat()}, the rest of them is left out")
        return oldest

    def _take(self, page: Page, place: str, cursor: Cursor, window: Window, fetch: Fetch) -> None:
        known = {*window.edge, *cursor.recent}
        keyed = {key(play): play for play in page.plays}
        fresh = [(name, play) for name, play in keyed.items() if name not in known]
        if fresh:
            land(self._books.conn, page.facts)
            land(self._books.conn, page.names, fill=True)
        for first in range(0, len(fresh), _PART):
            part = fresh[first : first + _PART]
            self._send([play for _, play in part], fetch)
            _advance(cursor, window, part, self._source.lookback_ms)
            fetch.covered_from = moment_of(window.reached)
            self._books.save(self._source.name, place, cursor)
        if keyed and not fresh:
            window.reached = min(window.reached, milliseconds(page.plays[-1].played_at))

    def _send(self, plays: Sequence[Play], fetch: Fetch) -> None:
        now = datetime.now(UTC)
        refused = [(play, why) for play in plays if (why := refusal(play, now)) is not None]
        bad = {id(play) for play, _ in refused}
        good = [play for play in plays if id(play) not in bad]
        if good:
            self._sink.send(good)
        self._books.reject(
            self._source.name, KIND,
            [(int(key(play)[:15], 16), why.reason, why.field, f"{play.played_at}: {play.artist}, {play.title}")
             for play, why in refused],
        )  # fmt: skip
        fetch.items += len(good)
        collected = self._collected
        collected.sent += len(good)
        collected.rejected += len(refused)
        collected.sample += good[: max(0, 10 - len(collected.sample))]
        if good:
            collected.newest = max(filter(None, [collected.newest, good[0].played_at]))


def _advance(cursor: Cursor, window: Window, part: Sequence[tuple[str, Play]], lookback_ms: int) -> None:
    """Note acknowledged plays, newest first, in the cursor."""
    times = [(name, milliseconds(play.played_at)) for name, play in part]
    oldest = times[-1][1]
    kept = window.edge if oldest == window.reached else []
    window.edge = [*kept, *(name for name, time in times if time == oldest)]
    window.reached = oldest
    window.newest = max(window.newest, times[0][1])
    floor = max(window.newest, cursor.through) - lookback_ms
    cursor.recent.update((name, time) for name, time in times if time >= floor)


def _close(cursor: Cursor, window: Window, lookback_ms: int) -> None:
    """Note that a window is walked to its end."""
    cursor.through = max(cursor.through, window.newest)
    floor = cursor.through - lookback_ms
    cursor.recent = {name: time for name, time in cursor.recent.items() if time >= floor}
    cursor.window = None
