"""Backtests: how the models of today would have fared in each week of the past, judged on that week alone.

One split says how good a model is on one stretch of time; weeks in a row say whether it stays so. The settings are
those picked last, nothing is tuned: a week is far cheaper than a day's training, and all weeks compare the same models.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from music_assets.recommender.candidates import measured
from music_assets.recommender.files import replaced
from music_assets.recommender.metrics import Interval, K, difference
from music_assets.recommender.names import CANDIDATES, POPULARITY
from music_assets.recommender.recipes import recipe
from music_assets.recommender.split import MAX_LISTENERS, split_at
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from music_assets.recommender.interactions import Interactions

WEEK: Final = 7 * 86_400_000_000
"""Microseconds."""

METRIC: Final = f"ndcg@{K}"
"""What the curve shows."""

_FOLDER: Final = "backtest"
_FILE: Final = "week.json"


@dataclass(frozen=True, kw_only=True)
class Week:
    """What the models would have done in a week.

    Attributes:
        listens: that they learnt from.
        listeners: that judged.
        metrics: model to its means.
        gains: model to its NDCG over that of popularity, with the interval.
    """

    listens: int
    listeners: int
    metrics: dict[str, dict[str, float]]
    gains: dict[str, Interval]


def backtest(listens: Interactions, begin: int, settings: Mapping[str, Mapping[str, Any]]) -> Week:
    """Fit recipes on what lies before a week and judge them on it.

    Args:
        listens: all of them; what lies after the week is not looked at.
        begin: of the week, microseconds since 1970.
        settings: recipe to its settings; popularity, which the gains are over, is among them.

    Returns:
        The week, without metrics if nobody who had a history heard anything new in it.
    """
    split = split_at(listens.before(begin + WEEK), begin, most=MAX_LISTENERS)
    if not split.listeners:
        return Week(listens=len(split.train), listeners=0, metrics={}, gains={})
    judged = {
        name: measured(recipe(name).build(chosen).fit(split.train), split.history, split.test)
        for name, chosen in settings.items()
    }
    floor = judged[POPULARITY].ndcg
    return Week(
        listens=len(split.train),
        listeners=split.listeners,
        metrics={name: found.means() for name, found in judged.items()},
        gains={name: difference(found.ndcg, floor) for name, found in judged.items()},
    )


def current_settings(root: Path) -> dict[str, dict[str, Any]]:
    """Return each recipe's settings as the last training picked them, its first ones if it was not trained yet."""
    return {name: _settings(root / "work" / name / "candidate.json", name) for name in CANDIDATES}


def keep(root: Path, begin: date, week: Week) -> None:
    """Write a week below the work folder, in the place of what was found before."""
    (root / "work" / _FOLDER).mkdir(parents=True, exist_ok=True)
    with replaced(root / "work" / _FOLDER / begin.isoformat()) as folder:
        (folder / _FILE).write_text(json.dumps(asdict(week)), "utf-8")


def kept(root: Path) -> dict[str, Week]:
    """Return the weeks that were judged, by the date of their first day, the oldest first.

    Raises:
        IntegrityError: one cannot be read.
    """
    found = {}
    for path in sorted((root / "work" / _FOLDER).glob(f"[!.]*/{_FILE}")):
        try:
            said = json.loads(path.read_text("utf-8"))
            gains = {model: Interval(**gain) for model, gain in said.pop("gains").items()}
            week = Week(**said, gains=gains)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"the backtest of {path.parent.name} cannot be read; materialise its partition again"
            ) from error
        found.update({path.parent.name: week} if week.listeners else {})
    return found


def curve(weeks: Mapping[str, Week]) -> dict[str, list[float | None]]:
    """Return each model's NDCG week by week, None where it was not judged; the best of the last week first."""
    models = {model for week in weeks.values() for model in week.metrics}
    lines = {model: [week.metrics.get(model, {}).get(METRIC) for week in weeks.values()] for model in sorted(models)}
    return dict(sorted(lines.items(), key=lambda line: -(line[1][-1] or 0.0)))


def _settings(file: Path, name: str) -> dict[str, Any]:
    if not file.exists():
        return asdict(recipe(name).first)
    chosen: dict[str, Any] = json.loads(file.read_text("utf-8"))["settings"]
    return chosen
