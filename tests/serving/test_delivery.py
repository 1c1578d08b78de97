"""What the broker said of each message of a call, where it is not the same of all."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock
from uuid import uuid4

import pytest

from music_assets.stack.process import free_port
from serving.cache import Cache
from serving.delivery import Delivery
from serving.dependency import Dependency
from serving.events.service import Outbox
from serving.identity.service import Identity
from serving.spool import Spool
from streaming.outgoing import Outgoing
from streaming.producer import EventProducer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

TOPIC = "events_views"


def messages(count: int) -> list[Outgoing]:
    return [Outgoing(TOPIC, f"listener-{number}", uuid4().bytes, uuid4().hex) for number in range(count)]


def delivery(servers: str, *, queue: int = 1000, seconds: float = 20) -> Delivery:
    producer = EventProducer(
        servers, client_id="test", delivery_timeout_ms=60_000, queue_messages=queue, own_thread=False
    )
    return Delivery(producer, Dependency("kafka"), timeout_seconds=seconds)


async def test_what_found_no_room_is_not_sent_and_the_rest_is(broker: str) -> None:
    one = delivery(broker, queue=3)
    assert await one.send(messages(5)) == [True, True, True, False, False]
    assert one.broker.state == "down"
    assert await one.send(messages(3)) == [True, True, True]
    assert one.broker.state == "up"
    assert await one.close() == 0


async def test_what_is_not_said_in_time_is_not_known(broker: str) -> None:
    away = delivery(f"127.0.0.1:{free_port()}", seconds=0.1)
    assert await away.send(messages(2)) == [False, False]
    assert (away.broker.state, away.broker.detail) == ("down", "the broker did not answer in time")


async def test_equal_messages_are_one_event(broker: str) -> None:
    one = delivery(broker, queue=3)
    [first], [second] = messages(1), messages(1)
    assert await one.send([first, first, second, first]) == [True, True, True, False]
    await one.close()


async def test_a_message_that_nobody_waits_for_is_given_back_if_it_was_not_taken(broker: str) -> None:
    one = delivery(broker, queue=1)
    posted, given_back = messages(2), list[Outgoing]()
    for message in posted:
        one.post(message, on_failed=given_back.append)
    assert given_back == posted[1:]
    assert await one.close() == 0
    assert given_back == posted[1:]


async def test_of_more_than_the_spool_holds_what_fits_is_kept(tmp_path: Path) -> None:
    away, spool, lost = delivery(f"127.0.0.1:{free_port()}"), Spool(tmp_path / "spool.db", limit=700), list[str]()
    away.broker.down("gone")
    outbox = Outbox(away, spool, identity=Mock(Identity), cache=Mock(Cache))
    await spool.open()
    for message in messages(1200):
        outbox.post(message, on_lost=lost.append)
    await outbox.settle()
    assert (spool.count, len(lost)) == (700, 500)
    assert "full" in lost[0]
    await spool.close()
