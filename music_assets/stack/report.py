"""What `music status` shows beside the parts: how far the lake is behind the topics, and the ledger's sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from music_assets.stack.servers import kafka
from streaming import ledger
from streaming.control import JOBS, StreamClient
from streaming.errors import UnavailableError
from streaming.halt import halted
from streaming.lake import Lake
from streaming.tables import LEDGER, silver
from streaming.topics import event_topics, log_topics
from streaming.topics.admin import describe

if TYPE_CHECKING:
    from datetime import datetime

    from music_assets.settings import Settings
    from streaming.topics.admin import TopicState


SILVER: Final = JOBS[1]


@dataclass(frozen=True, kw_only=True)
class TopicLine:
    """One topic: messages the ledger does not cover yet (None: the broker is away) and the sums of its outcomes."""

    topic: str
    lag: int | None
    totals: ledger.Totals


def topic_lines(settings: Settings) -> list[TopicLine]:
    """Return a line per topic that the ledger counts."""
    lake = Lake(settings.storage)
    covered = ledger.end_offsets(lake) if lake.exists(LEDGER) else {}
    totals = ledger.totals(lake) if lake.exists(LEDGER) else {}
    states = _broker_states(settings)
    return [
        TopicLine(
            topic=topic.name,
            lag=ledger.lag(states[topic.name], covered) if topic.name in states else None,
            totals=totals.get(topic.name, ledger.Totals()),
        )
        for topic in log_topics()
    ]


def _broker_states(settings: Settings) -> dict[str, TopicState]:
    # The quick question first: the admin client is patient with a broker that is only starting.
    if not kafka(settings).ready():
        return {}
    try:
        return describe(settings.bootstrap_servers)
    except UnavailableError:
        return {}


def newest_events(settings: Settings) -> dict[str, datetime]:
    """Return, by event topic, when the newest event of silver happened; read from statistics, not from rows."""
    lake = Lake(settings.storage)
    found = {}
    for topic in event_topics():
        table = silver(topic.table)
        newest = lake.newest(table, "timestamp") if lake.exists(table) else None
        if newest is not None:
            found[topic.name] = newest
    return found


def stream_lines(settings: Settings) -> list[str]:
    """Return what there is to say of the stream service: engine, halt, last error."""
    info = StreamClient(settings.stream_port).about()
    halt = halted(settings)
    lines = [f"streams: {info.engine} engine, version {info.version}" if info else "streams: no service answers"]
    if halt is not None:
        lines.append(f"{SILVER}: {halt.sentence}")
    elif info is not None and info.last_error:
        lines.append(f"last error: {info.last_error}")
    return lines


def last_batch(settings: Settings) -> datetime | None:
    """Return when the ledger was last written; None: never."""
    lake = Lake(settings.storage)
    if not lake.exists(LEDGER):
        return None
    moment: datetime | None = pc.max(lake.read(LEDGER, ["committed_at"]).column("committed_at")).as_py()
    return moment
