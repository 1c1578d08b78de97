"""Requests over kept connections, and the measurement of the API on a small world."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from music_assets.bench.http_load import closed, paced, request
from music_assets.bench.serve import Options, run

if TYPE_CHECKING:
    from music_assets.bench.arena import Arena


async def _served(answers: list[bytes], work):  # type: ignore[no-untyped-def]
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answers[number % len(answers)])
            number += 1

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        return await work(server.sockets[0].getsockname()[1])


GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"


def test_each_answer_is_timed_and_a_failed_one_counts_as_that() -> None:
    found = asyncio.run(_served([GOOD, BAD], lambda port: closed(port, [request("/")], count=10, connections=2)))
    assert (len(found.seconds), found.failed, found.statuses[200]) == (10, 4, 6)


def test_a_steady_rate_is_kept_and_a_late_answer_makes_the_next_ones_late() -> None:
    async def slowly(port: int):  # type: ignore[no-untyped-def]
        return await paced(port, [request("/")], rate=100, seconds=0.5, connections=4)

    begin = asyncio.new_event_loop().time()
    found = asyncio.run(_served([GOOD], slowly))
    assert len(found.seconds) == 50
    assert asyncio.new_event_loop().time() - begin >= 0.49


def test_a_server_that_hangs_up_is_an_error() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            await closed(server.sockets[0].getsockname()[1], [request("/")], count=1, connections=1)

    with pytest.raises(ConnectionError):
        asyncio.run(ask())


@pytest.mark.heavy
@pytest.mark.slow
def test_every_side_is_measured_in_one_run(place: Arena) -> None:
    options = Options(listeners=1000, items=1000, repeat=1, requests=100, rate=20, seconds=2)
    report = json.loads(run(options, place, lambda _sentence: None).as_json())
    assert all(rate > 0 for rate in report["measured"]["per_cpu_second"].values())
    assert {each["name"] for each in report["requirements"]} >= {"two_stage / hello", "failed requests"}
    assert report["requirements"][-1]["value"] == 0
