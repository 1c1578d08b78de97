"""The real stack with a state of its own: broker, PostgreSQL, Redis, streams and API, to be harmed from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
import psutil
import psycopg

from music_assets.stack import Stack
from music_assets.stack.parts import ROOT
from music_assets.stack.process import wait_until
from serving.settings import Settings
from streaming.control import JOBS, StreamClient
from streaming.errors import MusicError, TimeoutExpiredError
from streaming.lake import Lake
from streaming.topics import admin
from tests.chaos.disk import Disk, unmount
from tests.fixtures.ports import free_ports

PARTS: Final = ("kafka", "postgres", "redis", "streams", "api")
READY_SECONDS: Final = 300.0
_LAKE_MB: Final = 1024
_SPOOL_MB: Final = 64
_CURRENT_SECONDS: Final = 300.0


class World:
    """One stack.

    Args:
        home: its state; made when missing.
        small_disks: give lake and spool a file system each that can be filled, where this machine lets us.
        settings: other than those of a chaos run.

    Attributes:
        settings: where everything is.
        stack: the parts and their supervisor.
        lake: reads the tables.
        disks: `lake` and `spool`; empty where they could not be mounted.
    """

    def __init__(self, home: Path, *, small_disks: bool = False, **settings: Any) -> None:
        # Short intervals: the more commits, the more moments that can be hit.
        intervals = {"silver_interval_seconds": 1, "bronze_interval_seconds": 30, "trending_interval_seconds": 60}
        # The planted broken messages are meant to be dead letters, also when they are all that comes.
        intervals["halt_dead_letter_share"] = 1
        ports = free_ports()
        jars = ROOT / ".music" / "jars"
        self.settings = Settings(
            _env_file=None, **{"music_home": home, "jars_path": jars, **ports, **intervals, **settings}
        )
        self.stack = Stack(self.settings)
        # The parts start in the state's folder, where no `.env` of a developer lies.
        self.stack.environment["PYTHONPATH"] = str(ROOT)
        self.lake = Lake(self.settings.storage)
        self.streams = StreamClient(self.settings.stream_port)
        self.disks: dict[str, Disk] = {}
        self._wanted = {
            "lake": Disk(self.settings.storage.folder, megabytes=_LAKE_MB),
            "spool": Disk(self.settings.spool_path.parent, megabytes=_SPOOL_MB),
        } if small_disks else {}  # fmt: skip

    def __enter__(self) -> Self:
        self.settings.music_home.mkdir(parents=True, exist_ok=True)
        self.disks = {name: disk for name, disk in self._wanted.items() if disk.mount()}
        try:
            with contextlib.chdir(self.settings.music_home):
                self.stack.up(PARTS)
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """End every process and give the file systems back."""
        self.stack.down()
        unmount(self.settings.music_home)

    def pid(self, part: str) -> int:
        """Return a part's process id, 0 while it does not run."""
        state = self.stack.supervisor.states().get(part)
        return state.pid if state else 0

    def tree(self, part: str) -> list[psutil.Process]:
        """Return a part's process and its descendants; empty while it does not run."""
        with suppress(psutil.NoSuchProcess):
            if pid := self.pid(part):
                process = psutil.Process(pid)
                return [process, *process.children(recursive=True)]
        return []

    def jvm(self) -> psutil.Process | None:
        """Return the JVM of the stream process; None with an engine that has none."""
        return next(iter(named("java", self.tree("streams"))), None)

    def await_ready(self, *parts: str, seconds: float = READY_SECONDS) -> None:
        """Wait until parts answer.

        Raises:
            TimeoutExpiredError: one did not in time.
        """
        for part in (part for part in self.stack.parts if part.name in parts):
            if not wait_until(part.ready, seconds=seconds, pause=0.2):
                log = self.stack.supervisor.log(part.name)
                raise TimeoutExpiredError(f"{part.name} was not back within {seconds:.0f} s, see {log}")

    def spooled(self) -> int | None:
        """Return the events that wait in the API's spool; None when it does not say."""
        try:
            return int(httpx.get(f"{self.settings.api_url}/health", timeout=5).json()["spool"]["events"])
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    def become_current(self, seconds: float = _CURRENT_SECONDS) -> None:
        """Wait until nothing is spooled and every job has taken in all that is on the topics.

        Raises:
            TimeoutExpiredError: it took longer.
        """
        deadline = time.monotonic() + seconds
        self.await_ready(*PARTS, seconds=seconds)
        if not wait_until(lambda: self.spooled() == 0, seconds=deadline - time.monotonic(), pause=0.2):
            raise TimeoutExpiredError(f"the spool was not empty after {seconds:.0f} s: {self.spooled()} events wait")
        for job in JOBS:
            while not self._current(job):
                if time.monotonic() > deadline:
                    raise TimeoutExpiredError(f"{job} was not current after {seconds:.0f} s")
                time.sleep(0.5)

    def _current(self, job: str) -> bool:
        with suppress(MusicError):  # a service that is being restarted is waited for
            self.streams.run(job)
            return True
        return False

    def topics(self) -> dict[str, admin.TopicState]:
        """Return the broker's topics."""
        return admin.describe(self.settings.bootstrap_servers)

    def listeners(self) -> dict[str, str]:
        """Return the listener id of each client's user id."""
        with psycopg.connect(self.settings.database) as connection:
            return dict(connection.execute("select user_id, listener_id::text from identity.listener").fetchall())


def named(name: str, processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those of some processes that run a program; one that has ended runs none."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.name() == name:
                found.append(process)
    return found


def freeze(processes: list[psutil.Process]) -> None:
    """Stop processes where they are, as one moment seen from outside: they are to be killed before they go on."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)


def kill(processes: list[psutil.Process]) -> int:
    """Kill processes and wait until they are gone; return how many there were."""
    gone = 0
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
            gone += 1
    psutil.wait_procs(processes, timeout=10)
    return gone
