"""Topics and their messages, as the broker has them."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE
from fastapi.exceptions import HTTPException

from serving.operator.deadletters import SHOWN
from serving.operator.schemas import MessageRow, MessagesAnswer, TopicRow, TopicsAnswer
from streaming.errors import ConfigurationError, ContractError
from streaming.printable import printable
from streaming.topics import topics
from streaming.topics.admin import describe, newest_times
from streaming.topics.peek import first_times, peek, window

if TYPE_CHECKING:
    from confluent_kafka import Message

_SECONDS: Final = 2.0


def every(servers: str) -> TopicsAnswer:
    """Return every topic that the broker has.

    Raises:
        UnavailableError: it does not answer.
    """
    states = describe(servers, seconds=_SECONDS)
    oldest = first_times(servers, states, seconds=_SECONDS)
    newest = newest_times(servers, seconds=_SECONDS)
    rows = [
        TopicRow(
            topic=name, partitions=state.partitions,
            messages=sum(state.end_offsets.values()) - sum(state.first_offsets.values()),
            oldest=oldest.get(name), newest=newest.get(name),
        )
        for name, state in sorted(states.items())
    ]  # fmt: skip
    return TopicsAnswer(topics=rows, as_of=datetime.now(UTC))


def messages(servers: str, topic: str, *, partition: int | None, offset: int | None, limit: int) -> MessagesAnswer:
    """Return messages of a topic, the newest first.

    Raises:
        HTTPException: there is no such topic.
        ContractError: there is no such partition, or an offset is given without one.
        UnavailableError: the broker does not answer.
    """
    if topic not in topics():
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no such topic; valid: {', '.join(topics())}")
    if partition is None:
        if offset is not None:
            raise ContractError("bad_format", "partition", "partition: an offset is one of a partition, so name it")
        return MessagesAnswer(messages=_rows(peek(servers, topic, limit=limit, seconds=_SECONDS)), next=None)
    try:
        found = window(servers, topic, partition, offset=offset, limit=limit, seconds=_SECONDS)
    except ConfigurationError as error:
        raise ContractError("out_of_range", "partition", str(error)) from error
    return MessagesAnswer(messages=_rows(found.messages), next=found.before)


def _rows(found: list[Message]) -> list[MessageRow]:
    return [_row(each) for each in reversed(found)]


def _row(message: Message) -> MessageRow:
    kind, at = message.timestamp()
    key, value, headers = message.key(), message.value(), message.headers() or []
    return MessageRow(
        partition=message.partition() or 0, offset=message.offset() or 0,
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(at / 1000, UTC),
        key=_shown(key), value=_shown(value),
        headers={name: _shown(content) for name, content in dict(headers).items()},
    )  # fmt: skip


def _shown(value: str | bytes | None) -> str | None:
    shown = printable(None if value is None else value[: 4 * SHOWN])
    return None if shown is None else shown[:SHOWN]
