"""Runs the demo from nothing to a summary: stack, events, one Dagster run, and every promise checked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from rich.console import Console

from music_assets.demo import ask, feeds, snapshot, truth
from music_assets.demo.platform_run import Outcome, PlatformRun, run_until_done
from music_assets.demo.progress import Progress
from music_assets.demo.report import LedgerLine, Report, TruthReport
from music_assets.demo.send import START_SECONDS, Sender, Sent
from music_assets.demo.truth import Broken, Found
from music_assets.settings import Settings
from music_assets.sources.feed import CATALOGUE_TOPICS
from music_assets.sources.synthetic import Size
from music_assets.stack import Stack
from music_assets.stack.memory import MemorySampler
from streaming import ledger
from streaming.control import StreamClient
from streaming.errors import MusicError, UnavailableError
from streaming.lake import Lake
from streaming.topics import admin

_WATCH_SECONDS: Final = 2.0
_SETTLE_ATTEMPTS: Final = 6
_SETTLE_PAUSE: Final = 5.0
_STREAMS: Final = ("stream_kafka_to_silver", "stream_kafka_to_bronze")

_log: Final = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person chose.

    Attributes:
        data: see `feeds.choose`.
        seed: of everything that is invented.
        size: of the synthetic world.
    """

    data: str = "synthetic"
    seed: int = 7
    size: Size = field(default_factory=Size)


