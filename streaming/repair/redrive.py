"""Sends dead letters to their topics once more, each one once, whatever is killed in between.

How "once" holds. A redriven message carries where it was first (`redrive-of`) and the attempt; the pair is its name,
and `lake/redriven` holds the names of all that were sent. Sending and writing down cannot be one step, and Kafka
transactions are not for these topics (their markers take offsets, which the ledger would miss). So the broker itself
is the record: before anything is sent, a commit opens the run and leaves the end offset of every partition as Delta
transaction versions; each few hundred messages are written down once acknowledged; a last commit closes the run. A
run that finds another one open waits two seconds, asks for the ends of the topics, reads from those offsets up to
there, takes down the names it finds, and only then sends. The read takes as long as what came since.

A message that a killed process had given away, and that the broker took more than two seconds to write, would be missed
and sent again. It is still stored once: the second copy is a duplicate by its event_id, or one more dead letter.

The state lies in the table and not beside the checkpoints, so it is lost only with the record itself. Two runs at
once are held apart by a lock file. No lease on silver is needed: nothing here writes to its tables.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog
from confluent_kafka import KafkaException, Producer

from streaming.errors import UnavailableError
from streaming.jobs.lease import lease
from streaming.jobs.tombstones import forgotten
from streaming.lake import Lake
from streaming.parse import Reason
from streaming.producer import configuration
from streaming.repair.letters import (
    REDRIVE_ATTEMPT,
    REDRIVE_OF,
    Origin,
    Wanted,
    letters,
    origin_of,
    sent_origins,
)
from streaming.repair.newest import Newest
from streaming.repair.record import NAME, Record, recover, row_of
from streaming.staging import owner_of
from streaming.tables import REDRIVEN
from streaming.topics import topics
from streaming.topics.admin import required_topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from confluent_kafka import KafkaError, Message

    from streaming.settings import Settings
    from streaming.topics.admin import TopicState

_AT_ONCE: Final = 500
"""Messages between two commits: what a kill leaves to be read from the broker."""
_DELIVERY_MS: Final = 30_000

log = structlog.get_logger()


class Skipped(StrEnum):
    """Why a dead letter is not sent again."""

    REDRIVEN = "redriven"
    """It was sent already; what became of it has a position of its own."""
    EXHAUSTED = "exhausted"
    """It came back as often as `REDRIVE_ATTEMPTS` allows."""
    CLAIMED = "claimed"
    """Another listener holds its event_id, which no parser changes; sent only when this reason is asked for."""
    SUPERSEDED = "superseded"
    """A newer record of its key is there, which an old one must not replace."""
    FORGOTTEN = "forgotten"
    """Its listener asked to be forgotten."""


@dataclass(frozen=True)
class Outcome:
    """What a redrive did, or would do.

    Attributes:
        sent: messages by topic and reason.
        skipped: how many were not sent, by why.
        recovered: how many a run before had sent without writing it down.
    """

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    recovered: int = 0


def redrive(settings: Settings, wanted: Wanted, *, limit: int | None = None, dry_run: bool = False) -> Outcome:
    """Send dead letters once more, with key, value and headers as they came.

    Args:
        settings: where things are, and how often one may be sent.
        wanted: which ones.
        limit: messages at most.
        dry_run: only say what would be sent; a run that was killed is not looked at.

    Raises:
        UnavailableError: the broker does not answer or does not take a message.
        TimeoutExpiredError: another redrive runs.
    """
    settings.storage.require_delta("a redrive")
    lake = Lake(settings.storage)
    if dry_run:
        outcome = Outcome()
        for topic in wanted.topics:
            for letter, _ in _chosen(settings, lake, topic, wanted, limit=limit, outcome=outcome):
                outcome.sent[topic, letter["reason"]] += 1
        return outcome
    with lease(settings, NAME, spark=None, timeout=0):
        lake.create(REDRIVEN)
        record = Record(lake)
        outcome = Outcome(recovered=recover(settings, record))
        states = required_topics(settings.bootstrap_servers)
        record.open(states)
        sender = _Sender(settings, record, states)
        for topic in wanted.topics:
            sender.send(topic, _chosen(settings, lake, topic, wanted, limit=limit, outcome=outcome), outcome)
        record.close()
    log.info("redriven", sent=outcome.sent.total(), recovered=outcome.recovered, skipped=dict(outcome.skipped))
    return outcome


def _chosen(
    settings: Settings, lake: Lake, topic: str, wanted: Wanted, *, limit: int | None, outcome: Outcome
) -> Iterator[tuple[dict[str, Any], Origin]]:
    """Yield the letters to send, each with the name it gets; the sum in `outcome` bounds them."""
    sent, gone = sent_origins(lake, topic), forgotten(lake)
    newest = Newest(lake, topic) if topics()[topic].compacted else None
    for letter in letters(lake, topic, wanted):
        name = origin_of(letter).next
        why = None
        if name in sent:
            why = Skipped.REDRIVEN
        elif name.attempt > settings.redrive_attempts:
            why = Skipped.EXHAUSTED
        elif letter["reason"] == Reason.EVENT_ID_OF_ANOTHER_LISTENER and wanted.reason is None:
            why = Skipped.CLAIMED
        elif gone and owner_of(letter["value"], letter["key"]) in gone:
            why = Skipped.FORGOTTEN
        elif newest is not None and newest.supersedes(letter):
            why = Skipped.SUPERSEDED
        if why is not None:
            outcome.skipped[why] += 1
            continue
        if limit is not None and outcome.sent.total() >= limit:
            return
        yield letter, name


class _Sender:
    """Produces in small lots; each is acknowledged and written down before the next begins."""

    def __init__(self, settings: Settings, record: Record, states: Mapping[str, TopicState]) -> None:
        self._record = record
        self._states = states
        options = configuration(
            settings.bootstrap_servers, client_id=NAME, delivery_timeout_ms=_DELIVERY_MS, queue_messages=2 * _AT_ONCE
        )
        self._producer = Producer(options)
        self._rows: list[dict[str, Any]] = []
        self._errors: list[str] = []

    def send(self, topic: str, chosen: Iterable[tuple[dict[str, Any], Origin]], outcome: Outcome) -> None:
        waiting = 0
        for letter, name in chosen:
            self._produce(topic, letter, name)
            outcome.sent[topic, letter["reason"]] += 1
            waiting += 1
            if waiting == _AT_ONCE:
                self._settle()
                waiting = 0
        self._settle()

    def _produce(self, topic: str, letter: Mapping[str, Any], name: Origin) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._errors.append(error.str())
                return
            place = (self._states[topic].topic_id, int(message.partition() or 0), int(message.offset() or 0))
            self._rows.append(row_of(topic, name, *place))

        kept = [
            (each["key"], each["value"])
            for each in letter["headers"] or []
            if each["key"] not in {REDRIVE_OF, REDRIVE_ATTEMPT}
        ]
        try:
            self._producer.produce(
                topic,
                key=letter["key"],
                value=letter["value"],
                headers=[*kept, *name.headers()],
                on_delivery=delivered,
            )
        except KafkaException as error:
            self._errors.append(error.args[0].str())

    def _settle(self) -> None:
        left = self._producer.flush(_DELIVERY_MS / 1000 + 5)
        self._record.note(self._rows)
        self._rows.clear()
        if left or self._errors:
            why = self._errors[0] if self._errors else "no acknowledgement"
            raise UnavailableError(
                f"{left + len(self._errors)} dead letters were not acknowledged by the broker ({why}); run it again: "
                "it finds out first what arrived"
            )
