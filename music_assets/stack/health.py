"""`python -m music_assets.stack.health`: restarts parts that run and do not answer.

The supervisor sees a process end, not one that hangs. This one asks each part what its readiness asks, and
when the supervisor itself was killed it ends what that left behind.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

import structlog

from music_assets.settings import settings
from music_assets.stack import Stack
from music_assets.stack.process import sweep
from streaming.errors import StackError

if TYPE_CHECKING:
    from music_assets.stack.parts import Part
    from music_assets.stack.supervisor import ProcessState, Supervisor

_INTERVAL_SECONDS: Final = 5.0
_FAILURES: Final = 6
"""Probes in a row: a long garbage collection or a recovery passes, a deadlock does not."""

log: Final = structlog.get_logger()


class Watch:
    """What is known about one part.

    Args:
        part: the part.
        supervisor: restarts it.
    """

    def __init__(self, part: Part, supervisor: Supervisor) -> None:
        self._part = part
        self._supervisor = supervisor
        self._pid = 0
        self._was_ready = False
        self._failures = 0

    def look(self, state: ProcessState) -> None:
        """Probe the part once and restart it if it has hung for long enough."""
        if state.state == "FATAL":
            log.warning("start after too many failures", part=self._part.name)
            self._supervisor.start(self._part.name)
        if state.state != "RUNNING":
            return
        if state.pid != self._pid:
            self._pid, self._was_ready, self._failures = state.pid, False, 0
        if self._part.ready():
            self._was_ready, self._failures = True, 0
            return
        self._failures += 1
        late = state.uptime_seconds > self._part.start_seconds
        if self._failures >= _FAILURES and (self._was_ready or late):
            log.warning("restart", part=self._part.name, failures=self._failures, pid=state.pid)
            # Not asked to end: it would not hear that either, and every part survives a kill.
            self._supervisor.kill(self._part.name)


def main() -> int:
    """Watch until this process is ended, or the supervisor is gone."""
    stack = Stack(settings())
    watches = {part.name: Watch(part, stack.supervisor) for part in stack.parts if not part.external}
    due = 0.0
    # The supervisor's own word about its id: it may have been killed before this process asked for its parent.
    while os.getppid() == stack.supervisor.pid():
        if time.monotonic() > due:
            _look(stack, watches)
            due = time.monotonic() + _INTERVAL_SECONDS
        time.sleep(0.5)
    # Said to nobody: the supervisor held the other end of the standard output.
    sweep(stack.home)
    return 1


def _look(stack: Stack, watches: dict[str, Watch]) -> None:
    for name, state in stack.supervisor.states().items():
        try:
            if name in watches:
                watches[name].look(state)
        except StackError as error:
            log.warning("not restarted", part=name, error=str(error))


if __name__ == "__main__":
    sys.exit(main())
