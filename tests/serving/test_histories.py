"""Histories kept in memory: never older than what Redis has said, and asked for once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from music_assets.recommender import features
from serving.histories import NOTHING, Kept, read
from streaming import online
from tests.serving import worlds
from tests.serving.conftest import eventually
from tests.serving.test_recommend import known, serves

if TYPE_CHECKING:
    from tests.serving.conftest import Start

pytestmark = pytest.mark.anyio

ONE = read(features.encode({"artist:04": 3.0}), None)
EPOCH = online.EPOCH_KEY.encode()


def kept_one() -> Kept:
    kept = Kept()
    kept.keep("a", ONE, kept.expect("a"), stands=True)
    return kept


def test_what_was_read_is_kept_until_it_changes() -> None:
    kept = kept_one()
    assert kept.find("a") is ONE
    kept.changed([features.key("b").encode(), online.key("b").encode()])
    assert kept.find("a") is ONE
    kept.changed([online.key("a").encode()])
    assert kept.find("a") is None


def test_what_changed_while_it_was_read_is_not_kept() -> None:
    kept = kept_one()
    reading = kept.expect("b")
    kept.changed([features.key("b").encode()])
    later = kept.expect("b")
    kept.keep("b", ONE, reading, stands=True)
    assert kept.find("b") is None
    kept.keep("b", NOTHING, later, stands=True)
    assert kept.find("b") is NOTHING


def test_nothing_is_sure_until_the_stream_is_seen_to_stand_behind_it_again() -> None:
    kept = kept_one()
    kept.changed([EPOCH])
    assert kept.find("a") is None
    reading = kept.expect("b")
    kept.changed([EPOCH])
    kept.keep("b", ONE, reading, stands=True)
    assert kept.find("b") is None
    kept.keep("c", ONE, kept.expect("c"), stands=False)
    assert (kept.find("a"), kept.find("c")) == (None, None)
    kept.keep("c", ONE, kept.expect("c"), stands=True)
    assert (kept.find("a"), kept.find("c")) == (ONE, ONE)


def test_a_lost_connection_leaves_nothing() -> None:
    kept = kept_one()
    reading = kept.expect("b")
    kept.changed(None)
    kept.keep("b", ONE, reading, stands=True)
    assert (kept.find("a"), kept.find("b")) == (None, None)


def test_the_oldest_give_way() -> None:
    kept = Kept()
    large = read(features.encode({f"track:{number}": 1.0 for number in range(100_000)}), None)
    for name in ("a", "b", "c", "d"):
        kept.keep(name, large, kept.expect(name), stands=True)
    assert [kept.find(name) is large for name in ("a", "b", "c", "d")] == [False, True, True, True]


async def test_an_answer_that_is_ready_asks_redis_nothing(start: Start, redis_url: str, database_url: str) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        listener = await known(api, redis_url, database_url, {"artist:04": 3.0, "artist:06": 1.0})
        with redis.Redis.from_url(redis_url) as client:
            client.set(online.EPOCH_KEY, "a stream runs")
            first = (await api.get("/recommend", user_id="fan", k=5)).json()["items"]
            before = client.info("commandstats")["cmdstat_mget"]["calls"]
            assert (await api.get("/recommend", user_id="fan", k=5)).json()["items"] == first
            assert client.info("commandstats")["cmdstat_mget"]["calls"] == before
            client.set(features.key(listener), features.encode({first[0]["item_id"]: 1.0}))

            async def is_gone() -> bool:
                items = (await api.get("/recommend", user_id="fan", k=5)).json()["items"]
                return first[0]["item_id"] not in [item["item_id"] for item in items]

            await eventually(is_gone, seconds=1)
