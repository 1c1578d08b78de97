"""Readers of files that people bring: one module a kind, each yields record after record and holds only one.

A file's records are counted from 0 in a fixed order, whatever becomes of them: that position is where an import that
was interrupted goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from music_assets.sources.exports import lastfm, listenbrainz, spotify, stations, table
from music_assets.sources.exports.base import Options, Rejected, Skipped
from music_assets.sources.plays import Play, Refusal, refusal
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from music_assets.sources.exports.base import Raw, Reader

KINDS: Final[dict[str, Reader]] = {
    "spotify": spotify.read,
    "lastfm": lastfm.read,
    "listenbrainz": listenbrainz.read,
    "csv": table.read,
    "radio": stations.read,
}
"""Every kind of file of plays."""

_RAW: Final = 2_000
"""Characters of a rejected record that are kept."""


def read(kind: str, path: Path, options: Options) -> Iterator[tuple[int, Play | Rejected | Skipped]]:
    """Yield every record of a file with its position: a play that can be sent, or why it is none.

    Raises:
        ConfigurationError: there is no such kind, or the file is not of it.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"there is no kind {kind!r}; valid: {', '.join(KINDS)}")
    now = datetime.now(UTC)
    for position, (outcome, raw) in enumerate(KINDS[kind](path, options)):
        found = refusal(outcome, now) if isinstance(outcome, Play) else outcome
        if found is None:
            assert isinstance(outcome, Play)
            yield position, outcome
        elif isinstance(found, Refusal):
            yield position, Rejected(found.field, found.reason, printable(raw))
        else:
            yield position, found


def printable(raw: Raw) -> str:
    """Return a record as text that PostgreSQL takes and a person can read, cut where it is long."""
    if isinstance(raw, list):
        text = ",".join(raw)[:_RAW].encode(errors="surrogateescape").decode(errors="backslashreplace")
    else:
        text = raw[: 4 * _RAW].decode(errors="backslashreplace")
    return text[:_RAW].replace("\x00", "\\x00")
