"""The API as methods: typed answers, problems as exceptions, and requests that are sent again when that is safe."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import BaseModel

from serving.client.errors import ApiError, ApiUnavailableError
from serving.events.schemas import IngestAnswer
from serving.plays.schemas import RecentAnswer
from serving.recommend.schemas import RecommendationAnswer
from serving.stats.schemas import StatsAnswer
from serving.trending.schemas import TrendingAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

A = TypeVar("A", bound=BaseModel)

MOST_EVENTS: Final = 1000
_AGAIN: Final = frozenset({429, 503})
_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


class MusicClient:
    """Asks one API; close it, or use it in a `with`.

    Args:
        url: where the API is, such as http://localhost:8000.
        key: of `music key create`; none where the API asks for none.
        tries: how often a request is sent at most.
        timeout: seconds for each try.
        transport: of httpx, for tests.
    """

    def __init__(
        self, url: str, *, key: str | None = None, tries: int = 4, timeout: float = 10,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, events: Iterable[Mapping[str, Any]]) -> Iterator[IngestAnswer]:
        """Send events, a thousand at a time, and yield the verdicts on each thousand.

        A request has a name of its own, so that one that is sent again is carried out once.

        Raises:
            ApiError: the API refuses a request as a whole; that single events are rejected is an answer.
            ApiUnavailableError: it does not answer.
        """
        left = iter(events)
        while batch := list(islice(left, MOST_EVENTS)):
            yield self._send(batch)

    def recommend(self, user_id: str, *, k: int = 10, **conditions: str | int | bool) -> RecommendationAnswer:
        """Return what to play next to a user, and why.

        Args:
            user_id: as in the events.
            k: how many items, 1 to 100.
            conditions: of `GET /recommend`: genre, year_from, year_to, kind, context, exclude_heard.
        """
        return self._get(RecommendationAnswer, "/recommend", user_id=user_id, k=k, **conditions)

    def trending(self, *, window: str = "1h", k: int = 20) -> TrendingAnswer:
        """Return what is played most right now."""
        return self._get(TrendingAnswer, "/trending", window=window, k=k)

    def recent(self, user_id: str, *, limit: int = 20) -> RecentAnswer:
        """Return what a user played lately."""
        return self._get(RecentAnswer, f"/users/{_quoted(user_id)}/recent", limit=limit)

    def stats(self, user_id: str, *, range: str = "month") -> StatsAnswer:  # noqa: A002 - the parameter's name
        """Return how a user listens."""
        return self._get(StatsAnswer, f"/users/{_quoted(user_id)}/stats", range=range)

    def _send(self, batch: Sequence[Mapping[str, Any]]) -> IngestAnswer:
        headers = {"Idempotency-Key": uuid4().hex}
        answer = self._ask("POST", "/events", accept=422, json=list(batch), headers=headers)
        return IngestAnswer.model_validate_json(answer.content)

    def _get(self, kind: type[A], path: str, **query: Any) -> A:
        return kind.model_validate_json(self._ask("GET", path, params=query).content)

    def _ask(self, method: str, path: str, *, accept: int | None = None, **more: Any) -> httpx.Response:
        for left in range(self._tries - 1, -1, -1):
            try:
                answer = self._http.request(method, path, **more)
            except httpx.TransportError as error:
                if not left:
                    raise ApiUnavailableError(503, f"the API does not answer: {type(error).__name__}") from error
                time.sleep(_PAUSE_SECONDS)
                continue
            if answer.is_success or (answer.status_code == accept and "results" in answer.text):
                return answer
            if not left or answer.status_code not in _AGAIN:
                break
            time.sleep(_pause(answer))
        raise _problem(answer)


def _quoted(user_id: str) -> str:
    return quote(user_id, safe="")


def _pause(answer: httpx.Response) -> float:
    try:
        return min(float(answer.headers["Retry-After"]), _LONGEST_PAUSE_SECONDS)
    except (KeyError, ValueError):
        return _PAUSE_SECONDS


def _problem(answer: httpx.Response) -> ApiError:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    kind = ApiUnavailableError if answer.status_code in _AGAIN else ApiError
    return kind(
        answer.status_code, said.get("detail", answer.reason_phrase), field=said.get("field"),
        valid=tuple(said.get("valid") or ()),
    )  # fmt: skip
