"""Models: what serves, what did, and how they were judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from music_assets.recommender import board, bundle, releases
from music_assets.recommender.metrics import K
from serving.operator.schemas import BoardRow, GateWord, ModelsAnswer, ReleaseRow

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from music_assets.recommender.board import Line, Word
    from music_assets.recommender.releases import Entry

    Verdict = Literal["serves", "challenger", "before", "withdrawn", "damaged", "kept"]

_MOST: Final = 50
_ROLES: Final[tuple[tuple[str, Verdict], ...]] = (
    ("champion", "serves"), ("withdrawn", "withdrawn"), ("challenger", "challenger"), ("previous", "before"),
)  # fmt: skip


def read(root: Path) -> ModelsAnswer:
    """Return the models below a root.

    Raises:
        IntegrityError: what was left for people cannot be read.
    """
    lines, _ = board.read(root)
    word = board.last_word(root)
    return ModelsAnswer(
        champion=bundle.champion(root),
        releases=[_release(each, word) for each in releases.entries(root)[:_MOST]],
        leaderboard=[_row(line) for line in lines],
        gate=None if word is None else GateWord(released=word.released, reason=word.reason, at=word.at),
        as_of=datetime.now(UTC),
    )


def _release(entry: Entry, word: Word | None) -> ReleaseRow:
    if entry.problem is not None:
        return ReleaseRow(version=entry.version, at=None, verdict="damaged", reason=entry.problem)
    verdict = next((verdict for role, verdict in _ROLES if role in entry.roles), "kept")
    said = word.reason if word is not None and word.released and word.version == entry.version else None
    return ReleaseRow(
        version=entry.version, at=datetime.fromisoformat(entry.facts["created_at"]), verdict=verdict, reason=said
    )


def _row(line: Line) -> BoardRow:
    return BoardRow(
        model=line.model, ndcg=line.metrics[f"ndcg@{K}"], low=line.over_popularity["lower"],
        high=line.over_popularity["upper"], recall=line.metrics.get(f"recall@{K}"),
        coverage=line.metrics.get(f"coverage@{K}"), seconds=None,
    )  # fmt: skip
