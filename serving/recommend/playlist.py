"""Recommendations as a playlist that players read: JSPF (XSPF in JSON) or extended M3U."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.catalog import Detail
    from serving.recommend.schemas import RecommendationAnswer

TITLE: Final = "Recommended"
_SCHEME: Final = "urn:music:"
"""There is no address to play from: the id says what is meant, as JSPF's `identifier` and in place of M3U's file."""
_LINE_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")


def jspf(answer: RecommendationAnswer, names: Mapping[str, str], details: Mapping[str, Detail]) -> dict[str, Any]:
    """Return a playlist as JSPF (https://www.xspf.org/jspf); `annotation` says why a track is there."""
    tracks = [
        {
            "title": item.name or item.item_id,
            "identifier": [_SCHEME + item.item_id],
            "annotation": item.reason,
            "trackNum": item.rank,
        }
        | ({"creator": artist} if (artist := _artist(item.item_id, names, details)) else {})
        for item in answer.items
    ]
    playlist = {
        "title": TITLE, "date": answer.as_of.isoformat(), "identifier": f"{_SCHEME}playlist:{answer.recommendation_id}",
        "track": tracks,
    }  # fmt: skip
    return {"playlist": playlist}


def m3u(answer: RecommendationAnswer, names: Mapping[str, str], details: Mapping[str, Detail]) -> str:
    """Return a playlist as extended M3U, one entry of two lines a track; a name cannot break out of its line."""
    lines = ["#EXTM3U", f"#PLAYLIST:{TITLE}"]
    for item in answer.items:
        artist = _artist(item.item_id, names, details)
        title = item.name or item.item_id
        lines += [_line(f"#EXTINF:-1,{artist} - {title}" if artist else f"#EXTINF:-1,{title}")]
        lines += [_line(_SCHEME + item.item_id)]
    return "\n".join(lines) + "\n"


def _artist(item_id: str, names: Mapping[str, str], details: Mapping[str, Detail]) -> str | None:
    detail = details.get(item_id)
    return names.get(detail.artist_id or "") if detail is not None else None


def _line(text: str) -> str:
    return _LINE_BREAKS.sub(" ", text)
