"""The last page of a demo: what was planted and found, who won, what is recommended and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from music_assets.demo.report import Recommendations, Report

_SHOWN: Final = 5
_METRICS: Final = ("ndcg@10", "recall@10", "hit_rate@10", "coverage@10")


def show(report: Report, console: Console, addresses: dict[str, str]) -> None:
    """Print a report.

    Args:
        report: the run.
        console: where to.
        addresses: what a person may open, by name.
    """
    console.print(Group(*_parts(report, addresses)), highlight=False)


def _parts(report: Report, addresses: dict[str, str]) -> Iterator[RenderableType]:
    yield ""
    yield _ledger(report)
    yield _planted(report)
    if report.models:
        yield _models(report)
    yield f"Gate: {escape(report.gate)}"
    yield ""
    for answer in report.recommendations:
        yield _recommendations(answer)
    if report.trending:
        yield f"Trending now: {escape(', '.join(report.trending[:3]))}"
    yield ""
    yield from _promises(report)
    yield f"{report.seconds:.0f} s, peak memory {report.peak_rss_mb:,.0f} MiB"
    yield from (f"{name:<12} {address}" for name, address in addresses.items())


def _ledger(report: Report) -> Table:
    table = _table("Ledger", "topic", "received", "stored", "duplicate", "dead-lettered")
    for topic, line in report.ledger.items():
        counts = (line.received, line.stored, line.duplicate, line.dead_lettered)
        table.add_row(topic, *(f"{count:,}" for count in counts))
    return table


def _planted(report: Report) -> Table:
    """One row per count that was planted, with what this run found."""
    planted, found = report.truth.planted, report.truth.found
    table = _table("Planted and found", "", "planted", "found", "")
    rows: list[tuple[str, object, object]] = [("events posted", planted["posted"], found["posted"])]
    rows.append(("refused by the API", sum(planted["rejected"].values()), sum(found["rejected"].values())))
    for topic, counts in planted["topics"].items():
        seen = found["topics"].get(topic, {})
        rows += [(f"{topic} {name}", count, seen.get(name)) for name, count in counts.items() if name != "reasons"]
    if planted["trend"] is not None:
        rows.append(("first of the trending tracks", planted["trend"], found["trend"]))
    for name, expected, seen_value in rows:
        mark = Text("=", "green") if expected == seen_value else Text("differs", "red")
        table.add_row(name, _number(expected), _number(seen_value), mark)
    return table


def _models(report: Report) -> Table:
    known = {name for metrics in report.models.values() for name in metrics}
    names = [name for name in _METRICS if name in known]
    table = _table("Models, on items first heard in the last fifth of the time", "model", *names)
    for model, metrics in report.models.items():
        table.add_row(model, *(f"{metrics[name]:.4f}" if name in metrics else "" for name in names))
    return table


def _recommendations(answer: Recommendations) -> Table:
    table = Table(
        title=f"For {answer.user_id}: {answer.rung}, by {answer.model_version}", title_justify="left", box=None
    )
    for column in ("item", "score", "source", "reason"):
        table.add_column(column, justify="right" if column == "score" else "left")
    for item in answer.items[:_SHOWN]:
        table.add_row(escape(item.name or item.item_id), f"{item.score:.3f}", item.source, escape(item.reason))
    return table


def _promises(report: Report) -> Iterator[RenderableType]:
    for name, kept in report.promises.items():
        yield Text.assemble(("kept  ", "green") if kept else ("BROKEN", "bold red"), f"  {name}")
    yield from (Text(f"  {sentence}", "red") for sentence in report.broken)


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
