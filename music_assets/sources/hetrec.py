"""HetRec 2011 Last.fm: who listened to which artist how often, given times that the data set does not have.

Format: https://grouplens.org/datasets/hetrec-2011/. Tab-separated with a header line and no quoting: a quote
is part of a name. `artists.dat` is UTF-8, `tags.dat` ISO-8859-1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from music_assets.sources.feed import ClientEvent, Feed, TopicTruth, Truth, catalogue_truth
from streaming.errors import ConfigurationError
from streaming.events import ArtistRecord, CatalogRecord

SOURCE: Final = "simulated"
PERIOD: Final = timedelta(days=365)
LEAST: Final = timedelta(days=1)
"""Room left between the first listen and the anchor, so that all listens of an artist have a place."""
DEFAULT_LISTENS: Final = 520_000


@dataclass(frozen=True)
class Pairs:
    """Listening counts: one entry per user and artist, all three arrays of the same length (int64)."""

    users: npt.NDArray[np.int64]
    artists: npt.NDArray[np.int64]
    weights: npt.NDArray[np.int64]


def feed(folder: Path, *, seed: int, anchor: datetime, listens: int = DEFAULT_LISTENS) -> Feed:
    """Return the feed of the data set in `folder`, `listens` or slightly more listens before `anchor`.

    Each of a user's artists gets a first day of its own, uniform over the year before the anchor; its other
    listens lie after it. Their number is the real count times a common factor, and at least one.

    Raises:
        ConfigurationError: the folder lacks a file of the data set.
    """
    pairs = read_pairs(folder)
    counts = scaled(pairs.weights, listens)
    records = artists(folder, set(pairs.artists.tolist()))
    moments, rows = _moments(counts, seed=seed, anchor=anchor)
    users, items = pairs.users[rows], pairs.artists[rows]
    total = int(counts.sum())
    return Feed(
        name=SOURCE, title=f"HetRec Last.fm, {total:,} simulated listens of {len(set(pairs.users.tolist())):,} people",
        catalogue=records, events=lambda: _events(users, items, moments),
        truth=Truth(
            posted=total,
            topics={"events_listens": TopicTruth(received=total, stored=total)},
            catalogue=catalogue_truth(records),
        ),
    )  # fmt: skip


def read_pairs(folder: Path) -> Pairs:
    """Return the counts of `user_artists.dat`."""
    table = np.array([row[:3] for row in _rows(folder / "user_artists.dat", "utf-8")], dtype=np.int64)
    return Pairs(users=table[:, 0], artists=table[:, 1], weights=table[:, 2])


def scaled(weights: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """Return max(1, round(weight * factor)) with the smallest factor (to 60 bisections) whose sum reaches `total`."""
    low, high = 0.0, max(1.0, 2 * total / float(weights.sum()))
    for _ in range(60):
        middle = (low + high) / 2
        if _times(weights, middle).sum() < total:
            low = middle
        else:
            high = middle
    return _times(weights, high)


def _times(weights: npt.NDArray[np.int64], factor: float) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = np.maximum(1, np.rint(weights * factor)).astype(np.int64)
    return counts


def artists(folder: Path, wanted: set[int]) -> list[CatalogRecord]:
    """Return the records of the wanted artists; the genre is the tag that most people gave."""
    tags = {int(row[0]): row[1].strip() for row in _rows(folder / "tags.dat", "iso-8859-1")}
    given: dict[int, Counter[str]] = {}
    for row in _rows(folder / "user_taggedartists.dat", "utf-8"):
        if tags.get(int(row[2])):
            given.setdefault(int(row[1]), Counter())[tags[int(row[2])]] += 1
    records: list[CatalogRecord] = []
    for row in _rows(folder / "artists.dat", "utf-8"):
        number = int(row[0])
        if number in wanted:
            votes = given.get(number, Counter())
            genre = min(votes, key=lambda tag: (-votes[tag], tag), default=None)
            records.append(ArtistRecord(item_id=f"artist:{number}", name=row[1].strip(), source="hetrec", genre=genre))
    return records


def _rows(file: Path, encoding: str) -> Iterator[list[str]]:
    """Yield the fields of every line but the first."""
    if not file.is_file():
        raise ConfigurationError(f"{file} is missing: give the folder of the HetRec Last.fm data set")
    with file.open(encoding=encoding, newline="\n") as lines:
        next(lines, None)
        for line in lines:
            yield line.rstrip("\r\n").split("\t")


def _moments(
    counts: npt.NDArray[np.int64], *, seed: int, anchor: datetime
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (times in microseconds since 1970, row of the pair), in order of time.

    Listen j of n lies in the j-th of n equal parts between first listen and anchor, so
    that no two listens of a pair share a time and with it an identity.
    """
    rng = np.random.default_rng([seed, 2011])
    end = int(anchor.timestamp()) * 1_000_000
    period, least = (int(span / timedelta(microseconds=1)) for span in (PERIOD, LEAST))
    first = end - period + rng.integers(0, period - least, size=len(counts))
    rows = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    part = (end - first)[rows] // counts[rows]
    inside = (rng.random(len(rows)) * part).astype(np.int64)
    moments = first[rows] + place * part + np.where(place == 0, 0, inside)
    order = np.argsort(moments, kind="stable")
    return moments[order], rows[order]


def _events(
    users: npt.NDArray[np.int64], items: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]
) -> Iterator[ClientEvent]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for user, item, moment in zip(users, items, moments, strict=True):
        when = epoch + timedelta(microseconds=int(moment))
        yield {
            "user_id": f"hetrec-{user}",
            "event_type": "listen",
            "item_id": f"artist:{item}",
            "timestamp": when.isoformat(timespec="microseconds"),
            "source": SOURCE,
        }
