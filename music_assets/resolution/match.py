"""Finds ids that mean one artist or one recording, each with its method and a confidence.

No pair of all names is compared: candidates share a key, the words, all letters but one, or a title. So the time
grows with the number of names, not with its square.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final

from rapidfuzz.distance import OSA, Indel

from music_assets.resolution.names import artist_key, artist_words, digits, split_credit, title_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ACTIVE: Final = 0.85
"""Confidence from which a match counts without a person's verdict; `PROPOSED` is where a person is asked."""
PROPOSED: Final = 0.55

_SHORT: Final = 5
_LONG: Final = 10
_ALIKE: Final = 0.85
_WORD_ALIKE: Final = 0.6
_COMMON_TITLE: Final = 6
"""A title that more artists have says nothing about any two of them (`Intro`, `Home`)."""
_CROWD: Final = 12
"""Names that share all letters but one with more than this are not told apart by that."""
_SECONDS_APART: Final = 5
_MANY_NAMES: Final = 12
"""An id of MusicBrainz that stands under more names is that of nobody in particular (`Various Artists`)."""


@dataclass(frozen=True, kw_only=True)
class ArtistName:
    """An artist as a source names it.

    Attributes:
        item_id: `artist:...`.
        name: as it is written.
        weight: how often it is met; the most frequent spelling stands for all.
        titles: keys of its titles.
        mbid: MusicBrainz' id of the artist, where a source gives it.
    """

    item_id: str
    name: str
    weight: int = 1
    titles: frozenset[str] = field(default=frozenset())
    mbid: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrackName:
    """A track as a source names it, with the source's own `artist_id`; `duration_ms` and `mbid` if known."""

    item_id: str
    title: str
    artist_id: str
    weight: int = 1
    duration_ms: int | None = None
    mbid: str | None = None


@dataclass(frozen=True, kw_only=True)
class Match:
    """Two ids that mean one item.

    Attributes:
        item_id: the one that is led over to the other.
        canonical_id: the one that stands for both.
        method: how they were found.
        confidence: 0 to 1.
    """

    item_id: str
    canonical_id: str
    method: str
    confidence: float


Pair = tuple[int, int]


def match_artists(artists: Sequence[ArtistName]) -> list[Match]:
    """Return, for every artist that is another one's spelling, the one that stands for it.

    Matches from `ACTIVE` on are put together to groups, and each of a group leads to its most frequent member. A group
    of credits with guests leads to its main artist, if that is met alone: `Mc 900 Ft. Jesus` is a name. The other
    matches are returned as they are, for a person to judge.
    """
    found: dict[Pair, tuple[str, float]] = {}
    for pair, method, confidence in _judged(artists):
        if confidence > found.get(pair, ("", 0.0))[1]:
            found[pair] = (method, confidence)
    groups = Groups([(each.item_id, each.weight) for each in artists], found)
    alone = {artist_key(each.name): at for at, each in enumerate(artists) if not split_credit(each.name).guests}
    # The heaviest credit of a group says whose guests they are.
    for at in sorted(range(len(artists)), key=lambda at: (-artists[at].weight, artists[at].item_id)):
        credit = split_credit(artists[at].name)
        main = alone.get(artist_key(credit.main)) if credit.guests else None
        if main is not None:
            groups.follow(at, main, ("main_artist", 0.9))
    return groups.matches()


def match_tracks(tracks: Sequence[TrackName], canonical: Mapping[str, str]) -> list[Match]:
    """Return, for every track that is another one's recording, the one that stands for it.

    Args:
        tracks: what the sources name.
        canonical: artist ids that another one stands for.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, track in enumerate(tracks):
        groups[canonical.get(track.artist_id, track.artist_id), title_key(track.title)].append(at)
    found: dict[Pair, tuple[str, float]] = {}
    for members in groups.values():
        first = max(members, key=lambda at: (tracks[at].weight, tracks[at].item_id))
        for other in members:
            if other != first:
                found[first, other] = _recording(tracks[first], tracks[other])
    found |= {pair: (method, confidence) for pair, method, confidence in _by_id(tracks)}
    return Groups([(each.item_id, each.weight) for each in tracks], found).matches()


def _by_id(named: Sequence[ArtistName | TrackName]) -> Iterator[tuple[Pair, str, float]]:
    """One id of MusicBrainz under several names."""
    bearers: dict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(named):
        if each.mbid is not None:
            bearers[each.mbid].append(at)
    for members in bearers.values():
        if len(members) <= _MANY_NAMES:
            for pair in pairwise(members):
                yield pair, "same_mbid", 0.99


def _recording(one: TrackName, other: TrackName) -> tuple[str, float]:
    if one.duration_ms is None or other.duration_ms is None:
        return "same_title", 0.9
    apart = abs(one.duration_ms - other.duration_ms) / 1000
    return ("same_title_and_length", 0.97) if apart <= _SECONDS_APART else ("same_title_other_length", 0.6)


def _judged(artists: Sequence[ArtistName]) -> Iterator[tuple[Pair, str, float]]:
    yield from _by_id(artists)
    by_key: dict[str, list[int]] = defaultdict(list)
    for at, artist in enumerate(artists):
        by_key[artist_key(artist.name)].append(at)
    for members in by_key.values():
        for pair in pairwise(members):
            yield pair, "same_name", 0.97
    one_each = {key: members[0] for key, members in by_key.items()}
    yield from _by_words(artists, one_each.values())
    yield from _by_letters(artists, one_each)
    yield from _by_title(artists)


def _by_words(artists: Sequence[ArtistName], members: Iterable[int]) -> Iterator[tuple[Pair, str, float]]:
    """`Presley Elvis` for `Elvis Presley`."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at in members:
        words = artist_words(artists[at].name)
        if len(words) > 1:
            groups[tuple(sorted(words))].append(at)
    for group in groups.values():
        for pair in pairwise(group):
            yield _ordered(pair), "word_order", 0.93


