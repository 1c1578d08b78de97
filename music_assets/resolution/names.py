"""What of a name decides whether it is the same: keys of artists and titles, and the parts of a credit."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from anyascii import anyascii

from music_assets.sources.items import normal

_GUESTS: Final = re.compile(
    r"\s+(?:ft|feat|featuring)\b[.,]*\s+|\s*[(\[](?:ft|feat|featuring|with)\b[.,]*\s+", re.IGNORECASE
)
_AND: Final = frozenset(
    {"and", "n", "en", "et", "und", "y", "vs", "ft", "feat", "featuring", "with", "met", "meets", "x"}
)
_ARTICLES: Final = frozenset({"de", "het", "les", "los", "las", "die", "der"})
_NUMBERS: Final = {
    word: str(number)
    for numbers, words in (
        (range(1, 13), "one two three four five six seven eight nine ten eleven twelve"),
        (range(20, 100, 10), "twenty thirty forty fifty sixty seventy eighty ninety"),
    )
    for number, word in zip(numbers, words.split(), strict=True)
}
_JOINED: Final = re.compile(r"[&+,]")
_SAME_RECORDING: Final = re.compile(
    r"\b(?:(?:digital(?:ly)? )?remaster(?:ed)?(?: version)?(?: \d{4})?|\d{4} (?:digital )?remaster(?:ed)?(?: version)?"
    r"|radio (?:edit|version|mix)|single (?:edit|version)|album version|original (?:mix|version)|mono|stereo)\b",
    re.IGNORECASE,
)
"""What a release adds to a title without another performance; live, acoustic and remix are other recordings."""


class Credit(NamedTuple):
    """Who a recording is credited to.

    Attributes:
        main: the name before the guests.
        guests: what stands behind "feat.", as it is written; empty without one.
    """

    main: str
    guests: str


def split_credit(name: str) -> Credit:
    """Return the parts of a credit such as `Route 94 Ft. Jess Glynne`."""
    main, *rest = _GUESTS.split(name, maxsplit=1)
    return Credit(main.strip() or name, " ".join(rest).strip(" )"))


@lru_cache(maxsize=65_536)
def artist_words(name: str) -> tuple[str, ...]:
    """Return the words that tell artists apart: small, in ASCII, numbers as digits, no articles or joining words."""
    words = [_NUMBERS.get(word, word) for word in normal(anyascii(_JOINED.sub(" ", name))).split()]
    if (len(words) > 1 and words[0] == "the") or (len(words) > 2 and words[0] in _ARTICLES):
        words = words[1:]
    # What joins two names stands between them: `X Ambassadors` and `Malcolm X` keep theirs.
    inner = [word for word in words[1:-1] if word != "the" and word not in _AND]
    return (words[0], *inner, *words[1:][-1:]) if words else (name,)


def artist_key(name: str) -> str:
    """Return what two spellings of one artist have in common: its words without the gaps between them."""
    return "".join(artist_words(name))


def digits(key: str) -> str:
    """Return the digits of a key: names that differ in them differ (`Blink 182`, `Blink 183`)."""
    return "".join(char for char in key if char.isdigit())


@lru_cache(maxsize=65_536)
def title_key(title: str) -> str:
    """Return what two spellings of a recording's title have in common, without its guests and its release."""
    bare = _SAME_RECORDING.sub(" ", _GUESTS.split(title, maxsplit=1)[0])
    key = "".join(artist_words(bare))
    return key or "".join(artist_words(title))
