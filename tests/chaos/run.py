"""`python -m tests.chaos.run`: harm a stack under load, then hold its lake against what was sent.

Ends with 0 only if every promise was kept, and within `--minutes` whatever happens.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final, NoReturn

from rich.console import Console

from music_assets.stack.parts import ROOT
from streaming.errors import TimeoutExpiredError
from streaming.lake import Lake
from tests.chaos import verdict
from tests.chaos.disk import mounted
from tests.chaos.faults import FAULTS
from tests.chaos.guard import clear
from tests.chaos.load import Load, replay
from tests.chaos.report import Report, show
from tests.chaos.scene import Scene
from tests.chaos.schedule import by_name, more, schedule
from tests.chaos.truth import Truth
from tests.chaos.world import World

_FAULTS_SHARE: Final = 0.65
"""Of the time, for the faults; the rest is for what comes after them."""

_GUARD_SECONDS: Final = 60.0
_PAUSE: Final = (0.2, 1.5)


class Run:
    """One run.

    Args:
        options: of the command line.
        folder: for the state of its stacks.
        console: where lines are shown.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, console: Console) -> None:
        self.report = Report(seed=options.seed, engine=options.engine, wanted=options.kills)
        self._options = options
        self._folder = folder
        self._console = console
        self._rng = Random(f"faults:{options.seed}")
        self._deadline = time.monotonic() + options.minutes * 60 * _FAULTS_SHARE

    def run(self) -> None:
        """Do everything; what is wrong is in the report."""
        home = self._folder / "disturbed"
        with self._phase("start"):
            world = World(home, small_disks=True, stream_engine=self._options.engine).__enter__()
        try:
            truth = self._disturb(world)
            expected = verdict.expect(truth, world.listeners())
            self.report.verdict = verdict.judge(
                expected, truth, world.lake, world.topics(), failures=self.report.verdict.trouble
            )
            self.report.compared.append("what was sent")
            self.report.ledger = verdict.counts(world.lake)
            if self._options.undisturbed:
                self._compare(world, truth, expected.optional | expected.erased)
        finally:
            if not self.report.good and mounted(world.settings.storage.folder):
                # What lies in memory would be gone with its file system.
                shutil.copytree(world.settings.storage.folder, self._folder / "lake", dirs_exist_ok=True)
            world.down()

    def _disturb(self, world: World) -> Truth:
        load = Load(world, seed=self._options.seed, anchor=datetime.now(UTC), rate=self._options.rate)
        scene = Scene(world=world, load=load, rng=self._rng, say=self._say)
        self.report.kills, self.report.happened = scene.kills, scene.happened
        try:
            with self._phase("faults"), load:
                scene.await_progress()
                self._play(scene)
            with self._phase("catching up"):
                world.become_current()
        finally:
            self.report.torn = scene.torn
            self.report.count(load.truth)
            self.report.verdict.trouble += [f"the load ended early: {failure}" for failure in load.failures]
        return load.truth

    def _play(self, scene: Scene) -> None:
        world = scene.world
        if self._options.faults:
            chosen = by_name(self._options.faults, world)
        else:
            chosen = schedule(self._rng, world, self._options.kills)
        # A fault that comes too late kills nobody: others make up for it.
        extra = more(self._rng, [fault for fault in FAULTS.values() if fault.possible(world)])
        while chosen or scene.kills.total() < self._options.kills:
            if time.monotonic() > self._deadline:
                self.report.verdict.trouble.append(f"{len(chosen)} faults were left when their time was up")
                return
            scene.play(chosen.pop(0) if chosen else next(extra))
            time.sleep(self._rng.uniform(*_PAUSE))

    def _compare(self, world: World, truth: Truth, ignore: set[verdict.Key]) -> None:
        """Send the same to a second stack, which nothing disturbs; it shares the listeners, so that ids are equal."""
        world.stack.supervisor.stop(["streams", "api", "kafka"])
        servers = {"database_url": world.settings.database, "redis_url": world.settings.redis}
        with self._phase("undisturbed run"):
            home = self._folder / "undisturbed"
            with World(home, stream_engine=self._options.engine, **servers) as calm:
                replay(calm, truth)
                calm.become_current()
                self.report.verdict.unlike = verdict.differences(world.lake, Lake(calm.lake.storage), ignore=ignore)
        self.report.compared.append("an undisturbed run")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._say(f"{datetime.now(UTC):%H:%M:%S} -- {name}")
        began = time.monotonic()
        try:
            yield
        finally:
            self.report.seconds[name] = round(time.monotonic() - began, 1)

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the load, the faults and their order")
    parser.add_argument("--kills", type=int, default=50, help="kill -9 at least")
    parser.add_argument("--engine", choices=["spark", "python"], default="spark")
    parser.add_argument("--minutes", type=float, default=40, help="the run ends by then, done or not")
    parser.add_argument("--rate", type=float, default=100, help="fresh events a second")
    parser.add_argument(
        "--faults", type=lambda text: text.split(","), help=f"exactly these, in this order: {', '.join(FAULTS)}"
    )
    parser.add_argument("--json", type=Path, help="file for the report")
    parser.add_argument(
        "--undisturbed", action=argparse.BooleanOptionalAction, default=True, help="compare with a second run"
    )
    return parser.parse_args(arguments)


def _time_is_up(*_: object) -> NoReturn:
    raise TimeoutExpiredError("the run was not over in time")


@contextmanager
def _bounded(folder: Path, seconds: float) -> Iterator[None]:
    """End the block after a time, and whatever it started even if this process is killed."""
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    guard = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.guard", str(folder), str(os.getpid()), str(seconds + _GUARD_SECONDS)],
        cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        clear(folder)
        guard.terminate()
        guard.wait()


def main(arguments: list[str]) -> int:
    """Run, report, and return the exit code."""
    options = _options(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    run = Run(options, folder, console)
    with _bounded(folder, options.minutes * 60):
        try:
            run.run()
        except Exception as error:
            # Whatever it was, the run ends with a report.
            run.report.verdict.trouble.append(f"{type(error).__name__}: {error}")
            traceback.print_exc()
    show(run.report, console)
    if options.json:
        options.json.write_text(json.dumps(run.report.json(), indent=1, default=str), encoding="utf-8")
    if run.report.good:
        shutil.rmtree(folder)
    else:
        console.print(f"logs and lake: {folder}", highlight=False)
    return 0 if run.report.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
