"""The features in a real Redis: a batch is in or it is not, an event counts once, and a listener can be forgotten."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from streaming import online
from streaming.errors import IntegrityError, UnavailableError
from streaming.events import EventType
from streaming.features import Features, Seen, digest, microseconds, seen
from streaming.online import Position
from streaming.sinks import transaction
from streaming.sinks.online import OnlineStore
from streaming.sinks.transaction import Batch, Move, PlaceLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime.now(UTC)
NOW_US = microseconds(NOW)
DAY_US = 86_400_000_000
PLACE = ("events_listens", 0)


class Store(OnlineStore):
    """A store that was just built, and its one partition."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begin_rebuild(lambda: None)
        self.end_rebuild({PLACE: Position("topic-id", 0)})
        self.name = self.epoch() or ""
        self.offset = 0

    def take(self, *events: tuple[str, Seen], now: int = NOW_US) -> tuple[int, int]:
        """Commit the next batch; returns events stored and duplicates."""
        by_listener: dict[str, list[Seen]] = {}
        for listener, event in events:
            by_listener.setdefault(listener, []).append(event)
        before, after = Position("topic-id", self.offset), Position("topic-id", self.offset + len(events))
        batch = Batch(events=by_listener, moves={PLACE: Move(before=before, after=after)})
        outcome = self.commit(batch, epoch=self.name, now=now)
        self.offset += len(events)
        return outcome.stored.total(), outcome.duplicate.total()

    def of(self, listener: str) -> Features:
        return online.read(self.redis, [listener], now=NOW)[0]

    def listens(self, listener: str) -> int:
        return self.of(listener).total[EventType.LISTEN]


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url)
    yield store
    store.close()


def address(store: OnlineStore) -> str:
    return f"redis://127.0.0.1:{store.redis.connection_pool.connection_kwargs['port']}/0"


def one(number: int, kind: EventType = EventType.LISTEN, *, item: str = "") -> Seen:
    return seen(kind, item or f"track:{number}", NOW - timedelta(seconds=number), f"event-{number}")


def everything(store: OnlineStore) -> dict[bytes, Any]:
    kinds: dict[bytes, Callable[[bytes], Any]] = {b"string": store.redis.get, b"set": store.redis.smembers}
    return {name: kinds[store.redis.type(name)](name) for name in sorted(store.redis.keys("*"))}


def test_an_event_counts_once_in_a_batch_and_over_batches(store: Store) -> None:
    assert store.take(("a", one(1)), ("a", one(2)), ("a", one(1)), ("b", one(1))) == (3, 1)
    assert store.take(("a", one(2)), ("a", one(3)), ("b", one(1)), ("b", one(1, EventType.VIEW))) == (2, 2)
    assert store.listens("a") == 3
    assert [item.item_id for item in store.of("a").recent] == ["track:1", "track:2", "track:3"]
    assert (store.listens("b"), store.of("b").total[EventType.VIEW]) == (1, 1)
    assert online.positions(store.redis, [PLACE]) == {PLACE: Position("topic-id", 8)}


def test_of_the_same_id_with_other_content_the_first_counts(store: Store) -> None:
    store.take(("a", one(1, item="track:first")), ("a", one(1, item="track:second")))
    store.take(("a", one(1, item="track:third")))
    assert [item.item_id for item in store.of("a").recent] == ["track:first"]


def test_ids_are_kept_for_a_day_at_least_and_two_at_most(store: Store) -> None:
    today = int(time.time() * 1_000_000)
    store.take(("a", one(1)), now=today)
    [name] = store.redis.keys(f"{online.PREFIX}ids:*")
    assert 86_400 - 5 < store.redis.ttl(name) <= 2 * 86_400
    assert store.take(("a", one(1)), ("a", one(2)), now=today + DAY_US) == (1, 1), "the next day it is still known"
    assert store.take(("a", one(1)), ("a", one(2)), now=today + DAY_US) == (0, 2)
    store.redis.delete(name)  # as its expiry does
    assert store.take(("a", one(2)), now=today + 2 * DAY_US) == (0, 1)


