"""Requests over kept connections, as fast as they are answered or at a steady rate; costs the client little."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING

from httptools import HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass
class Answers:
    """What came back.

    Attributes:
        seconds: of each answer, in the order they came.
        statuses: how often each status came.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Answers that are neither a success nor a redirect."""
        return sum(count for status, count in self.statuses.items() if status >= 400)


def request(path: str, body: bytes | None = None, *, kind: str = "application/json") -> bytes:
    """Return a request as it goes over the wire: POST with a body, GET without."""
    head = f"{'POST' if body is not None else 'GET'} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    return f"{head}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def closed(port: int, requests: Sequence[bytes], *, count: int, connections: int) -> Answers:
    """Send `count` requests in turn, each connection one after the other.

    Raises:
        OSError: nobody answers there, or a connection ended.
    """
    answers, left = Answers(), islice(cycle(requests), count)

    async def work() -> None:
        async with await _connected(port) as connection:
            for each in left:
                await _timed(connection, each, answers, time.perf_counter())

    await asyncio.gather(*(work() for _ in range(connections)))
    return answers


async def paced(port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int) -> Answers:
    """Send requests at a steady rate; an answer's time counts from when its request was due, not from when it went.

    Raises:
        OSError: nobody answers there, or a connection ended.
    """
    answers, begin = Answers(), time.perf_counter()
    due: Iterator[tuple[int, bytes]] = enumerate(islice(cycle(requests), int(rate * seconds)))

    async def work() -> None:
        async with await _connected(port) as connection:
            for number, each in due:
                at = begin + number / rate
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                await _timed(connection, each, answers, at)

    await asyncio.gather(*(work() for _ in range(connections)))
    return answers


async def _timed(connection: _Connection, wire: bytes, answers: Answers, since: float) -> None:
    status = await connection.ask(wire)
    answers.seconds.append(time.perf_counter() - since)
    answers.statuses[status] += 1


class _Connection(asyncio.Protocol):
    """One request at a time; the body is read and dropped."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    async def __aenter__(self) -> _Connection:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            self._transport.close()

    def ask(self, wire: bytes) -> asyncio.Future[int]:
        """Send a request; the result is its status."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the server closed a kept connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(wire)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # create_connection makes a Transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """End an answer; the parser calls it."""
        answer, status = self._answer, self._parser.get_status_code()
        self._parser = HttpResponseParser(self)
        if answer is not None and not answer.done():
            answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server closed a connection before it answered"))


async def _connected(port: int) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return connection