def _by_letters(artists: Sequence[ArtistName], one_each: Mapping[str, int]) -> Iterator[tuple[Pair, str, float]]:
    """One letter more, less, other or exchanged: such keys have a common rest when one letter of each is taken."""
    rests: dict[str, set[str]] = defaultdict(set)
    for key in one_each:
        if len(key) >= _SHORT:
            for rest in {key, *(key[:at] + key[at + 1 :] for at in range(len(key)))}:
                rests[rest].add(key)
    seen: set[tuple[str, str]] = set()
    for keys in rests.values():
        if 1 < len(keys) <= _CROWD:
            seen.update(combinations(sorted(keys), 2))
    for one, other in seen:
        if OSA.distance(one, other, score_cutoff=1) <= 1 and digits(one) == digits(other):
            pair = _ordered((one_each[one], one_each[other]))
            if _shared_title(artists, pair):
                yield pair, "spelling_and_title", 0.95
            else:
                yield pair, "spelling", 0.75 if min(len(one), len(other)) >= _LONG else 0.6


def _by_title(artists: Sequence[ArtistName]) -> Iterator[tuple[Pair, str, float]]:
    """Names that are alike word by word, of artists who have a title in common that few others have."""
    having: dict[str, list[int]] = defaultdict(list)
    for at, artist in enumerate(artists):
        for title in artist.titles:
            having[title].append(at)
    for members in having.values():
        if 1 < len(members) <= _COMMON_TITLE:
            for pair in combinations(members, 2):
                if _alike(*(artist_words(artists[at].name) for at in pair)):
                    yield _ordered(pair), "alike_and_title", 0.9


def _alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether each word is written nearly as the other's, so that `A & B` is not taken for `A & C`."""
    if len(one) != len(other) or one == other or digits("".join(one)) != digits("".join(other)):
        return False
    return (
        all(Indel.normalized_similarity(*words) >= _WORD_ALIKE for words in zip(one, other, strict=True))
        and Indel.normalized_similarity("".join(one), "".join(other)) >= _ALIKE
    )


def _shared_title(artists: Sequence[ArtistName], pair: Pair) -> bool:
    return not artists[pair[0]].titles.isdisjoint(artists[pair[1]].titles)


def _ordered(pair: Pair) -> Pair:
    return pair if pair[0] < pair[1] else (pair[1], pair[0])


class Groups:
    """Ids put together by active matches; each leads to the heaviest of its group.

    Args:
        items: ids with their weights.
        found: how pairs of them match, by their places.
    """

    def __init__(self, items: Sequence[tuple[str, int]], found: Mapping[Pair, tuple[str, float]]) -> None:
        self._items = items
        self._proposed = {pair: how for pair, how in found.items() if PROPOSED <= how[1] < ACTIVE}
        self._group = list(range(len(items)))
        self._surest: dict[int, tuple[str, float]] = {}
        for pair, how in found.items():
            if how[1] >= ACTIVE:
                self._join(pair, how)
        self._leader: dict[int, int] = {}
        for at in range(len(items)):
            root = self._root(at)
            self._leader[root] = max(self._leader.get(root, at), at, key=self._rank)
        self._followed: dict[int, tuple[int, tuple[str, float]]] = {}

    def _join(self, pair: Pair, how: tuple[str, float]) -> None:
        one, other = pair
        self._group[self._root(one)] = self._root(other)
        for at in pair:
            if how[1] > self._surest.get(at, ("", 0.0))[1]:
                self._surest[at] = how

    def _root(self, at: int) -> int:
        while self._group[at] != at:
            self._group[at] = self._group[self._group[at]]
            at = self._group[at]
        return at

    def _rank(self, at: int) -> tuple[int, str]:
        item_id, weight = self._items[at]
        return weight, item_id

    def follow(self, at: int, other: int, how: tuple[str, float]) -> None:
        """Let the whole group of `at` lead where `other` leads, unless it leads somewhere or would come back to it."""
        leader, target = self._leader[self._root(at)], self.end(other)
        if target != leader and leader not in self._followed:
            self._followed[leader] = (target, how)

    def end(self, at: int) -> int:
        """Return the place of what an id leads to in the end; itself, if to nothing."""
        leader = self._leader[self._root(at)]
        return self.end(self._followed[leader][0]) if leader in self._followed else leader

    def matches(self) -> list[Match]:
        """Return what leads elsewhere, then what a person should judge."""
        found = [self._match(at, self.end(at), self._how(at)) for at in range(len(self._items)) if self.end(at) != at]
        for (one, other), how in self._proposed.items():
            lighter, heavier = sorted((self.end(one), self.end(other)), key=self._rank)
            if lighter != heavier:
                found.append(self._match(lighter, heavier, how))
        return found

    def _how(self, at: int) -> tuple[str, float]:
        leader = self._leader[self._root(at)]
        return self._followed[leader][1] if leader in self._followed else self._surest[at]

    def _match(self, at: int, canonical: int, how: tuple[str, float]) -> Match:
        item_id, canonical_id = self._items[at][0], self._items[canonical][0]
        return Match(item_id=item_id, canonical_id=canonical_id, method=how[0], confidence=how[1])
