"""How commands print tables."""

from typing import Any, Final

from rich.console import Console
from rich.table import Table as Screen
from rich.text import Text

_WIDTH: Final = 10_000
"""Of the lines where the output is no terminal: what reads it finds a row on one line."""


def show(columns: list[str], rows: list[list[Any]]) -> None:
    """Print rows under their columns, numbers with separators."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    screen = Screen(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        screen.add_row(*[Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row])
    console.print(screen)
