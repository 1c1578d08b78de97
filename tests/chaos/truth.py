"""What was sent and what was said about it: the record that the lake is held against."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from music_assets.sources.client import Verdicts
from music_assets.sources.feed import ClientEvent, topic_of
from music_assets.sources.foreign import Planted
from music_assets.sources.synthetic import identity
from tests.chaos.plan import Posting

Handle = tuple[str, str]
"""A topic and the identity of an event as its sender knows it."""


@dataclass
class Truth:
    """The record of a run; many threads write into it.

    Attributes:
        posted: every posting in the order of posting, copies and refused ones included.
        first: by handle the event that must be the row: the first one of its identity.
        answered: handles with a verdict `accepted` or `spooled`.
        verdicts: the API's verdicts, counted by the client.
        wrong: sentences about verdicts that are not the planted ones.
        direct: messages sent straight to the topics, each with the times it was sent.
        settled: events whose place on the topic nobody can take any more.
        erased: listener ids of whom nothing may be left, though their events go on being posted.
    """

    posted: list[Posting] = field(default_factory=list)
    first: dict[Handle, ClientEvent] = field(default_factory=dict)
    answered: set[Handle] = field(default_factory=set)
    verdicts: Verdicts = field(default_factory=Verdicts)
    wrong: list[str] = field(default_factory=list)
    direct: list[tuple[Planted, int]] = field(default_factory=list)
    settled: list[ClientEvent] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def plan(self, postings: Sequence[Posting]) -> None:
        """Note a request before it is sent for the first time."""
        with self._lock:
            self.posted += postings
            for posting in postings:
                if posting.refused is None:
                    self.first.setdefault(handle(posting.event), posting.event)

    def answer(self, postings: Sequence[Posting], results: Sequence[dict[str, Any]]) -> None:
        """Note the verdicts on a request."""
        with self._lock:
            for posting, result in zip(postings, results, strict=True):
                self._judge(posting, result)

    def _judge(self, posting: Posting, result: dict[str, Any]) -> None:
        refused = result.get("field") if result["verdict"] == "rejected" else None
        if (result["verdict"] == "rejected") != (posting.refused is not None) or refused != posting.refused:
            self.wrong.append(f"the API said {result['verdict']} ({refused}) to an event with fault {posting.refused}")
            return
        if posting.refused is not None:
            return
        name = handle(posting.event)
        self.answered.add(name)
        # A spooled event has no place on the topic yet, and a later one under its id could still come before it.
        if result["verdict"] == "accepted" and "event_id" in posting.event and posting.event is self.first[name]:
            self.settled.append(posting.event)

    def count(self, verdicts: Verdicts) -> None:
        """Count in what a request came to, its repetitions included."""
        with self._lock:
            self.verdicts.add(verdicts)

    def sent(self, planted: Planted, times: int) -> None:
        """Note a message that the broker has, and how often it was sent to get there."""
        with self._lock:
            self.direct.append((planted, times))

    @property
    def unanswered(self) -> set[Handle]:
        """Return the handles without a verdict: they may be stored once or not at all."""
        return self.first.keys() - self.answered


def handle(event: ClientEvent) -> Handle:
    """Return the handle of a good event."""
    return topic_of(event["event_type"]), identity(event)
