"""The fetcher alone: pauses, patience, bounds, and what it says of an answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from music_assets.sources.answers.reading import read
from music_assets.sources.http import Fetcher, FetchError, Outcome, Service, retry_after
from music_assets.sources.rate import Bucket

Reply = Callable[[int], httpx.Response]


class Waits:
    """Notes pauses in place of waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def fetcher(reply: Reply, **options: Any) -> tuple[Fetcher, Waits]:
    """A fetcher whose n-th request gets the n-th reply."""
    asked = iter(range(10_000))
    service = Service(
        "test", "http://source.invalid/v1", 1e6, 1000, lambda *_: None, secrets=("s3cret",),
        transport=httpx.MockTransport(lambda _: reply(next(asked))),
    )  # fmt: skip
    waits = Waits()
    return Fetcher(service, sleep=waits, **options), waits


def ok() -> httpx.Response:
    return httpx.Response(200, json={"fine": True})


def limited(after: str) -> Reply:
    return lambda number: httpx.Response(429, headers={"retry-after": after}) if number == 0 else ok()


def test_retry_after_in_seconds_is_kept_to() -> None:
    http, waits = fetcher(limited("17"))
    assert http.get("/x", read) == {"fine": True}
    assert waits.seconds == [17]
    assert (http.requests, http.retries) == (2, 1)


def test_retry_after_as_a_date_is_kept_to() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=40)
    http, waits = fetcher(limited(format_datetime(moment, usegmt=True)))
    http.get("/x", read)
    assert 37 < waits.seconds[0] <= 40


def test_listenbrainz_says_when_a_window_ends_in_a_header_of_its_own() -> None:
    http, waits = fetcher(lambda number: ok() if number else httpx.Response(429, headers={"x-ratelimit-reset-in": "7"}))
    http.get("/x", read)
    assert waits.seconds == [7]


@pytest.mark.parametrize(
    ("value", "expected"), [("0", 0), (" 5 ", 5), ("soon", None), (None, None), ("Thu, 01 Jan 2026 00:00:00 GMT", 0)]
)
def test_retry_after_reads(value: str | None, expected: float | None) -> None:
    assert retry_after(value) == expected


def test_a_wait_beyond_the_patience_is_not_begun() -> None:
    http, waits = fetcher(limited("3600"), patience_seconds=60)
    with pytest.raises(FetchError, match="too many requests") as caught:
        http.get("/x", read)
    assert (caught.value.outcome, caught.value.retry_after, waits.seconds) == (Outcome.LIMITED, 3600, [])


def test_pauses_grow_and_vary() -> None:
    http, waits = fetcher(lambda _: httpx.Response(503), attempts=6, pause_seconds=1)
    with pytest.raises(FetchError, match="HTTP 503"):
        http.get("/x", read)
    assert len(waits.seconds) == 5
    assert all(0 <= pause <= 2**place for place, pause in enumerate(waits.seconds))
    assert len(set(waits.seconds)) == 5


@pytest.mark.parametrize(
    ("reply", "outcome", "requests"),
    [
        (httpx.Response(400, json={}), Outcome.REFUSED, 1),
        (httpx.Response(302, headers={"location": "/login"}), Outcome.MALFORMED, 3),
        (httpx.Response(200, text="<html>", headers={"content-type": "text/html"}), Outcome.MALFORMED, 3),
        (httpx.Response(200, content=b'{"half', headers={"content-type": "application/json"}), Outcome.MALFORMED, 3),
        (httpx.Response(200), Outcome.MALFORMED, 3),
        (httpx.Response(200, content=b"x" * 2000), Outcome.REFUSED, 1),
        (httpx.Response(500), Outcome.UNAVAILABLE, 6),
    ],
)
def test_each_answer_has_an_outcome(reply: httpx.Response, outcome: Outcome, requests: int) -> None:
    http, _ = fetcher(lambda _: reply, max_bytes=1000)
    with pytest.raises(FetchError) as caught:
        http.get("/x", read)
    assert (caught.value.outcome, http.requests) == (outcome, requests)


def test_an_error_of_the_connection_tells_no_secret() -> None:
    def away(_: int) -> httpx.Response:
        raise httpx.ConnectError("cannot reach source.invalid?key=s3cret")

    http, _ = fetcher(away, attempts=2)
    with pytest.raises(FetchError, match=r"key=\*\*\*") as caught:
        http.get("/x", read, params={"key": "s3cret"})
    assert caught.value.outcome is Outcome.UNAVAILABLE
    assert caught.value.__cause__ is None


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    now = 100.0
    bucket = Bucket(2, 3, clock=lambda: now)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    now += 1.0
    assert bucket.take() == 0.5, "those who wait are before this one"
    now += 60
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5], "it never holds more than its burst"
