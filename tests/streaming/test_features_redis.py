"""The features' job and a Redis of its own: killed, full, or back from an old snapshot, it ends with what is true."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from music_assets.stack import servers
from music_assets.stack.process import wait_until
from streaming import online
from streaming.control import FEATURES
from streaming.errors import UnavailableError
from streaming.jobs import features, features_writer
from streaming.jobs.erase import erase_once
from streaming.jobs.tombstones import write_tombstones
from streaming.lake import Lake
from tests.fixtures.servers import running
from tests.streaming.listeners import Event, Listeners, events
from tests.streaming.test_features_job import world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeSettings

__all__ = ["world"]


@pytest.fixture
def own_redis(world: Listeners, make_settings: MakeSettings) -> Iterator[Callable[[], int]]:
    """A Redis of the test's own: starts it and returns its process id."""
    chosen = make_settings()
    world.settings = world.settings.model_copy(update={"redis_url": chosen.redis})
    world.__post_init__()
    part = servers.redis_server(chosen)
    contexts = []

    def start() -> int:
        context = running(part, world.folder)
        process = context.__enter__()
        contexts.append(context)
        return process.pid

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def test_a_redis_that_comes_back_from_an_old_snapshot_is_brought_up_to_now(
    world: Listeners, own_redis: Callable[[], int]
) -> None:
    pid = own_redis()
    sent = events(900, seed=10)
    with world.service() as process:
        world.put(*sent[:300])
        world.client.run(FEATURES)
        world.redis.save()
        world.put(*sent[300:600])
        world.client.run(FEATURES)
        os.kill(pid, signal.SIGKILL)
        world.put(*sent[600:800])
        time.sleep(2)
        assert process.poll() is None, world.log()
        assert world.client.alive(), "that Redis is away is not this process's fault"
        with pytest.raises(UnavailableError, match="Redis does not answer"):
            world.client.run(FEATURES)
        own_redis()
        world.put(*sent[800:])
        assert wait_until(lambda: _current(world), seconds=30), world.log()
        assert process.poll() is None
        assert "waits" in world.log()
        assert "goes_on" in world.log()
    world.assert_holds(sent)


def test_a_redis_that_comes_back_from_an_old_snapshot_does_not_bring_back_who_is_forgotten(
    world: Listeners, own_redis: Callable[[], int]
) -> None:
    pid = own_redis()
    sent: list[Event] = events(100, seed=21)
    planted = {**sent[0], "event_id": "planted", "user_id": "planted-listener-id"}
    with world.service():
        world.put(*sent, planted)
        world.client.run(FEATURES)
        world.redis.save()
        settings = world.settings.model_copy(update={"stream_engine": "python"})
        erase_once(["planted-listener-id"], "request", settings, None)
        assert wait_until(lambda: _cleared(world), seconds=30), world.log()
        os.kill(pid, signal.SIGKILL)
        own_redis()
        assert world.names(b"planted"), "the snapshot is of before the erasure"
        assert wait_until(lambda: _cleared(world), seconds=30), world.log()
        assert wait_until(lambda: _current(world), seconds=30), world.log()
    assert not world.names(b"planted")
    world.assert_holds(sent)


def _cleared(world: Listeners) -> bool:
    return bool(world.redis.get(online.FORGOTTEN_KEY) == b"1")


def test_an_erasure_that_was_killed_before_it_came_to_redis_is_made_good(
    world: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_writer, "_TOPICS_SECONDS", 0.5)
    sent: list[Event] = events(100, seed=22)
    stream = features.FeatureStream(world.settings)
    turning = threading.Thread(target=stream.serve)
    turning.start()
    try:
        world.put(*sent, {**sent[0], "event_id": "planted", "user_id": "planted-listener-id"})
        stream.run(FEATURES)
        lake = Lake(world.settings.storage)
        lake.create_all()
        write_tombstones(lake, ["planted-listener-id"], "request")
        assert wait_until(lambda: not world.names(b"planted"), seconds=20)
    finally:
        stream.stop()
        turning.join()
        stream.close()
    world.assert_holds(sent)


def _current(world: Listeners) -> bool:
    try:
        return world.client.run(FEATURES).job == FEATURES
    except UnavailableError:
        return False


def test_a_full_redis_is_waited_for(world: Listeners, own_redis: Callable[[], int]) -> None:
    own_redis()
    sent = events(400, seed=11)
    with world.service() as process:
        world.put(*sent[:200])
        world.client.run(FEATURES)
        world.redis.config_set("maxmemory", 1)
        world.put(*sent[200:])
        assert wait_until(lambda: "maxmemory" in world.log(), seconds=20)
        world.redis.config_set("maxmemory", 0)
        world.client.run(FEATURES)
        assert process.poll() is None
    world.assert_holds(sent)
