"""The API under load, per CPU-second of its process, beside a bare FastAPI and a bare producer in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from music_assets.bench import machine, serve_world
from music_assets.bench.figures import alternated, ratio, spread
from music_assets.bench.http_load import Answers, closed, paced, request
from music_assets.bench.report import Report, Requirement, Rows, number
from music_assets.bench.sample import Outcome, Sample, cpu_rate, rate, timed
from music_assets.bench.serve_place import CONNECTIONS, Place, bare, in_time, none_failed, served, strangers
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    from music_assets.bench.arena import Arena
    from music_assets.settings import Settings

SIDES: Final = ("hello", "hello_same_middleware", "ready_list", "two_stage", "event", "events_of_100", "producer")

_BATCH: Final = 100
_READY_USERS: Final = 200
_PAIRS: Final = (
    ("ready_list", "hello_same_middleware", 0.45, 0.55),
    ("ready_list", "hello", 0.30, None),
    ("two_stage", "hello", 0.06, 0.12),
    ("event", "hello", 0.35, None),
    ("events_of_100", "producer", 0.35, None),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        listeners: with a history in Redis.
        items: of the catalogue.
        repeat: timed runs of each side.
        requests: of a run of a cheap side; dear ones take a tenth.
        rate: requests a second of the paced run of `two_stage`.
        seconds: of the paced run.
        sides: names from `SIDES`.
    """

    listeners: int = 50_000
    items: int = 50_000
    repeat: int = 5
    requests: int = 5000
    rate: float = 200
    seconds: float = 20
    sides: Sequence[str] = SIDES


@dataclass(frozen=True, kw_only=True)
class Side:
    """One competitor: what it is called, and a run of it."""

    name: str
    run: Callable[[], Sample]


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Raises:
        MusicError: a part does not start, or answers with errors.
    """
    facts = machine.facts()
    with served(arena, listeners=options.listeners, items=options.items, say=say) as api, bare(arena) as hello:
        sides = [side for side in _sides(options, arena.settings, api, hello) if side.name in options.sides]
        samples = _measure(options, sides, say)
        say(f"{options.rate:g} requests a second for {options.seconds:g} s")
        steady = _steady(options, api)
    return _report(options, facts, samples, steady)


def _sides(options: Options, settings: Settings, api: Place, bare: Place) -> list[Side]:
    few = max(options.requests // 10, 1)
    users = serve_world.users(options.listeners)
    unseen = strangers(users, after=_READY_USERS)
    sent = iter(range(1_000_000_000))

    def events(count: int, size: int) -> list[bytes]:
        return [
            request("/events", serve_world.encoded([serve_world.event(n, users[n % len(users)]) for n in part]))
            for part in ([next(sent) for _ in range(size)] for _ in range(count))
        ]

    ready = list(islice(strangers(users, after=0), _READY_USERS))
    word = partial(_requests, count=options.requests)
    return [
        Side(name="hello", run=lambda: word(bare, [request("/hello")])),
        Side(name="hello_same_middleware", run=lambda: word(api, [request("/health/live")])),
        Side(name="ready_list", run=lambda: word(api, ready)),
        Side(name="two_stage", run=lambda: _requests(api, list(islice(unseen, few)), count=few)),
        Side(name="event", run=lambda: word(api, events(options.requests, 1))),
        Side(name="events_of_100", run=lambda: _requests(api, events(few, _BATCH), count=few, units=_BATCH)),
        Side(name="producer", run=lambda: _produced(settings, few * _BATCH, users)),
    ]


def _requests(place: Place, requests: list[bytes], *, count: int, units: int = 1) -> Sample:
    def work() -> Outcome:
        answers = asyncio.run(closed(place.port, requests, count=count, connections=CONNECTIONS))
        if answers.failed:
            first = requests[0].partition(b" HTTP")[0].decode()
            raise UnavailableError(f"{first}: {answers.failed} requests failed; a refusal is no answer to be timed")
        return Outcome(rows=count * units)

    return timed(work, partial(machine.cpu_seconds, place.pid))


def _produced(settings: Settings, count: int, users: list[str]) -> Sample:
    """Send the same events from a loop that only counts what the broker acknowledged."""
    acknowledged = 0

    def delivered(error: object, _message: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    values = [
        (user.encode(), serve_world.encoded([serve_world.event(n, user)]))
        for n, user in ((n, users[n % len(users)]) for n in range(count))
    ]
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "acks": "all", "enable.idempotence": True, "linger.ms": 2,
         "compression.type": "lz4", "log_level": 0, "queue.buffering.max.messages": 1_000_000}
    )  # fmt: skip

    def work() -> Outcome:
        for key, value in values:
            producer.produce("events_listens", key=key, value=value, on_delivery=delivered)
            producer.poll(0)
        producer.flush(60)
        return Outcome(rows=acknowledged)

    sample = timed(work, time.process_time)
    if acknowledged != count:
        raise UnavailableError(f"the broker acknowledged {acknowledged} of {count} messages")
    return sample


def _measure(options: Options, sides: list[Side], say: Callable[[str], None]) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for side in sides:
        _once(side, say, "warm-up")
    for repetition in range(options.repeat):
        for side in alternated(sides, repetition):
            samples[side.name].append(_once(side, say, f"{repetition + 1}/{options.repeat}"))
    return samples


def _once(side: Side, say: Callable[[str], None], label: str) -> Sample:
    sample = side.run()
    say(f"{label} {side.name}: {sample.cpu_rate:,.0f} per CPU-s, {sample.rate:,.0f} a second")
    return sample


def _steady(options: Options, api: Place) -> Answers:
    users = serve_world.users(options.listeners)[::-1]
    requests = list(islice(strangers(users, after=0), len(users)))
    return asyncio.run(paced(api.port, requests, rate=options.rate, seconds=options.seconds, connections=CONNECTIONS))


def _report(options: Options, facts: dict[str, Any], samples: dict[str, list[Sample]], steady: Answers) -> Report:
    rates = {name: cpu_rate(found) for name, found in samples.items()}
    took = spread([1000 * each for each in steady.seconds])
    requirements = [
        Requirement(name=f"{over} / {under}", value=ratio(rates.get(over), rates.get(under)), limit=limit, aim=aim)
        for over, under, limit, aim in _PAIRS
    ]
    requirements += [in_time("two_stage p99 in ms", took, options.rate), none_failed(steady.failed)]
    measured = {name: [asdict(each) for each in found] for name, found in samples.items()}
    return Report(
        mode="serve",
        machine=facts,
        options=asdict(options),
        measured={"sides": measured, "per_cpu_second": rates, "steady_ms": asdict(took) if took else None},
        requirements=requirements,
        tables=[_table(samples, rates)],
    )


def _table(samples: dict[str, list[Sample]], rates: dict[str, float | None]) -> Rows:
    return Rows(
        title="Medians",
        columns=("side", "per CPU-s", "CPU µs each", "a second"),
        rows=[
            (name, number(rates[name], 0), number(ratio(1e6, rates[name]), 0),
             number(rate(found), 0))
            for name, found in samples.items()
        ],
    )  # fmt: skip
