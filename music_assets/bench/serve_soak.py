"""Mixed requests at a bounded rate for a while: whether the API's memory stays where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import machine, memory, serve_world
from music_assets.bench.figures import spread
from music_assets.bench.http_load import Answers, closed, paced, request
from music_assets.bench.memory import Curve, Flatness, sampled
from music_assets.bench.report import Report
from music_assets.bench.serve_place import none_failed, served, strangers, times

if TYPE_CHECKING:
    from music_assets.bench.arena import Arena
    from music_assets.bench.serve_place import Place

_SAMPLE_SECONDS: Final = 5.0
_READY_USERS: Final = 200
_CONNECTIONS: Final = 4
"""Of each kind of request: the server closes one that nobody uses for five seconds."""

_KEPT: Final = 8000
"""Different answers before the measurement: more than the API keeps answers and histories of, so that filling these
places is no growth."""

_SHARES: Final = {"ready_list": 0.4, "two_stage": 0.2, "event": 0.2, "trending": 0.1, "similar": 0.1}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        listeners: with a history in Redis.
        items: of the catalogue.
        rate: requests a second: ready lists 40 %, both stages 20 %, events 20 %, trending 10 %, similar items 10 %.
        minutes: how long.
        warm_up_seconds: before them, at the same rate and not counted.
    """

    listeners: int = 50_000
    items: int = 50_000
    rate: float = 50
    minutes: float = 10
    warm_up_seconds: float = 120


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Raises:
        MusicError: a part does not start, or recommends nothing.
    """
    facts = machine.facts()
    with served(arena, listeners=options.listeners, items=options.items, say=say) as api:
        kinds = _kinds(options)
        say(f"{_KEPT:,} different answers, so that what the API keeps of them is full")
        _fill(api, kinds["two_stage"])
        with sampled(api.pid, every_seconds=_SAMPLE_SECONDS) as curve:
            say(f"{options.rate:g} requests a second, {options.warm_up_seconds:g} s to warm up")
            asyncio.run(_mixed(api, kinds, options.rate, options.warm_up_seconds))
            warm = len(curve)
            say(f"{options.minutes:g} minutes that count")
            answers = asyncio.run(_mixed(api, kinds, options.rate, options.minutes * 60))
    return _report(options, facts, curve, memory.by_program(curve[warm:]), answers)


def _kinds(options: Options) -> dict[str, Iterator[bytes]]:
    """Return requests of each kind, without end; no event and no two-stage question comes twice."""
    users = serve_world.users(options.listeners)
    return {
        "ready_list": (request(f"/recommend?user_id={users[n % _READY_USERS]}&k=20") for n in count()),
        "two_stage": strangers(users, after=_READY_USERS),
        "event": (
            request("/events", serve_world.encoded([serve_world.event(n, users[n % len(users)])])) for n in count()
        ),
        "trending": (request(f"/trending?window={('1h', '24h')[n % 2]}") for n in count()),
        "similar": (request(f"/similar/track:{n % options.items}?k=20") for n in count()),
    }


def _fill(api: Place, questions: Iterator[bytes]) -> None:
    requests = [next(questions) for _ in range(_KEPT)]
    asyncio.run(closed(api.port, requests, count=_KEPT, connections=_CONNECTIONS))


async def _mixed(api: Place, kinds: dict[str, Iterator[bytes]], rate: float, seconds: float) -> dict[str, Answers]:
    async def one(name: str) -> Answers:
        share = _SHARES[name] * rate
        requests = [next(kinds[name]) for _ in range(max(int(share * seconds), 1))]
        return await paced(api.port, requests, rate=share, seconds=seconds, connections=_CONNECTIONS)

    found = await asyncio.gather(*(one(name) for name in kinds))
    return dict(zip(kinds, found, strict=True))


def _report(
    options: Options, facts: dict[str, Any], curve: Curve, found: dict[str, Flatness], answers: dict[str, Answers]
) -> Report:
    took = {name: spread([1000 * each for each in given.seconds]) for name, given in answers.items()}
    failed = sum(given.failed for given in answers.values())
    asked = sum(len(given.seconds) for given in answers.values())
    measured = {
        "memory_mb": curve,
        "warm": {name: asdict(each) for name, each in found.items()},
        "ms": {name: asdict(each) if each else None for name, each in took.items()},
        "statuses": {name: dict(given.statuses) for name, given in answers.items()},
    }
    return Report(
        mode="serve soak", machine=facts, options=asdict(options), measured=measured,
        requirements=[memory.stays(found), none_failed(failed)],
        tables=[
            memory.rows(f"{asked:,} requests in {options.minutes:g} minutes", found),
            times("Milliseconds, each from when it was due", "request", took),
        ],
    )  # fmt: skip