def test_a_set_expires_before_its_key_takes_its_next_turn(store: Store) -> None:
    store.take(("a", one(1)))
    [name] = store.redis.keys(f"{online.PREFIX}ids:*")
    day = NOW_US // DAY_US
    assert name.decode() == online.ids_key("a", day) == online.ids_key("a", day + 2) != online.ids_key("a", day + 1)
    assert abs(time.time() + store.redis.ttl(name) - (day + 2) * 86_400) < 5


def test_everything_of_a_listener_expires(store: Store) -> None:
    store.take(("a", one(1)))
    for name in store.redis.keys("*:a"):
        assert 0 < store.redis.ttl(name) <= online.KEEP_SECONDS
    assert store.redis.ttl(online.key("a")) > online.KEEP_SECONDS - 60


@pytest.mark.parametrize(
    "before", [Position("topic-id", 7), Position("topic-id", 0), Position("another", 2), None], ids=str
)
def test_a_batch_from_another_place_changes_nothing(store: Store, before: Position | None) -> None:
    store.take(("a", one(1)), ("a", one(2)))
    held = everything(store)
    batch = Batch(events={"a": [one(3)]}, moves={PLACE: Move(before=before, after=Position("topic-id", 9))})
    with pytest.raises(PlaceLostError, match="another place"):
        store.commit(batch, epoch=store.name, now=NOW_US)
    with pytest.raises(PlaceLostError, match="no longer holds"):
        store.commit(batch, epoch="another", now=NOW_US)
    assert everything(store) == held


def test_a_batch_without_valid_events_moves_the_position(store: Store) -> None:
    batch = Batch(events={}, moves={PLACE: Move(before=Position("topic-id", 0), after=Position("topic-id", 5))})
    store.commit(batch, epoch=store.name, now=NOW_US)
    assert online.positions(store.redis, [PLACE]) == {PLACE: Position("topic-id", 5)}


