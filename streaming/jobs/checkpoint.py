"""The checkpoint of a streaming query: a cache of where the ledger ends, thrown away when the two disagree."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from streaming.ledger import Partition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streaming.topics.admin import TopicState

_POINTER: Final = "current.json"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A query's checkpoint.

    Attributes:
        path: its folder; Spark keeps its own files in `spark` below it.
        query_id: names the checkpoint in app ids; never used twice.
        topic_ids: the broker's id of each topic when it was made.
        start: where its first batch begins.
    """

    path: Path
    query_id: str
    topic_ids: dict[str, str]
    start: dict[Partition, int]

    def end_of(self, batch_id: int) -> dict[Partition, int]:
        """Return where a batch ends, as the query wrote down before it began the batch; -1 is before the first."""
        if batch_id < 0:
            return dict(self.start)
        offsets = json.loads(
            (self.path / "spark" / "offsets" / str(batch_id)).read_text(encoding="utf-8").splitlines()[2]
        )
        return {
            Partition(self.topic_ids[topic], int(partition)): int(end)
            for topic, ends in offsets.items()
            for partition, end in ends.items()
        }

    def continues(self, ends: Mapping[Partition, int]) -> bool:
        """Whether the next batch begins where the ledger ends."""
        planned, done = self._newest("offsets"), self._newest("commits")
        if planned is None:
            return self.start == ends
        if self.end_of(planned) == ends:
            return True
        return (
            done != planned
            and (self.path / "spark" / "offsets" / str(planned - 1)).exists() | (planned == 0)
            and (self.end_of(planned - 1) == ends)
        )

    def _newest(self, folder: str) -> int | None:
        files = (self.path / "spark" / folder).glob("[0-9]*")
        return max((int(file.name) for file in files if file.name.isdecimal()), default=None)


def open_checkpoint(root: Path, topics: Mapping[str, TopicState], ledger: Mapping[Partition, int]) -> Checkpoint:
    """Return the checkpoint to go on with, a new one where the old one is of other topics or not where the ledger is.

    Args:
        root: folder of the job's checkpoints.
        topics: the broker's topics.
        ledger: where the ledger ends.
    """
    held = _read(root)
    if held is not None and _usable(held, topics, ledger):
        return held
    query_id = str(uuid.uuid4())
    new = Checkpoint(
        path=root / query_id,
        query_id=query_id,
        topic_ids={name: state.topic_id for name, state in topics.items()},
        start=begins(topics, ledger),
    )
    log.info("checkpoint_made", query_id=query_id, replaces=held.query_id if held else None)
    _write(root, new)
    return new


def begins(topics: Mapping[str, TopicState], ledger: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return where to begin: at the ledger's end, and where it knows nothing at the oldest offset there is."""
    return {
        at: ledger.get(at, first)
        for state in topics.values()
        for partition, first in state.first_offsets.items()
        for at in (Partition(state.topic_id, partition),)
    }


def _usable(held: Checkpoint, topics: Mapping[str, TopicState], ledger: Mapping[Partition, int]) -> bool:
    if held.topic_ids != {name: state.topic_id for name, state in topics.items()}:
        return False
    try:
        return held.continues({at: ledger.get(at, first) for at, first in held.start.items()})
    except (OSError, ValueError, LookupError):
        # A torn or half-deleted checkpoint: the ledger knows where to go on.
        return False


def _read(root: Path) -> Checkpoint | None:
    try:
        content = json.loads((root / _POINTER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    start = {Partition(*at): offset for at, offset in content["start"]}
    return Checkpoint(
        path=root / content["query_id"],
        query_id=content["query_id"],
        topic_ids=content["topic_ids"],
        start=start,
    )


def _write(root: Path, new: Checkpoint) -> None:
    root.mkdir(parents=True, exist_ok=True)
    start = [[list(at), offset] for at, offset in new.start.items()]
    content = {"query_id": new.query_id, "topic_ids": new.topic_ids, "start": start}
    draft = root / f"{_POINTER}.new"
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(root / _POINTER)
