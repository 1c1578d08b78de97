"""The collectors of plays against services that fail: whatever happens, every true play is sent, and no other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx
import psycopg
import pytest

from music_assets.sources.books import Books
from music_assets.sources.collect import SOURCES, backfill, collect, opened
from music_assets.sources.http import Outcome
from music_assets.sources.listens import Collected, milliseconds
from streaming.errors import ConfigurationError, UnavailableError
from tests.sources import services
from tests.sources.services import Played, World, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from music_assets.settings import Settings
    from music_assets.sources.plays import Play
    from tests.conftest import MakeSettings

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSING: Final = {
    "limited": services.limited,
    "broken": services.broken,
    "half a body": services.half,
    "wrong type": services.wrong_type,
    "wrong shape": services.wrong_shape,
    "nothing": services.nothing,
    "slow": services.slow,
}
OUTCOMES: Final = {
    "limited": Outcome.LIMITED, "broken": Outcome.UNAVAILABLE, "half a body": Outcome.MALFORMED,
    "wrong type": Outcome.MALFORMED, "wrong shape": Outcome.MALFORMED, "nothing": Outcome.UNAVAILABLE,
    "slow": Outcome.UNAVAILABLE,
}  # fmt: skip
SECRET: Final = "s3cret key/with=signs"
QUICK: Final[dict[str, Any]] = {"pause_seconds": 0.01, "timeout": httpx.Timeout(0.5), "attempts": 4}


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class Topic:
    """Takes plays as Kafka does, and breaks when it is told.

    Attributes:
        sent: how often each play came.
        begins: called before a part reaches the broker, with its number.
        ends: called after the broker has acknowledged a part, with its number.
    """

    sent: Counter[Played] = field(default_factory=Counter)
    parts: int = 0
    begins: Callable[[int], None] = lambda _: None
    ends: Callable[[int], None] = lambda _: None

    def send(self, plays: Sequence[Play]) -> int:
        self.parts += 1
        self.begins(self.parts)
        self.sent.update(Played(milliseconds(play.played_at), play.artist, play.title) for play in plays)
        self.ends(self.parts)
        return len(plays)


def history(count: int) -> list[Played]:
    """Plays with two at one second here and there, so that pages end between them."""
    first = milliseconds(NOW) - 400_000 * count
    return [
        Played(first + 400_000 * (number - number % 7 // 6), f"Artist {number % 5}", f"Title {number}")
        for number in range(count)
    ]


def many(source: str) -> int:
    return 40 if source == "spotify" else 340


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate source.cursors, source.fetches, source.rejected, source.tracks, source.artists")
        yield Books(connection)


def keyed(make_settings: MakeSettings, url: str) -> Settings:
    return make_settings(
        lastfm_api_key=SECRET, lastfm_users="me", lastfm_url=f"{url}/2.0/", spotify_client_id="app",
        spotify_client_secret=SECRET, spotify_refresh_token=SECRET, spotify_url=f"{url}/v1",
        spotify_accounts_url=url, listenbrainz_token=SECRET, listenbrainz_users="me", listenbrainz_url=url,
    )  # fmt: skip


@pytest.fixture
def run(make_settings: MakeSettings, books: Books, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Collected]:
    """Runs a collector once against a world."""
    for name in ("lastfm", "spotify", "listenbrainz"):
        monkeypatch.setattr(f"music_assets.sources.{name}._PER_SECOND", 10_000.0)

    def once(source: str, world: World, topic: Topic, now: datetime = NOW, **fetching: Any) -> Collected:
        with serving(world) as url, opened(source, keyed(make_settings, url), **{**QUICK, **fetching}) as found:
            return collect(found, books, topic, now)

    return once


def fetches(books: Books) -> list[dict[str, Any]]:
    cursor = books.conn.cursor(row_factory=psycopg.rows.dict_row)
    return cursor.execute("select * from source.fetches order by started_at").fetchall()


def assert_once(topic: Topic, world: World) -> None:
    assert topic.sent.keys() == set(world.plays), "lost, or never played"
    assert set(topic.sent.values()) == {1}, "sent twice"


@pytest.mark.parametrize("source", SOURCES)
def test_a_history_of_many_pages_is_sent_once(source: str, run: Callable[..., Collected], books: Books) -> None:
    world, topic = World(history(many(source))), Topic()
    collected = run(source, world, topic)
    assert_once(topic, world)
    assert collected.sent == len(world.plays)
    assert not collected.errors
    [fetch] = fetches(books)
    assert (fetch["outcome"], fetch["items"], fetch["retries"]) == (Outcome.OK, len(world.plays), 0)
    # Who the account is, and the token, were asked before this look; both are no GET of plays.
    assert fetch["requests"] == len(world.requests) - (source == "spotify")
    assert fetch["note"] is None
    assert fetch["covered_from"] <= datetime(1970, 1, 1, tzinfo=UTC)
    assert fetch["covered_until"] >= NOW


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("source", SOURCES)
def test_what_passes_loses_and_doubles_nothing(
    source: str, fault: str, at: int, run: Callable[..., Collected], books: Books
) -> None:
    world, topic = World(history(many(source)), faults={at: PASSING[fault]}), Topic()
    if at == 0 and fault == "wrong shape" and source == "spotify":
        pytest.skip("an account without an id is told apart below")
    collected = run(source, world, topic)
    assert not collected.errors
    assert_once(topic, world)
    hit = at < len(world.requests)
    assert sum(fetch["retries"] for fetch in fetches(books)) == (1 if hit and (source, at) != ("spotify", 0) else 0)


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("source", SOURCES)
def test_what_does_not_pass_is_on_record_and_the_next_run_goes_on(
    source: str, fault: str, run: Callable[..., Collected], books: Books
) -> None:
    first = 1 if source == "spotify" else 2
    world, topic = World(history(many(source)), faults=dict.fromkeys(range(first, first + 10), PASSING[fault])), Topic()
    collected = run(source, world, topic, attempts=2)
    assert [error.outcome for error in collected.errors] == [OUTCOMES[fault]]
    [bad] = fetches(books)
    assert bad["outcome"] == OUTCOMES[fault]
    assert bad["note"]
    assert SECRET not in bad["note"]
    before = sum(topic.sent.values())
    world.faults.clear()
    assert not run(source, world, topic).errors
    assert_once(topic, world)
    assert 0 <= before < len(world.plays)


@pytest.mark.parametrize("source", SOURCES)
def test_a_refusal_is_not_tried_again(source: str, run: Callable[..., Collected], books: Books) -> None:
    world, topic = World(history(5), faults={0: services.refused}), Topic()
    collected = run(source, world, topic)
    assert [error.outcome for error in collected.errors] == [Outcome.REFUSED]
    assert len(world.requests) == 1
    assert not topic.sent
    assert [fetch["outcome"] for fetch in fetches(books)] == [Outcome.REFUSED]


@pytest.mark.parametrize("hook", ["begins", "ends"])
@pytest.mark.parametrize("error", [KilledError, UnavailableError])
@pytest.mark.parametrize("part", [1, 2, 3])
@pytest.mark.parametrize("source", SOURCES)
def test_a_killed_run_goes_on_where_it_was(
    source: str, part: int, error: type[BaseException], hook: str, run: Callable[..., Collected], books: Books
) -> None:
    world, topic = World(history(many(source)), page=130), Topic()

    def die(number: int) -> None:
        if number == part:
            raise error("before the broker had the part, or before the cursor was committed")

    setattr(topic, hook, die)
    if part > 1 and source == "spotify":
        pytest.skip("its fifty plays are one part")
    with pytest.raises(error):
        run(source, world, topic)
    asked = len(world.requests)
    setattr(topic, hook, lambda _: None)
    run(source, world, topic)
    assert topic.sent.keys() == set(world.plays)
    doubled = sum(count - 1 for count in topic.sent.values())
    assert doubled <= (100 if hook == "ends" else 0), "more than the part that was not committed"
    if part > 1 and source != "spotify":
        assert world.requests[asked] not in world.requests[:1], "it began anew"


@pytest.mark.parametrize("source", SOURCES)
def test_plays_that_come_and_go_while_pages_are_read_move_no_page(
    source: str, run: Callable[..., Collected], books: Books
) -> None:
    world, topic = World(history(many(source))), Topic()
    gone: set[Played] = set()

    def shift(number: int) -> None:
        # The newest ones are taken back and others come, while the second page is asked for.
        if number == 1:
            gone.update(sorted(world.plays)[-20:])
            world.plays[:] = sorted(world.plays)[:-20]
            late = milliseconds(NOW) - 2_000
            world.plays += [Played(late + 1000 * each, "Late", f"Title {each}") for each in range(2)]

    world.before = shift
    run(source, world, topic)
    run(source, world, topic, NOW + timedelta(minutes=10))
    assert topic.sent.keys() - gone == set(world.plays)
    assert set(topic.sent.values()) == {1}


@pytest.mark.parametrize("source", SOURCES)
def test_the_next_run_sends_what_is_new_and_what_came_late(
    source: str, run: Callable[..., Collected], books: Books
) -> None:
    world, topic = World(history(20)), Topic()
    run(source, world, topic)
    newest = max(world.plays).at
    world.plays += [
        Played(newest - 45_000, "Late", "Began before the newest"),
        Played(newest, "Same", "Second as the newest"),
        Played(newest + 60_000, "New", "After it"),
    ]
    again = run(source, world, topic, NOW + timedelta(hours=1))
    assert_once(topic, world)
    assert again.sent == 3
    assert run(source, world, topic, NOW + timedelta(hours=2)).sent == 0


def test_spotify_says_what_it_has_forgotten(run: Callable[..., Collected], books: Books) -> None:
    world, topic = World(history(20)), Topic()
    run("spotify", world, topic)
    newest = max(world.plays).at
    world.plays += [Played(newest + 200_000 * each, "Much", f"Title {each}") for each in range(1, 81)]
    run("spotify", world, topic, NOW + timedelta(hours=6))
    assert sum(topic.sent.values()) == 70
    last = fetches(books)[-1]
    assert "music source gaps" in last["note"]
    assert milliseconds(last["covered_from"]) == newest + 31 * 200_000


@pytest.mark.parametrize("source", SOURCES)
def test_a_play_that_breaks_the_contract_is_kept_apart(
    source: str, run: Callable[..., Collected], books: Books
) -> None:
    bad = Played(milliseconds(NOW) - 1_000, "Artist", " ")
    world, topic = World([*history(3), bad]), Topic()
    collected = run(source, world, topic)
    assert topic.sent.keys() == set(world.plays) - {bad}
    assert (collected.sent, collected.rejected) == (3, 1)
    assert books.conn.execute("select source, field from source.rejected").fetchall() == [(source, "title")]


@pytest.mark.parametrize("source", ["lastfm", "listenbrainz"])
def test_a_backfill_reads_its_window_and_leaves_the_cursor(
    source: str, run: Callable[..., Collected], books: Books, make_settings: MakeSettings
) -> None:
    world, topic = World(history(many(source))), Topic()
    run(source, world, topic)
    cursors = books.conn.execute("select account, cursor from source.cursors").fetchall()
    since, until = NOW - timedelta(hours=20), NOW - timedelta(hours=10)
    again = Topic()
    with serving(world) as url, opened(source, keyed(make_settings, url), **QUICK) as found:
        backfill(found, books, again, account="me", since=since, until=until)
        with pytest.raises(ConfigurationError, match="valid: me"):
            backfill(found, books, again, account="you", since=since, until=until)
    inside = {play for play in world.plays if milliseconds(since) <= play.at < milliseconds(until)}
    assert again.sent.keys() == inside
    assert inside
    assert books.conn.execute("select account, cursor from source.cursors").fetchall() == cursors


@pytest.mark.parametrize("source", SOURCES)
def test_secrets_are_in_no_log_and_no_error(
    source: str, run: Callable[..., Collected], books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(handler: Any) -> None:
        services.send(handler, {"error": 10, "message": f"{SECRET} at {handler.path}"}, 500)

    caplog.set_level("DEBUG")
    world = World(history(5), faults=dict.fromkeys(range(10), echo))
    collected = run(source, world, Topic())
    told = caplog.text + "".join(map(str, collected.errors)) + str(fetches(books))
    assert collected.errors
    assert SECRET not in told
    assert "s3cret" not in told


@pytest.mark.parametrize("source", SOURCES)
def test_without_a_key_the_same_way_runs_on_recorded_answers(
    source: str, books: Books, make_settings: MakeSettings
) -> None:
    topic = Topic()
    with opened(source, make_settings()) as found:
        first = collect(found, books, topic)
        second = collect(found, books, topic)
    assert found.source.origin == "recorded"
    assert first.sent > 5
    assert second.sent == 0
    assert {fetch["origin"] for fetch in fetches(books)} == {"recorded"}
    assert not first.errors
    tracks = books.conn.execute("select count(*), min(origin) from source.tracks").fetchone()
    assert tracks == (4, "recorded")
