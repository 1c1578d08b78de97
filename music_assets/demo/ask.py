"""Asks the running API what a person would ask: recommendations and what is trending."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import httpx
from pydantic import SecretStr

from music_assets.demo.report import Recommendations, Recommended
from music_assets.sources.feed import ClientEvent
from streaming.errors import UnavailableError

LISTENERS: Final = 3
ITEMS: Final = 10
_PATIENCE_SECONDS: Final = 60.0
_PAUSE: Final = 1.0


def some_listeners(events: Iterable[ClientEvent], count: int = LISTENERS) -> list[str]:
    """Return the first `count` user ids that play something."""
    found: dict[str, None] = {}
    for event in events:
        if event.get("event_type") == "listen" and event.get("user_id"):
            found[event["user_id"]] = None
        if len(found) == count:
            break
    return list(found)


class Asker:
    """Reads the API's answers.

    Args:
        url: where it answers.
        key: with the scope `read`, where the API asks for one.
    """

    def __init__(self, url: str, *, key: SecretStr | None = None) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def recommendations(self, users: Iterable[str], *, version: str) -> list[Recommendations]:
        """Return what listeners are shown, asked until the bundle `version` serves or the patience ends."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        answers = [self._recommend(user) for user in users]
        while any(answer.model_version != version for answer in answers) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            answers = [self._recommend(answer.user_id) for answer in answers]
        return answers

    def trending(self, since: datetime | None) -> list[str]:
        """Return the ids of the trending tracks, the first leads; asked until the chart is newer than `since`."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            body = self._get("/trending", {"kind": "track", "k": ITEMS})
            as_of = body.get("as_of")
            fresh = since is None or (as_of is not None and datetime.fromisoformat(as_of) > since)
            if fresh or time.monotonic() > deadline:
                return [str(item["item_id"]) for item in body["items"]]
            time.sleep(_PAUSE)

    def _recommend(self, user: str) -> Recommendations:
        body = self._get("/recommend", {"user_id": user, "k": ITEMS})
        return Recommendations(
            user_id=user,
            model_version=body.get("model_version", ""),
            rung=body["rung"],
            items=[
                Recommended(
                    item_id=item["item_id"],
                    name=item.get("name"),
                    score=item["score"],
                    source=item["source"],
                    reason=item["reason"],
                )
                for item in body["items"]
            ],
        )

    def _get(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return an answer; a part that was just killed gets the time to come back."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = httpx.get(f"{self._url}{path}", params=query, headers=self._headers, timeout=10)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise UnavailableError(f"the API did not answer GET {path}: {error}") from error
                time.sleep(_PAUSE)
                continue
            body: dict[str, Any] = answer.json()
            return body


def recommendation_problems(answers: Iterable[Recommendations], *, version: str, personal: bool) -> list[str]:
    """Return what is wrong with the answers: no items, not by the champion, no reason, or not `personal` as due."""
    problems: list[str] = []
    asked = 0
    for answer in answers:
        asked += 1
        if not answer.items:
            problems.append(f"{answer.user_id} is recommended nothing")
        if answer.model_version != version:
            problems.append(f"{answer.user_id} is served by {answer.model_version}, the champion is {version}")
        if personal and answer.rung != "personal":
            problems.append(f"{answer.user_id} is shown what is {answer.rung}, though a personal model was released")
        if any(not item.reason or not item.source for item in answer.items):
            problems.append(f"{answer.user_id} is not told why")
    return problems if asked else ["no listener was asked for"]


def trend_problems(planted: str, trending: list[str]) -> list[str]:
    """Return what is wrong with the trending list: its first track must be the planted one."""
    if trending[:1] == [planted]:
        return []
    first = trending[0] if trending else "nothing"
    return [f"{first} leads the trending tracks, {planted} was planted"]
