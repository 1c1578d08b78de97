"""A demo as a person sees it: run, summary, serve until told to stop, and leave nothing running."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from rich.console import Console

from music_assets.demo import summary
from music_assets.demo.run import Demo, Options
from music_assets.settings import Settings
from music_assets.stack import Stack

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def run(options: Options, settings: Settings, console: Console, *, serve: bool) -> bool:
    """Run the demo, write `demo.json`, print the summary and say whether every promise is kept.

    Args:
        options: what to send.
        settings: of the stack.
        console: where progress and summary go.
        serve: keep the stack up until SIGINT or SIGTERM.

    Raises:
        MusicError: the demo cannot be run to its end.
        KeyboardInterrupt: it was ended before the summary. The stack is down in any case.
    """
    stack = Stack(settings)
    with _terminated_as_interrupted():
        try:
            report = Demo(options, settings, console).run(stack)
            path = report.write(settings.music_home)
            summary.show(report, console, _addresses(settings))
            console.print(f"Report       {path}", highlight=False, soft_wrap=True)
            if serve:
                _serve(console)
        finally:
            with _uninterrupted():
                stack.down()
    return report.kept


def _serve(console: Console) -> None:
    console.print("Serving until Ctrl-C.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopping.")


def _addresses(settings: Settings) -> dict[str, str]:
    return {"API docs": f"{settings.api_url}/docs", "Dagster UI": settings.dagster_url}


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that both take the stack down."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore further signals: whoever presses Ctrl-C twice still gets everything stopped."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: signal._HANDLER) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _ENDING}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
