"""What a part of the stack is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
"""The configuration of every service, reviewed like code."""


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One supervised process, or a server of the user's own when it has no command.

    Attributes:
        name: what people and the supervisor call it.
        command: its command line, run in the foreground; empty: somebody else runs it.
        ready: asks the process itself whether it can do its work.
        port: the port it listens on, None for a part that only calls others.
        setting: the setting that moves it.
        address: where people find it.
        needs: names of the parts that must be done before it starts.
        prepare: makes what must lie there before it starts; can be repeated.
        complete: makes what the parts after it count on, once it is ready; can be repeated.
        start_seconds: how long its start may take.
        stop_signal: what ends it in order.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    port: int | None = None
    setting: str
    address: str
    needs: tuple[str, ...] = ()
    prepare: Callable[[], object] = nothing
    complete: Callable[[], object] = nothing
    start_seconds: float = 120
    stop_signal: str = "TERM"

    @property
    def external(self) -> bool:
        """Whether somebody else runs it."""
        return not self.command
