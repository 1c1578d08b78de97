"""Invented names for artists, albums, tracks and listeners: any likeness to a real one is chance."""

from __future__ import annotations

from random import Random
from typing import Final

_FIRST: Final = (
    "Amber", "Basalt", "Cinder", "Dovetail", "Ebb", "Fathom", "Gossamer", "Halcyon", "Indigo", "Juniper", "Kestrel",
    "Lantern", "Marrow", "Nettle", "Ochre", "Pewter", "Quarry", "Russet", "Saffron", "Tallow", "Umber", "Vesper",
    "Wicker", "Yarrow", "Zephyr", "Brindle", "Copper", "Dapple", "Ember", "Flint",
)  # fmt: skip
_SECOND: Final = (
    "Almanac", "Bureau", "Cartel", "Depot", "Embassy", "Foundry", "Gazette", "Harbour", "Institute", "Junction",
    "Kiosk", "Lighthouse", "Museum", "Nursery", "Orchard", "Parade", "Quartet", "Registry", "Sextet", "Terminal",
    "Union", "Voyage", "Workshop", "Annex", "Botanists", "Cosmonauts", "Ferrymen", "Geologists", "Typists", "Weavers",
)  # fmt: skip
_ADJECTIVES: Final = (
    "Borrowed", "Crooked", "Distant", "Electric", "Folded", "Gentle", "Hollow", "Idle", "Jagged", "Knotted", "Lesser",
    "Mended", "Northern", "Open", "Paper", "Quiet", "Restless", "Salted", "Tilted", "Unsent", "Velvet", "Wandering",
    "Yearlong", "Second", "Midnight", "Sunday", "Plastic", "Faithful", "Nameless", "Patient",
)  # fmt: skip
_NOUNS: Final = (
    "Ladder", "Ferry", "Letters", "Gravity", "Harvest", "Island", "Jetty", "Kites", "Lemonade", "Meridian", "Notebook",
    "Overture", "Postcard", "Question", "Railway", "Staircase", "Telegram", "Umbrella", "Valley", "Window", "Arcade",
    "Balcony", "Carousel", "Daylight", "Engine", "Fountain", "Garden", "Horizon", "Inventory", "Jukebox",
)  # fmt: skip
_ENDINGS: Final = ("", " at Dawn", " in Reverse", " for Two", " by the River", " After Rain", " on Paper", " Next Door")
GENRES: Final = (
    "harbour pop", "slow disco", "chamber folk", "desert rock", "glass techno", "attic jazz", "tape soul", "river dub",
    "winter ambient", "neon punk",
)  # fmt: skip
COUNTRIES: Final = ("BE", "NL", "DE", "FR", "SE", "PT", "CA", "JP", "BR", "NZ")


def distinct(rng: Random, count: int, kind: str) -> list[str]:
    """Return `count` different names of a kind (`artist`, `album` or `track`).

    Names are two words; once the pairs run out they get an ending, and a numeral once the endings run out.
    """
    left, right = (_FIRST, _SECOND) if kind == "artist" else (_ADJECTIVES, _NOUNS)
    prefix = "The " if kind == "album" else ""
    pairs = [f"{prefix}{first} {second}" for first in left for second in right]
    rng.shuffle(pairs)
    rounds = -(-count // len(pairs))
    named = [f"{name}{_ending(turn)}" for turn in range(rounds) for name in pairs]
    return named[:count]


def _ending(turn: int) -> str:
    return _ENDINGS[turn] if turn < len(_ENDINGS) else f" {turn + 1}"
