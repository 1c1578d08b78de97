"""Which faults a run has, and in which order: a function of the seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

from tests.chaos.scene import FAULTS, Fault
from tests.chaos.world import World


def by_name(names: list[str], world: World) -> list[Fault]:
    """Return faults by their names.

    Raises:
        SystemExit: there is no such fault, or this world does not allow it.
    """
    unknown = sorted(set(names) - FAULTS.keys())
    if unknown:
        raise SystemExit(f"there is no fault {', '.join(unknown)}; valid: {', '.join(FAULTS)}")
    impossible = sorted(name for name in names if not FAULTS[name].possible(world))
    if impossible:
        raise SystemExit(f"not possible on this machine or with this engine: {', '.join(impossible)}")
    return [FAULTS[name] for name in names]


def schedule(rng: Random, world: World, kills: int) -> list[Fault]:
    """Return faults that make `kills` kills: the special ones once, of the others each before any comes again."""
    faults = [fault for fault in FAULTS.values() if fault.possible(world)]
    chosen = [fault for fault in faults if not fault.share]
    for fault in more(rng, faults):
        if sum(each.kills for each in chosen) >= kills:
            break
        chosen.append(fault)
    rng.shuffle(chosen)
    return chosen


def more(rng: Random, faults: list[Fault]) -> Iterator[Fault]:
    """Yield faults that kill, for ever: every one, then by their share."""
    often = [fault for fault in faults if fault.share]
    yield from rng.sample(often, len(often))
    for _ in itertools.count():
        yield rng.choices(often, [fault.share for fault in often])[0]
