"""The embedded stack: starts, supervises and stops every part of the platform on one machine.

A part whose address a setting gives (`KAFKA_BOOTSTRAP_SERVERS`, `DATABASE_URL`, `REDIS_URL`) is somebody
else's to run: it is waited for, not started.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from typing import TYPE_CHECKING, Final

from music_assets.settings import child_environment
from music_assets.stack import applications, jars, preflight, servers
from music_assets.stack.process import MARKER, sweep, wait_until
from music_assets.stack.supervisor import HEALTH, Supervisor, last_line
from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from music_assets.settings import Settings
    from music_assets.stack.parts import Part

_SERVERS: Final = ("kafka", "postgres", "redis")
_EXTERNAL_SECONDS: Final = 15
_FAILED: Final = frozenset({"FATAL", "UNKNOWN", "STOPPED"})


@dataclass(frozen=True, kw_only=True)
class PartStatus:
    """One line of `music status`.

    Attributes:
        name: the part.
        state: `ready`, `starting`, `external`, or the supervisor's word in lower case; `down` without one.
        pid: process id, 0 when it does not run here.
        uptime_seconds: since its last start.
        address: where it answers.
    """

    name: str
    state: str
    pid: int
    uptime_seconds: int
    address: str


class Stack:
    """Every part of the platform on this machine.

    Args:
        settings: where the parts are, and which of them are somebody else's.

    Attributes:
        home: folder of the stack's state.
        parts: in the order in which they depend on each other.
        environment: what a process needs to work beside the stack: the settings and the Dagster instance.
        supervisor: the process that runs the parts.
    """

    def __init__(self, settings: Settings) -> None:
        self.home: Path = settings.music_home
        self.parts: list[Part] = [
            servers.kafka(settings),
            servers.postgres(settings),
            servers.redis_server(settings),
            applications.streams(settings),
            applications.features(settings),
            applications.api(settings),
            *applications.dagster(settings),
        ]
        self.environment = child_environment(settings) | applications.dagster_environment(settings)
        self.supervisor = Supervisor(self.home)
        self._settings = settings
        self._abandoned = threading.Event()
        self._wanted = frozenset(part.name for part in self.parts)

    def up(self, parts: Collection[str] | None = None) -> None:
        """Start what does not run and wait until it is ready; heals what a killed earlier run left.

        Args:
            parts: names of some parts only; by default all.

        Raises:
            StackError: something stands in the way, or a part does not get ready.
        """
        self._wanted = frozenset(parts if parts is not None else (part.name for part in self.parts))
        preflight.check_disk(self.home)
        with self._alone():
            self._up()

    def _up(self) -> None:
        wanted = [part for part in self.parts if part.name in self._wanted]
        changed = self.supervisor.configure(self.parts, self.environment)
        if changed or not self.supervisor.alive():
            self._end()
        running = {name for name, state in self.supervisor.states().items() if state.pid}
        preflight.check([part for part in wanted if part.name not in running])
        jars.fetch(self._settings.jars_path, jars.needed(self._settings))
        if not self.supervisor.alive():
            self.supervisor.launch({**self.environment, MARKER: str(self.home)})
        self.supervisor.start(HEALTH)
        done: dict[str, Future[None]] = {}
        self._abandoned.clear()
        with ThreadPoolExecutor(len(wanted) or 1) as pool:
            try:
                for part in wanted:
                    before = [done[name] for name in part.needs if name in done]
                    done[part.name] = pool.submit(self._bring, part, before)
                for each in as_completed(done.values()):
                    each.result()
            except BaseException:
                # Ctrl-C or a part that fails: the others are not waited for.
                self._abandoned.set()
                raise

    def _bring(self, part: Part, before: list[Future[None]]) -> None:
        for each in before:
            each.result()
        if part.external:
            if not wait_until(lambda: self._abandoned.is_set() or part.ready(), seconds=_EXTERNAL_SECONDS):
                raise StackError(f"{part.name} at {part.address} does not answer: start it or change {part.setting}")
        else:
            self._start(part)
        part.complete()

    def _start(self, part: Part) -> None:
        name = part.name
        if not self.supervisor.states()[name].pid:
            part.prepare()
            self.supervisor.start(name)
        done = wait_until(lambda: self._failed(name) or part.ready(), seconds=part.start_seconds, pause=0.2)
        if not done or self._failed(name):
            log = self.supervisor.log(name)
            raise StackError(f"{name} does not get ready, see {log}: {last_line(log)}")

    def _failed(self, name: str) -> bool:
        if self._abandoned.is_set():
            return True
        state = self.supervisor.states().get(name)
        return state is None or state.state in _FAILED

    def ensure(self) -> None:
        """Bring back what is missing: the supervisor, or a part it gave up. Costs little when all is well.

        Raises:
            StackError: it does not come back.
        """
        states = self.supervisor.states()
        if HEALTH not in states or any(states[name].state in _FAILED for name in self._wanted & states.keys()):
            with self._alone():
                self._up()

    def down(self) -> None:
        """Stop everything this stack started; afterwards none of its processes is left."""
        if self.home.exists():
            with self._alone():
                self._end()

    def _end(self) -> None:
        if self.supervisor.alive():
            names = [part.name for part in self.parts if not part.external]
            self.supervisor.stop([HEALTH, *(name for name in names if name not in _SERVERS)])
            self.supervisor.stop(_SERVERS)
            self.supervisor.shutdown()
        sweep(self.home)

    def ready(self) -> bool:
        """Whether every part that was asked for answers."""
        return all(part.ready() for part in self.parts if part.name in self._wanted)

    def status(self) -> list[PartStatus]:
        """Return every part as it is now."""
        with ThreadPoolExecutor(len(self.parts)) as pool:
            return list(pool.map(self._status, self.parts))

    def _status(self, part: Part) -> PartStatus:
        state = self.supervisor.states().get(part.name)
        if part.external:
            word = "external" if part.ready() else "away"
        elif state is None:
            word = "down"
        elif state.state == "RUNNING":
            word = "ready" if part.ready() else "starting"
        else:
            word = state.state.lower()
        return PartStatus(
            name=part.name,
            state=word,
            pid=state.pid if state else 0,
            uptime_seconds=state.uptime_seconds if state else 0,
            address=part.address,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time start or stop this stack."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / ".stack.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            yield