class Demo:
    """One run of the demo on a stack of its own.

    Args:
        options: what to send.
        settings: of the stack.
        console: where progress goes.

    Raises:
        ConfigurationError: there is no such data.
    """

    def __init__(self, options: Options, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._progress = Progress(console)
        self._lake = Lake(settings.storage)
        with self._progress.stage("data") as entry:
            self._feed = feeds.choose(options.data, seed=options.seed, anchor=datetime.now(UTC), size=options.size)
            entry.rows, entry.note = self._feed.truth.posted, self._feed.title

    def run(self, stack: Stack) -> Report:
        """Bring the stack up, send the feed, materialise everything and say what became of it.

        Raises:
            MusicError: a part does not start or does not come back.
        """
        with MemorySampler(self._settings.music_home) as memory:
            with self._sending(stack) as sending, _watched(stack), closing(self._platform_run(stack)) as first:
                sent = sending()
                waiting = [first]
                outcome = run_until_done(
                    lambda: self._materialise(waiting.pop() if waiting else self._platform_run(stack)),
                    lambda reason: self._heal(stack, reason),
                )
                if not outcome.success:
                    raise UnavailableError(f"the run of the platform failed: {'; '.join(outcome.failures)[:600]}")
                with self._progress.stage("checks") as entry:
                    report = self._report(sent, outcome)
                    entry.note = f"{sum(report.promises.values())} of {len(report.promises)} promises kept"
            return report.model_copy(
                update={
                    "stages": self._progress.stages,
                    "peak_rss_mb": round(memory.peak_mb, 1),
                    "seconds": round(self._progress.seconds, 1),
                }
            )

    @contextmanager
    def _sending(self, stack: Stack) -> Iterator[Callable[[], Sent]]:
        """Start the stack in this thread and send in another; the block gets a function that waits for the end."""
        stop = threading.Event()
        sender = Sender(self._feed, self._settings, self._progress, stop)
        with ThreadPoolExecutor(1, thread_name_prefix="send") as pool:
            future = pool.submit(sender.send)
            try:
                with self._progress.stage("stack") as entry:
                    stack.up()
                    entry.note = "every part is ready"
                yield future.result
            finally:
                stop.set()

    def _platform_run(self, stack: Stack) -> PlatformRun:
        return PlatformRun(stack.environment, self._settings.music_home / "logs" / "platform.log")

    def _materialise(self, run: PlatformRun) -> Outcome:
        with closing(run):
            return run.go(self._progress)

    def _heal(self, stack: Stack, reason: str) -> None:
        self._progress.say(f"the run did not end well ({reason[:200]}); it is repeated once the stack is whole")
        deadline = time.monotonic() + START_SECONDS
        while not stack.ready() and time.monotonic() < deadline:
            time.sleep(1)

    def _report(self, sent: Sent, outcome: Outcome) -> Report:
        found = self._settle(sent)
        champion = outcome.assets.get("recommender/champion", {})
        version = str(champion.get("version", ""))
        asker = ask.Asker(self._settings.api_url, key=self._settings.api_key)
        answers = asker.recommendations(ask.some_listeners(self._feed.events()), version=version)
        trending = asker.trending(sent.ended if sent.truth.trend_item else None)
        broken = {
            **truth.compare(sent.truth, found),
            "recommendations_served": ask.recommendation_problems(
                answers, version=version, personal=champion.get("released") is True
            ),
            "gate_decided": [] if champion.get("reason") else ["the gate said nothing about the newest model"],
            "dbt_tests_green": outcome.dbt_problems(),
        }
        if sent.truth.trend_item is not None:
            broken["trend_found"] = ask.trend_problems(sent.truth.trend_item, trending)
        return Report(
            stages=[],
            ledger=_ledger(found),
            truth=TruthReport(
                planted=truth.planted_json(sent.truth),
                found=truth.found_json(sent.truth, found, trending[0] if trending else None),
            ),
            models=_models(outcome.assets.get("recommender/leaderboard", {})),
            gate=_gate(champion),
            recommendations=answers,
            trending=trending,
            promises={name: not problems for name, problems in broken.items()},
            broken=[sentence for problems in broken.values() for sentence in problems],
            peak_rss_mb=0,
            seconds=0,
        )

    def _settle(self, sent: Sent) -> Found:
        """Count the lake once it is current; a stream that was killed gets the time to come back and catch up."""
        for attempt in range(_SETTLE_ATTEMPTS):
            try:
                streams = StreamClient(self._settings.stream_port)
                for job in _STREAMS:
                    streams.run(job)
                found = self._found(sent)
            except MusicError as error:
                if attempt == _SETTLE_ATTEMPTS - 1:
                    raise
                self._progress.say(f"the counts cannot be taken yet: {error}")
            else:
                if attempt == _SETTLE_ATTEMPTS - 1 or not _any(truth.compare(sent.truth, found)):
                    return found
            time.sleep(_SETTLE_PAUSE)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _found(self, sent: Sent) -> Found:
        catalogue: dict[str, set[str]] = {}
        for record in self._feed.catalogue:
            catalogue.setdefault(CATALOGUE_TOPICS[type(record)], set()).add(record.item_id)
        return Found(
            before=sent.before,
            after=snapshot.take(self._lake),
            verdicts=sent.verdicts,
            undisturbed=sent.undisturbed,
            ledger_problems=ledger.problems(self._lake, admin.describe(self._settings.bootstrap_servers)),
            catalogue={topic: frozenset(items) for topic, items in catalogue.items()},
        )


@contextmanager
def _watched(stack: Stack) -> Iterator[None]:
    """See to it that the supervisor runs while the block does: it restarts the parts, nobody restarts it."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_WATCH_SECONDS):
            try:
                stack.ensure()
            except MusicError as error:
                _log.warning("the supervisor does not come back", error=str(error))

    thread = threading.Thread(target=watch, name="watch-supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _any(broken: Broken) -> bool:
    return any(broken.values())


def _ledger(found: Found) -> dict[str, LedgerLine]:
    return {
        topic: LedgerLine(
            received=each.received, stored=each.stored, duplicate=each.duplicate, dead_lettered=each.dead_lettered
        )
        for topic, each in found.after.totals.items()
    }


def _gate(champion: Mapping[str, Any]) -> str:
    """Return the gate's sentence; when it refuses, with what serves instead."""
    reason, version = str(champion.get("reason", "")), str(champion.get("version", ""))
    return reason if champion.get("released") else f"{reason}; {version.rpartition('-')[2]} serves"


def _models(metadata: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        str(model): {str(name): float(value) for name, value in metrics.items()}
        for model, metrics in metadata.get("models", {}).items()
    }
