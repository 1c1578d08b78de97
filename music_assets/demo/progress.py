"""One line per stage, as it ends: on a terminal with colour, elsewhere plain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from music_assets.demo.report import Stage


@dataclass
class Entry:
    """A stage under way; whoever works on it sets rows and note."""

    rows: int = 0
    note: str = ""


class Progress:
    """Prints stages and keeps them for the report; may be told from several threads.

    Args:
        console: where the lines go.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._stages: list[Stage] = []

    @property
    def stages(self) -> list[Stage]:
        """The stages so far, in the order they ended."""
        with self._lock:
            return list(self._stages)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    @contextmanager
    def stage(self, name: str) -> Iterator[Entry]:
        """Time a block; its line appears when it ends without an error."""
        entry, started = Entry(), time.monotonic()
        yield entry
        self.add(name, seconds=time.monotonic() - started, rows=entry.rows, note=entry.note)

    def add(self, name: str, *, seconds: float, rows: int, note: str = "") -> None:
        """Record a stage that has ended."""
        with self._lock:
            self._stages.append(Stage(name=name, seconds=round(seconds, 2), rows=rows))
            counted = f"{rows:>10,} rows" if rows else " " * 15
            done = f"[green]✓[/] {name:<14}[bold]{counted}[/]  {seconds:6.1f} s"
            self._console.print(
                f"[dim]{self.seconds:6.1f} s[/]  {done}  [dim]{escape(note)}[/]", highlight=False, soft_wrap=True
            )

    def say(self, sentence: str) -> None:
        """Print a line that is no stage."""
        with self._lock:
            self._console.print(f"[dim]{self.seconds:6.1f} s[/]  {escape(sentence)}", highlight=False, soft_wrap=True)
