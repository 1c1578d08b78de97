"""Precision and recall on pairs that a person judged, of a file that stays where it is.

Kept are salted hashes of the two names with the verdict: whether both are the same artist, or credits headed by the
same one. `precision` was drawn from what the rules linked; `recall`, apart from it, from all pairs whose letters agree
by 80 % (rapidfuzz `token_sort_ratio`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections import Counter, defaultdict
from itertools import combinations
from math import sqrt
from pathlib import Path

import pytest

from music_assets.resolution.catalogue import canonical_ids
from music_assets.resolution.match import ArtistName, match_artists
from music_assets.resolution.names import title_key
from music_assets.sources import hetrec, radio

_FILE = Path(__file__).with_name("verdicts.json")


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, hits / count
    middle, reach = share + z * z / (2 * count), z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - reach) / (1 + z * z / count), (middle + reach) / (1 + z * z / count)


def featured_artists(folder: Path) -> set[str]:
    """Names of the artists of the files with audio features."""
    columns = ("track_artist", "artist", "artist_name")
    names: set[str] = set()
    for file in folder.glob("*.csv"):
        with file.open(encoding="utf-8-sig", newline="") as lines:
            names.update(next((row[name] for name in columns if row.get(name)), "") for row in csv.DictReader(lines))
    return names - {""}


def test_more_of_the_listening_has_audio_features_than_by_exact_names(
    music_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = hetrec.read_pairs(music_data / "hetrec_lastfm2k")
    weights: Counter[int] = Counter()
    for artist, weight in zip(pairs.artists.tolist(), pairs.weights.tolist(), strict=True):
        weights[artist] += weight
    heard = {record.item_id: record.name for record in hetrec.artists(music_data / "hetrec_lastfm2k", set(weights))}
    featured = {f"artist:featured:{name}": name for name in featured_artists(music_data / "spotify_tracks")}

    canonical = canonical_ids(
        match_artists([ArtistName(item_id=item_id, name=name) for item_id, name in (heard | featured).items()])
    )

    there = {canonical.get(item_id, item_id) for item_id in featured}
    joined = sum(
        weight for number, weight in weights.items() if canonical.get(f"artist:{number}", f"artist:{number}") in there
    )
    exact = {name.casefold() for name in featured.values()}
    by_name = sum(weight for number, weight in weights.items() if heard.get(f"artist:{number}", "").casefold() in exact)
    shares = joined / weights.total(), by_name / weights.total()
    with capsys.disabled():
        sys.stdout.write(f"\nshare of the listening with features: {shares[0]:.4f}, by exact names {shares[1]:.4f}\n")
    assert shares[1] > 0.75
    assert shares[0] > shares[1] + 0.01


@pytest.fixture(scope="module")
def names(music_data: Path) -> dict[str, str]:
    """The canonical id of every artist's most frequent spelling."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    titles: dict[str, set[str]] = defaultdict(set)
    for play in radio.plays(music_data / "radio_plays" / "plays_raw_2018-01_03.csv"):
        spellings[play.artist_id][play.artist] += 1
        titles[play.artist_id].add(title_key(play.title))
    artists = [
        ArtistName(
            item_id=item_id, name=counts.most_common(1)[0][0], weight=counts.total(), titles=frozenset(titles[item_id])
        )
        for item_id, counts in spellings.items()
    ]
    canonical = canonical_ids(match_artists(artists))
    return {each.name: canonical.get(each.item_id, each.item_id) for each in artists}


def test_artists_are_resolved_as_a_person_does(names: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    judged = json.loads(_FILE.read_text())
    wanted = judged["precision"].keys() | judged["recall"].keys()
    linked: dict[str, bool] = {}
    for one, other in combinations(names, 2):
        pair = hashlib.blake2b("\x1f".join((judged["salt"], *sorted((one, other)))).encode(), digest_size=8).hexdigest()
        if pair in wanted:
            linked[pair] = names[one] == names[other]
    assert linked.keys() == wanted, "every judged pair is still there"

    merged = [verdict for pair, verdict in judged["precision"].items() if linked[pair]]
    same = [pair for pair, verdict in judged["recall"].items() if verdict]
    found = sum(linked[pair] for pair in same)
    precision, recall = wilson(sum(merged), len(merged)), wilson(found, len(same))
    with capsys.disabled():
        sys.stdout.write(
            f"\nprecision {sum(merged)}/{len(merged)} [{precision[0]:.3f}, {precision[1]:.3f}],"
            f" recall {found}/{len(same)} [{recall[0]:.3f}, {recall[1]:.3f}]\n"
        )
    assert len(merged) + len(judged["recall"]) >= 300
    assert precision[0] > 0.95
    assert found / len(same) > 0.85
