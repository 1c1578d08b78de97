"""The streaming queries: what they have taken in, what waits, and why one stands still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import redis

from serving.operator.schemas import StreamRow, StreamsAnswer
from streaming import ledger, online
from streaming.control import FEATURES, JOBS, StreamClient
from streaming.errors import IntegrityError, UnavailableError
from streaming.halt import halted
from streaming.tables import LEDGER
from streaming.topics import event_topics, log_topics
from streaming.topics.admin import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.settings import Settings
    from streaming.lake import Lake
    from streaming.topics.admin import TopicState

_SECONDS: Final = 2.0
_BRONZE, _SILVER, _TRENDING = JOBS
State = Literal["running", "halted", "down"]
Batches = dict[tuple[str, str], datetime]
"""By query and topic, when the last batch was committed."""


def read(settings: Settings, lake: Lake, *, charted_at: datetime | None) -> StreamsAnswer:
    """Return every query; what a part does not tell is null, and the answer is degraded.

    Args:
        settings: where things are.
        lake: the ledger's.
        charted_at: when the newest chart was made.

    Raises:
        DeltaError: the lake does not answer.
    """
    about, halt = StreamClient(settings.stream_port).about(), halted(settings)
    states = _states(settings.bootstrap_servers)
    covered = ledger.end_offsets(lake) if lake.exists(LEDGER) else {}
    batches = _batches(lake)
    up: State = "running" if about is not None else "down"
    rows = [_whole(_BRONZE, up, None)]
    for topic in log_topics():
        state: State = "halted" if halt is not None else up
        held = states.get(topic.name)
        lag = None if held is None else ledger.lag(held, covered)
        said = halt.sentence if halt is not None else _said(_SILVER, state, lag, topic.name)
        rows.append(
            StreamRow(
                query=_SILVER, topic=topic.name, state=state, lag=lag, last_batch_at=batches.get((_SILVER, topic.name)),
                halted=halt is not None, sentence=said,
            )
        )  # fmt: skip
    rows.append(_whole(_TRENDING, up, charted_at))
    features = _features(settings, states)
    rows += features or []
    degraded = not states or features is None
    return StreamsAnswer(queries=rows, as_of=datetime.now(UTC), degraded=degraded)


def _whole(query: str, state: State, at: datetime | None) -> StreamRow:
    """A query that has no line for each topic."""
    return StreamRow(
        query=query,
        topic=None,
        state=state,
        lag=None,
        last_batch_at=at,
        halted=False,
        sentence=_said(query, state, None),
    )


def _states(servers: str) -> dict[str, TopicState]:
    try:
        return describe(servers, seconds=_SECONDS)
    except UnavailableError:
        return {}


def _batches(lake: Lake) -> Batches:
    if not lake.exists(LEDGER):
        return {}
    rows = lake.read(LEDGER, ["query", "topic", "committed_at"]).group_by(["query", "topic"])
    return {
        (row["query"], row["topic"]): row["committed_at_max"]
        for row in rows.aggregate([("committed_at", "max")]).to_pylist()
    }


def _features(settings: Settings, states: Mapping[str, TopicState]) -> list[StreamRow] | None:
    """The job that fills the online store, by what it left there; None: Redis does not answer."""
    places = [
        (topic.name, partition)
        for topic in event_topics()
        for partition in (states[topic.name].end_offsets if topic.name in states else ())
    ]
    try:
        with redis.Redis.from_url(settings.redis, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            # Its types leave open what the client decodes.
            found: Any = client
            reached, is_there = online.positions(found, places), bool(client.exists(online.EPOCH_KEY))
    except (redis.RedisError, IntegrityError):
        return None
    lags: dict[str, int] = dict.fromkeys((name for name, _ in places), 0)
    for (name, partition), at in reached.items():
        state = states[name]
        begin = at.offset if at is not None and at.topic_id == state.topic_id else state.first_offsets[partition]
        lags[name] += max(0, state.end_offsets[partition] - begin)
    state_: State = "running" if is_there else "down"
    return [
        StreamRow(
            query=FEATURES, topic=topic.name, state=state_, lag=lags.get(topic.name), last_batch_at=None, halted=False,
            sentence=_said(FEATURES, state_, lags.get(topic.name), topic.name),
        )
        for topic in event_topics()
    ]  # fmt: skip


def _said(query: str, state: State, lag: int | None, topic: str | None = None) -> str:
    what = f"{query} on {topic}" if topic else query
    if state == "down":
        return f"{what} does not run: see `music status`, and start it with `music up`"
    if lag is None:
        return f"{what} runs"
    return f"{what} runs and is up to date" if lag == 0 else f"{what} runs; {lag:,} messages wait"
