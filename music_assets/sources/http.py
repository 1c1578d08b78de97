"""The one way of requests to a source: at its pace, patiently, within bounds, and without telling secrets.

Every request ends as one `Outcome`. What may pass (a limit, an outage, half a body) is tried again after a pause that
grows and varies; a `Retry-After` is kept to; what a source refuses is not tried again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import quote, quote_plus

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from music_assets.sources.rate import bucket
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

MAX_ANSWER: Final = 16 * 2**20
"""Bytes of an answer; the largest page that a source gives is a tenth of it."""

_TIMEOUT: Final = httpx.Timeout(20, connect=5)
_NOTE: Final = 300
_LONGEST_PAUSE: Final = 30.0
_MALFORMED_TRIES: Final = 3
"""An answer cut off by a broken line is whole the next time; one of a new shape never is."""

for _name in ("httpx", "httpcore"):
    # They log addresses and headers, which hold keys and tokens.
    logging.getLogger(_name).setLevel(logging.WARNING)


class Outcome(StrEnum):
    """What became of a request, and of a fetch as a whole."""

    OK = "ok"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    MALFORMED = "malformed"


class FetchError(UnavailableError):
    """A source gave no usable answer within the patience.

    Attributes:
        outcome: why, never `OK`.
        status: of the last answer, None without one.
        retry_after: seconds the source asked to wait.
    """

    def __init__(
        self, outcome: Outcome, sentence: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.outcome = outcome
        self.status = status
        self.retry_after = retry_after


class ShapeError(ValueError):
    """A body is no answer of the shape that was asked for."""


@dataclass(frozen=True)
class Service:
    """How one source is talked to.

    Attributes:
        name: of the source.
        url: base address.
        per_second: requests a second that the source allows.
        burst: requests at once.
        judge: reads the source's own error from status and body; None: the body is an answer.
        secrets: values that may appear in no log, note or error.
        transport: stands in for the network, None for the network itself.
    """

    name: str
    url: str
    per_second: float
    burst: int
    judge: Callable[[int, bytes], tuple[Outcome, str] | None]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    transport: httpx.BaseTransport | None = None


class Fetcher:
    """Asks one source and counts.

    Args:
        service: whom to ask.
        patience_seconds: how long one question may take with all its pauses.
        attempts: requests per question at most.
        max_bytes: bytes of an answer at most.
        timeout: of one request.
        pause_seconds: the first pause is at most this long, the next ones twice as long each.
        sleep: waits.

    Attributes:
        requests: requests sent.
        retries: those of them that were sent again.
    """

    def __init__(
        self,
        service: Service,
        *,
        patience_seconds: float = 120,
        attempts: int = 6,
        max_bytes: int = MAX_ANSWER,
        timeout: httpx.Timeout = _TIMEOUT,
        pause_seconds: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = service
        self.requests = 0
        self.retries = 0
        self._patience = patience_seconds
        self._attempts = attempts
        self._max_bytes = max_bytes
        self._pause = wait_random_exponential(multiplier=pause_seconds, max=_LONGEST_PAUSE)
        self._sleep = sleep
        self._http = httpx.Client(timeout=timeout, transport=service.transport, follow_redirects=False)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(
        self,
        path: str,
        parse: Callable[[bytes], T],
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Return the parsed answer to a GET.

        Args:
            path: below the service's address, or a whole address of it.
            parse: makes the value of the body.
            params: of the query.
            headers: more of them.

        Raises:
            FetchError: no usable answer within the patience.
        """
        return self.ask("GET", path, parse, params=params, headers=headers)

    def ask(self, method: str, path: str, parse: Callable[[bytes], T], **request: Any) -> T:
        """Return the parsed answer to a request of any method; `request` goes to httpx. Raises as `get`."""
        address = path if path.startswith(("http://", "https://")) else self.service.url.rstrip("/") + path
        tries = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            stop=self._enough,
            sleep=self._sleep,
            reraise=True,
        )
        for attempt in tries:
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    self.retries += 1
                return parse_body(self, parse, self._once(method, address, request))
        raise AssertionError("tenacity ends with a value or an error")

    def hidden(self, text: str) -> str:
        """Return a text without the service's secrets, on one line and not too long."""
        for secret in self.service.secrets:
            for shape in {secret, quote(secret, safe=""), quote_plus(secret)}:
                text = text.replace(shape, "***")
        return " ".join(text.split())[:_NOTE]

    def error(self, outcome: Outcome, text: str, **more: Any) -> FetchError:
        """Return the error that says what the source did, without secrets."""
        return FetchError(outcome, f"{self.service.name}: {self.hidden(text)}", **more)

    def _once(self, method: str, address: str, request: dict[str, Any]) -> bytes:
        if pause := bucket(self.service.name, self.service.per_second, self.service.burst).take():
            self._sleep(pause)
        self.requests += 1
        answered = False
        try:
            with self._http.stream(method, address, **request) as answer:
                answered = True
                body = self._read(answer)
        except httpx.RemoteProtocolError:
            # Without the cause: its request holds the key in its address.
            if answered:
                raise self.error(Outcome.MALFORMED, "the answer broke off") from None
            raise self.error(Outcome.UNAVAILABLE, "the connection was closed without an answer") from None
        except httpx.TimeoutException as error:
            raise self.error(Outcome.UNAVAILABLE, f"no answer in time ({type(error).__name__})") from None
        except httpx.DecodingError:
            raise self.error(Outcome.MALFORMED, "the answer's encoding is broken") from None
        except httpx.HTTPError as error:
            raise self.error(Outcome.UNAVAILABLE, f"{type(error).__name__}: {error}") from None
        self._judge(answer, body)
        return body

    def _read(self, answer: httpx.Response) -> bytes:
        parts, size = [], 0
        end = time.monotonic() + (self._timeout.read or self._patience)
        for part in answer.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                raise self.error(Outcome.REFUSED, f"the answer is larger than {self._max_bytes:,} bytes")
            if time.monotonic() > end:
                raise self.error(Outcome.UNAVAILABLE, "the answer came too slowly")
        return b"".join(parts)

    def _judge(self, answer: httpx.Response, body: bytes) -> None:
        status, given = answer.status_code, answer.headers
        after = retry_after(given.get("retry-after") or given.get("x-ratelimit-reset-in"))
        said = self.service.judge(status, body)
        if status == httpx.codes.TOO_MANY_REQUESTS or (said and said[0] is Outcome.LIMITED):
            raise self.error(
                Outcome.LIMITED, said[1] if said else "too many requests", status=status, retry_after=after
            )
        if said is not None:
            raise self.error(said[0], said[1], status=status, retry_after=after)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self.error(Outcome.UNAVAILABLE, f"HTTP {status}", status=status, retry_after=after)
        if status >= httpx.codes.BAD_REQUEST:
            raise self.error(Outcome.REFUSED, f"HTTP {status}", status=status)
        if status >= httpx.codes.MULTIPLE_CHOICES:
            raise self.error(Outcome.MALFORMED, f"HTTP {status} where an answer should be", status=status)
        kind = given.get("content-type", "")
        if body and "json" not in kind:
            raise self.error(Outcome.MALFORMED, f"the answer is {kind or 'of no type'}, not JSON", status=status)

    def _wait(self, state: RetryCallState) -> float:
        error = _error(state)
        return error.retry_after if error.retry_after is not None else float(self._pause(state))

    def _enough(self, state: RetryCallState) -> bool:
        most = _MALFORMED_TRIES if _error(state).outcome is Outcome.MALFORMED else self._attempts
        waited = (state.seconds_since_start or 0) + state.upcoming_sleep
        return state.attempt_number >= most or waited > self._patience


def parse_body(fetcher: Fetcher, parse: Callable[[bytes], T], body: bytes) -> T:
    """Return what `parse` makes of a body.

    Raises:
        FetchError: the body is not of that shape.
    """
    try:
        return parse(body)
    except (ShapeError, msgspec.DecodeError) as error:
        raise fetcher.error(Outcome.MALFORMED, f"the answer has another shape: {error}") from None


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After`, given as seconds or as a date; None without a readable one."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (zoned - datetime.now(UTC)).total_seconds())


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, FetchError) and error.outcome is not Outcome.REFUSED


def _error(state: RetryCallState) -> FetchError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, FetchError)
    return error
