"""What a measurement leaves behind: every raw figure as JSON, and a table for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_MARKS: Final = {True: "met", False: "NOT MET", None: "not measured"}


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One figure and the limit it is held to.

    Attributes:
        name: short name, such as `silver / json_parquet`.
        value: what was measured; None when it was not.
        limit: what is required.
        direction: whether the limit is the least or the most.
        aim: what is hoped for beyond the limit.
        note: how it was measured, or why it was not.
    """

    name: str
    value: float | None
    limit: float
    direction: Literal["at least", "at most"] = "at least"
    aim: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the limit holds; None when nothing was measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.direction == "at least" else self.value <= self.limit


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table for people."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole measurement.

    Attributes:
        mode: what was measured.
        machine: what it ran on.
        options: what it was told.
        measured: every raw figure and what was computed from them.
        requirements: figures that are held to a limit.
        notes: what a reader must know.
        tables: what people are shown; the JSON holds the same figures raw.
    """

    mode: str
    machine: dict[str, Any]
    options: dict[str, Any]
    measured: dict[str, Any]
    requirements: Sequence[Requirement] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Rows] = field(default=(), repr=False)

    @property
    def missed(self) -> list[Requirement]:
        """What was measured and does not hold."""
        return [each for each in self.requirements if each.met is False]

    def as_json(self) -> str:
        """Return everything but the tables."""
        content = {name: value for name, value in asdict(self).items() if name != "tables"}
        content["requirements"] = [{**asdict(each), "met": each.met} for each in self.requirements]
        return json.dumps(content, indent=2, default=str) + "\n"

    def show(self, console: Console) -> None:
        """Print tables, requirements and notes."""
        for table in self.tables:
            _print(console, table)
        if self.requirements:
            _print(console, _requirement_rows(self.requirements))
        for note in self.notes:
            console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)


def number(value: float | None, digits: int = 2) -> str:
    """Return a figure for people, a dash for none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def _requirement_rows(requirements: Sequence[Requirement]) -> Rows:
    return Rows(
        title="Requirements",
        columns=("figure", "measured", "required", "aim", "", ""),
        rows=[
            (each.name, number(each.value, 3), f"{each.direction} {each.limit:g}",
             "" if each.aim is None else f"{each.aim:g}", _MARKS[each.met], each.note)
            for each in requirements
        ],
    )  # fmt: skip


def _print(console: Console, table: Rows) -> None:
    screen = Table(*table.columns, box=None, pad_edge=False, header_style="bold")
    for row in table.rows:
        screen.add_row(*[Text(str(cell)) for cell in row])
    console.print(f"\n{table.title}", highlight=False, markup=False)
    console.print(screen)
