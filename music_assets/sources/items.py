"""Item ids of what sources name: the source's own id where it has one, otherwise made of the normalised name.

Two sources that name the same artist and title give the same id, whatever case, accents and punctuation they use.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final

from streaming.events import ItemKind

_SLUG_LENGTH: Final = 48
_MBID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def named(kind: ItemKind, *parts: str) -> str:
    """Return `kind:slug` of names: of the artist, or of the artist and then the title."""
    return f"{kind.value}:{_slug(*parts)}"


def spotify(kind: ItemKind, spotify_id: str) -> str:
    """Return `kind:spotify:ID` for the 22 characters that Spotify calls an id."""
    return f"{kind.value}:spotify:{spotify_id}"


def musicbrainz(value: object) -> str | None:
    """Return an id of MusicBrainz as it is written there, None for anything else that a file may have in its place."""
    return value.lower() if isinstance(value, str) and _MBID.fullmatch(value) else None


def normal(text: str) -> str:
    """Return a name without case, accents and punctuation; one that has nothing else stays, but for its case."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join(re.sub(r"[\W_]+", " ", plain.casefold()).split()) or text.casefold()


@lru_cache(maxsize=65_536)
def _slug(*parts: str) -> str:
    """Return a readable id of normalised parts; the digest keeps what was cut or has no Latin letters apart."""
    words = [normal(part) for part in parts]
    digest = hashlib.blake2b("\x1f".join(words).encode(), digest_size=5).hexdigest()
    readable = re.sub(r"[^a-z0-9]+", "-", " ".join(words))[:_SLUG_LENGTH].strip("-")
    return f"{readable}-{digest}" if readable else digest