def between(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], *, times: int = 1) -> None:
    """Do something else in Redis after a batch was read and before it is written."""
    original, left = transaction._values, [times]

    def values(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            action()
        return original(*arguments, **options)

    monkeypatch.setattr(transaction, "_values", values)


def test_a_second_writer_at_the_same_moment_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = OnlineStore(address(store))
    elsewhere = ("events_views", 0)
    batch = Batch(events={"a": [one(5)]}, moves={elsewhere: Move(before=None, after=Position("views", 1))})
    between(monkeypatch, lambda: other.commit(batch, epoch=store.name, now=NOW_US))
    assert store.take(("a", one(1)), ("a", one(2))) == (2, 0)
    assert store.listens("a") == 3, "one of them was written over"
    assert set(online.positions(store.redis, [PLACE, elsewhere]).values()) == {
        Position("topic-id", 2), Position("views", 1),
    }  # fmt: skip


def test_a_writer_that_was_overtaken_writes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    move = Move(before=Position("topic-id", 0), after=Position("topic-id", 2))
    batch = Batch(events={"a": [one(1), one(2)]}, moves={PLACE: move})
    other = OnlineStore(address(store))
    between(monkeypatch, lambda: other.commit(batch, epoch=store.name, now=NOW_US))
    with pytest.raises(PlaceLostError, match="another place"):
        store.commit(batch, epoch=store.name, now=NOW_US)
    assert store.listens("a") == 2


def test_a_flush_at_the_same_moment_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.take(("a", one(1)))
    between(monkeypatch, store.redis.flushall)
    with pytest.raises(PlaceLostError, match="no longer holds"):
        store.take(("a", one(2)))
    assert everything(store) == {}
    with pytest.raises(PlaceLostError, match="no longer holds"):
        store.stay(store.name)


def test_an_endless_quarrel_ends_with_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    between(monkeypatch, lambda: store.redis.set(online.key("a"), os.urandom(60)), times=1000)
    with pytest.raises(PlaceLostError, match="changed by others 5 times"):
        store.take(("a", one(1)))


def test_staying_keeps_the_epoch(store: Store) -> None:
    store.redis.expire(online.EPOCH_KEY, 50)
    store.stay(store.name)
    assert store.redis.ttl(online.EPOCH_KEY) > 86_000


def test_who_is_forgotten_is_in_no_key_and_no_value(store: Store) -> None:
    planted = "11111111-planted-listener"
    for day in range(2):
        store.take((planted, one(day)), ("b", one(day)), now=NOW_US + day * DAY_US)
    held = everything(store)
    assert sum(planted.encode() in name for name in held) == 3
    others = {name: value for name, value in held.items() if planted.encode() not in name}
    assert planted.encode() not in repr(others).encode(), "a value holds the id"
    assert online.forget(store.redis, [planted, "nobody"]) == 3
    epoch = online.EPOCH_KEY.encode()
    assert {**everything(store), epoch: None} == {**others, epoch: None}
    assert 0 < store.redis.ttl(epoch) <= online.EPOCH_SECONDS
    assert online.forget(store.redis, [planted]) == 0
    assert store.of(planted).since is None
    assert online.forget(store.redis, [f"listener-{number}" for number in range(3000)]) == 0
    assert store.listens("b") == 2


def test_who_is_forgotten_at_the_same_moment_does_not_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.take(("a", one(1)), ("a", one(2)))
    between(monkeypatch, lambda: online.forget(store.redis, ["a"]))
    with pytest.raises(PlaceLostError):
        store.take(("a", one(3)), ("b", one(1)))
    assert store.redis.keys("*:a") == []
    store.name = store.epoch() or ""
    assert store.take(("b", one(1))) == (1, 0), "the positions are as they were"


def test_a_rebuild_begins_with_nothing_and_counts_at_its_end(store: Store) -> None:
    store.take(("a", one(1)))
    store.redis.set("features:0:of:a", "an older layout")
    store.redis.set("history:a", "of another part")
    store.begin_rebuild(lambda: None)
    assert store.epoch() is None
    assert everything(store).keys() == {b"history:a", online.REBUILD_KEY.encode()}
    since = {"a": NOW_US - DAY_US}
    store.add(Batch(events={"a": [one(1), one(2)._replace(digest=0)]}, since=since), now=NOW_US)
    store.end_rebuild({PLACE: Position("topic-id", 2)})
    assert store.epoch() not in {None, store.name}
    store.name, store.offset = store.epoch() or "", 2
    assert store.take(("a", one(1)), ("a", one(3))) == (1, 1), "the ids of the last day are built as well"
    assert store.listens("a") == 3
    assert store.of("a").since == NOW - timedelta(days=1)


def test_one_process_rebuilds_and_one_that_lost_its_turn_stops(store: Store) -> None:
    other = OnlineStore(address(store))
    store.begin_rebuild(lambda: None)
    with pytest.raises(UnavailableError, match="another process rebuilds"):
        other.begin_rebuild(lambda: None)
    assert 0 < store.redis.ttl(online.REBUILD_KEY) <= 30
    store.begin_rebuild(lambda: None)
    store.redis.delete(online.REBUILD_KEY)  # as its expiry does
    other.begin_rebuild(lambda: None)
    with pytest.raises(PlaceLostError, match="took over"):
        store.add(Batch(events={"a": [one(1)]}), now=NOW_US)
    with pytest.raises(PlaceLostError, match="took over"):
        store.end_rebuild({PLACE: Position("topic-id", 0)})
    other.end_rebuild({PLACE: Position("topic-id", 0)})
    assert store.listens("a") == 0


def test_forgetting_makes_a_rebuild_start_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.begin_rebuild(lambda: None)
    store.add(Batch(events={"a": [one(1)]}), now=NOW_US)
    between(monkeypatch, lambda: online.forget(store.redis, ["a"]))
    with pytest.raises(PlaceLostError):
        store.add(Batch(events={"a": [one(2)]}), now=NOW_US)
    assert store.redis.keys("*:a") == []


def test_a_value_that_cannot_be_read_stops_nobody_else(store: Store) -> None:
    store.take(("a", one(1)), ("b", one(1)))
    store.redis.set(online.key("a"), b"\xc1")
    with pytest.raises(IntegrityError, match="cannot be read"):
        online.read(store.redis, ["b", "a"], now=NOW)
    assert store.take(("a", one(2)), ("b", one(2))) == (2, 0)
    assert (store.listens("a"), store.listens("b")) == (1, 2)


def test_readers_take_one_command_whatever_their_client(store: Store, redis_url: str) -> None:
    store.take(("a", one(1)), ("b", one(2)))
    listeners = ["b", "nobody", "a"]
    store.redis.config_resetstat()
    found = online.read(store.redis, listeners, now=NOW)
    calls = {name: command["calls"] for name, command in store.redis.info("commandstats").items()}
    assert {name for name in calls if "config" not in name} == {"cmdstat_mget"}
    assert calls["cmdstat_mget"] == 1
    assert [[item.item_id for item in each.recent] for each in found] == [["track:2"], [], ["track:1"]]

    async def ask() -> list[Features] | None:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            return await online.read_async(client, listeners, now=NOW)

    assert asyncio.run(ask()) == found
    store.redis.delete(online.EPOCH_KEY)
    assert asyncio.run(ask()) is None
    assert online.read(store.redis, [], now=NOW) == []


@pytest.mark.parametrize("value", [b"", b"x", b":5", b"id:", b"id:-1", b"\xff\xfe", b"id:1:x"])
def test_a_position_that_cannot_be_read_stops_the_work(store: Store, value: bytes) -> None:
    assert online.to_position(None) is None
    assert online.to_position(str(Position("a_b-C", 12)).encode()) == Position("a_b-C", 12)
    store.redis.set(online.position_key(*PLACE), value)
    with pytest.raises(IntegrityError, match="delete features:1:epoch"):
        store.take(("a", one(1)))


def grown(store: Store, listeners: int, events: int, item: Callable[[int], str]) -> float:
    """Bytes of Redis per listener after so many events of each today."""
    before = store.redis.info("memory")["used_memory"]
    for start in range(0, listeners, 100):
        names = [f"6f4f6d75-7369-5c63-8f0e-{number:012d}" for number in range(start, min(start + 100, listeners))]
        many = [
            (name, Seen(3, item(number), NOW_US - number * 1_000_000, digest(3, f"{name}{number}")))
            for name in names
            for number in range(events)
        ]
        for part in range(0, len(many), 2000):
            store.take(*many[part : part + 2000])
    return float(store.redis.info("memory")["used_memory"] - before) / listeners


def test_ten_thousand_listeners_take_what_the_layout_says(store: Store) -> None:
    per_listener = grown(store, 10_000, 60, lambda number: f"track:{number:022d}")
    assert per_listener < 2048 + 400 + 60 * 8 + 512, f"{per_listener:.0f} bytes each"
    found = online.inventory(store.redis)
    assert (found.listeners, found.keys) == (10_000, 20_002)
    assert 0.7 < found.bytes / (per_listener * 10_000) < 1.3


def test_hostile_ids_and_endless_events_stay_within_the_bound(store: Store) -> None:
    huge = grown(store, 50, 200, lambda number: f"track:{number:03d}" + "\U0001f3b5" * 190)
    assert huge < 9 * 1024 + 400 + 200 * 8 + 2048, f"{huge:.0f} bytes each"
    store.redis.flushall()
    store.begin_rebuild(lambda: None)
    store.end_rebuild({PLACE: Position("topic-id", store.offset)})
    store.name = store.epoch() or ""
    endless = grown(store, 1, 20_000, lambda number: f"track:{number:022d}")
    assert endless < 2048 + 400 + 20_000 * 80, f"{endless:.0f} bytes"
    assert len(store.redis.get(online.key("6f4f6d75-7369-5c63-8f0e-000000000000"))) < 3000
