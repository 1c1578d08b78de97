"""One part alone, without a supervisor: for what needs a server for a while and leaves nothing running."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from music_assets.stack.process import wait_until
from streaming.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from music_assets.stack.parts import Part

_TAIL: Final = 2000


@contextmanager
def running(
    part: Part, folder: Path, *, environment: Mapping[str, str] | None = None, grace_seconds: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part; it ends with the block.

    Args:
        part: what to run.
        folder: its output is appended to `<name>.log` there.
        environment: of the process; by default this process's own.
        grace_seconds: how long it may take to end in order before it is killed.

    Raises:
        StackError: it does not get ready; the message ends with the end of its log.
    """
    part.prepare()
    log = folder / f"{part.name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(part.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
    try:
        if not wait_until(lambda: part.ready() or process.poll() is not None, seconds=part.start_seconds):
            raise StackError(f"{part.name} did not get ready:\n{_tail(log)}")
        if process.poll() is not None:
            raise StackError(f"{part.name} ended with {process.returncode}:\n{_tail(log)}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
