"""What a part of the stack is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
"""The configuration of every service, reviewed like code."""


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One supervised process.

    Attributes:
        name: what people and the supervisor call it.
        command: its command line; runs in the foreground.
        ready: asks the process itself whether it can do its work.
        port: the port it listens on, None for a part that only calls others.
        setting: the setting that moves the port.
        address: where people find it.
        environment: what it is told beyond the settings.
        prepare: makes what must lie there before the first start; can be repeated.
        start_seconds: how long its start may take.
        stop_signal: what ends it in order.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    port: int | None = None
    setting: str = ""
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = nothing
    start_seconds: float = 60
    stop_signal: str = "TERM"
