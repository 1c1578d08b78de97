"""Pictures: the leaderboard, one row per model with its gain and the interval around it, and curves over weeks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from music_assets.recommender.metrics import Interval

_ROW, _LEFT, _PLOT, _RIGHT, _TOP = 26, 330, 420, 190, 44
"""Pixels: height of a row, width of names, of the plot and of the figures, height of the title."""

_CURVE: Final = 200
"""Pixels: height of a curve's plot."""

WEEKS: Final = "NDCG week by week"
"""Title of the curves of the backtests."""

PLACES: Final = "Odds of a play by place, beside the first, for items as good"
"""Title of the curve of what places are worth."""

_STYLE: Final = "font-family='sans-serif' font-size='12'"


def gains(title: str, rows: Sequence[tuple[str, Interval]]) -> str:
    """Return an SVG of models and their gains over a yardstick, in the order given; the line at 0 is the yardstick.

    Args:
        title: what is gained over what.
        rows: model, gain with its interval.
    """
    low = min([0.0, *(gain.lower for _, gain in rows)])
    high = max([0.0, *(gain.upper for _, gain in rows)])
    wide = (high - low) or 1.0
    width, height = _LEFT + _PLOT + _RIGHT, _TOP + _ROW * len(rows) + 10

    def across(value: float) -> float:
        return _LEFT + _PLOT * (value - low) / wide

    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'>",
        "<rect width='100%' height='100%' fill='white'/>",
        f"<text x='10' y='22' {_STYLE} font-weight='bold'>{escape(title)}</text>",
        f"<line x1='{across(0):.1f}' x2='{across(0):.1f}' y1='{_TOP - 8}' y2='{height - 6}' stroke='#999'/>",
    ]
    for number, (name, gain) in enumerate(rows):
        lines += _row(name, gain, y=_TOP + _ROW * number + _ROW / 2, marks=[across(v) for v in _values(gain)])
    return "\n".join([*lines, "</svg>"])


def embedded(svg: str, title: str) -> str:
    """Return a picture as Markdown that needs no other file."""
    data = base64.b64encode(svg.encode()).decode()
    return f"![{title}](data:image/svg+xml;base64,{data})"


def _values(gain: Interval) -> tuple[float, float, float]:
    return gain.lower, gain.mean, gain.upper


def _row(name: str, gain: Interval, *, y: float, marks: list[float]) -> list[str]:
    colour = "#1a7f37" if gain.lower > 0 else "#b35900" if gain.upper >= 0 else "#b3261e"
    lower, middle, upper = marks
    shown = name if len(name) <= 46 else f"{name[:45]}…"
    return [
        f"<text x='10' y='{y + 4:.1f}' {_STYLE}>{escape(shown)}</text>",
        f"<line x1='{lower:.1f}' x2='{upper:.1f}' y1='{y:.1f}' y2='{y:.1f}' stroke='{colour}' stroke-width='3'/>",
        f"<circle cx='{middle:.1f}' cy='{y:.1f}' r='5' fill='{colour}'/>",
        f"<text x='{_LEFT + _PLOT + 14}' y='{y + 4:.1f}' {_STYLE}>{escape(str(gain))}</text>",
    ]


def curves(title: str, across: Sequence[str], lines: Mapping[str, Sequence[float | None]]) -> str:
    """Return an SVG of values over time, one line for each model, named beside its end.

    Args:
        title: what the values are.
        across: names of the points in time, the oldest first.
        lines: model to a value for each of them, None where there is none.
    """
    high = max((value for line in lines.values() for value in line if value is not None), default=0.0) or 1.0
    width, height = _PLOT + 2 * _RIGHT, _TOP + _CURVE + 30
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'>",
        "<rect width='100%' height='100%' fill='white'/>",
        f"<text x='10' y='22' {_STYLE} font-weight='bold'>{escape(title)}, 0 to {high:.3f}</text>",
        f"<line x1='10' x2='{10 + _PLOT}' y1='{_TOP + _CURVE}' y2='{_TOP + _CURVE}' stroke='#999'/>",
    ]
    step = _PLOT / max(len(across) - 1, 1)
    for number, (model, line) in enumerate(lines.items()):
        colour = f"hsl({number * 360 // len(lines)},70%,38%)"
        points = [
            (10 + step * place, _TOP + _CURVE * (1 - value / high))
            for place, value in enumerate(line)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in points]
        at = _TOP + 14 * number
        parts.append(f"<text x='{_PLOT + 30}' y='{at}' {_STYLE} fill='{colour}'>{escape(model)}</text>")
    ends = f"{across[0]} to {across[-1]}" if across else "no week yet"
    parts.append(f"<text x='10' y='{_TOP + _CURVE + 20}' {_STYLE}>{escape(ends)}</text>")
    return "\n".join([*parts, "</svg>"])
