"""What a fault works with, and the list of faults to choose from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import psutil

from music_assets.stack.process import wait_until
from streaming import ledger
from streaming.ledger import Partition
from streaming.tables import tables
from streaming.topics import log_topics
from tests.chaos.load import Load
from tests.chaos.world import READY_SECONDS, World, kill

_WHILE_STARTING: Final = 0.35
"""Share of kills that do not wait until their part answers: a start is killed as well."""


@dataclass
class Scene:
    """A world under load, the dice, and what has happened so far.

    Attributes:
        world: the stack.
        load: what is sent to it.
        rng: decides whatever a fault leaves open.
        say: shows a line.
        kills: kill -9 by kind.
        torn: kills that left rows without their ledger entry: they hit a batch half-way.
        happened: every fault with its time, in order.
    """

    world: World
    load: Load
    rng: Random
    say: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    happened: list[dict[str, Any]] = field(default_factory=list)

    def target(self, part: str) -> list[psutil.Process]:
        """Wait until a part runs, mostly until it answers, and return its processes."""
        if self.rng.random() >= _WHILE_STARTING:
            self.world.await_ready(part)
        wait_until(lambda: bool(self.world.tree(part)), seconds=READY_SECONDS)
        return self.world.tree(part)

    def kill(self, kind: str, processes: list[psutil.Process]) -> None:
        """Kill processes at once and count it as one."""
        self.kills[kind] += bool(kill(processes))

    def rows_without_ledger(self) -> int:
        """Return the rows in silver and in the dead letters that the ledger does not count yet."""
        ends = ledger.end_offsets(self.world.lake)
        pairs = [f"{layer}/{name}" for topic in log_topics() for layer, name in
                 (("silver", topic.table), ("deadletter", topic.name))]  # fmt: skip
        return sum(self._beyond(name, ends) for name in pairs)

    def _beyond(self, table_id: str, ends: dict[Partition, int]) -> int:
        columns = ["kafka_topic_id", "kafka_partition", "kafka_offset"]
        rows = self.world.lake.read(tables()[table_id], columns)
        grouped = rows.group_by(columns[:2]).aggregate([("kafka_offset", "list")])
        return sum(
            offset >= ends.get(Partition(row["kafka_topic_id"], row["kafka_partition"]), 0)
            for row in grouped.to_pylist()
            for offset in row["kafka_offset_list"]
        )

    def ledger_version(self) -> int:
        """Return the number of the ledger's newest commit."""
        return self.world.lake.version(ledger.LEDGER)

    def await_progress(self, seconds: float = READY_SECONDS) -> None:
        """Wait until another batch is in the ledger."""
        before = self.ledger_version()
        self.world.await_ready("streams", seconds=seconds)
        if not wait_until(lambda: self.ledger_version() > before, seconds=seconds, pause=0.2):
            raise TimeoutError(f"no batch was committed for {seconds:.0f} s")

    def play(self, fault: Fault) -> None:
        """Let a fault happen and write down what it did."""
        began = time.monotonic()
        at = datetime.now(UTC)
        note = fault.act(self)
        took = time.monotonic() - began
        self.happened.append({"at": at.isoformat(), "fault": fault.name, "seconds": round(took, 1), "note": note})
        self.say(f"{at:%H:%M:%S} {fault.name:<28} {took:5.1f} s  {note}")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to harm a world.

    Attributes:
        name: what the report calls it.
        act: does it and returns a note on what came of it.
        kills: kill -9 it makes.
        share: how often it is chosen among those that kill; 0: once in every run.
        possible: whether it can be done to this world.
    """

    name: str
    act: Callable[[Scene], str]
    kills: int
    share: int
    possible: Callable[[World], bool]


FAULTS: Final[dict[str, Fault]] = {}


def fault(
    name: str, *, kills: int = 1, share: int = 0, possible: Callable[[World], bool] = lambda _: True
) -> Callable[[Callable[[Scene], str]], Callable[[Scene], str]]:
    """Add a function to the faults; see `Fault` for the arguments."""

    def add(act: Callable[[Scene], str]) -> Callable[[Scene], str]:
        FAULTS[name] = Fault(name=name, act=act, kills=kills, share=share, possible=possible)
        return act

    return add
