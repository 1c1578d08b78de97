"""HetRec becomes listens with times: counted, spread and named as the file says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from music_assets.sources import hetrec
from streaming.errors import ConfigurationError

ANCHOR = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n2\t51\t900\n2\t52\t90\n3\t51\t1\n")
    (tmp_path / "artists.dat").write_text(
        'id\tname\turl\tpictureURL\n51\tThe "Quoted" Ö\tu\tp\n52\tSecond\tu\tp\n99\tUnheard\tu\tp\n', encoding="utf-8"
    )
    (tmp_path / "tags.dat").write_bytes("tagID\ttagValue\r\n1\tchanson française\r\n2\trock\r\n".encode("iso-8859-1"))
    (tmp_path / "user_taggedartists.dat").write_text(
        "userID\tartistID\ttagID\tday\tmonth\tyear\n2\t51\t1\t1\t4\t2009\n3\t51\t1\t1\t4\t2009\n3\t51\t2\t1\t4\t2009\n"
    )
    return tmp_path


def test_listens_are_scaled_from_the_real_counts_and_nobody_vanishes(folder: Path) -> None:
    feed = hetrec.feed(folder, seed=1, anchor=ANCHOR, listens=100)
    counts = Counter((event["user_id"], event["item_id"]) for event in feed.events())
    assert counts == {("hetrec-2", "artist:51"): 90, ("hetrec-2", "artist:52"): 9, ("hetrec-3", "artist:51"): 1}
    assert feed.truth.posted == feed.truth.topics["events_listens"].stored == 100


def test_every_pair_has_a_first_day_of_its_own_and_all_times_differ(folder: Path) -> None:
    events = list(hetrec.feed(folder, seed=1, anchor=ANCHOR, listens=2000).events())
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    assert times == sorted(times)
    assert ANCHOR - timedelta(days=365) <= times[0]
    assert times[-1] < ANCHOR
    assert len({(e["user_id"], e["item_id"], e["timestamp"]) for e in events}) == len(events)
    assert {event["source"] for event in events} == {"simulated"}


def test_the_seed_decides_the_times(folder: Path) -> None:
    one, same, other = (list(hetrec.feed(folder, seed=seed, anchor=ANCHOR, listens=500).events()) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_names_keep_their_quotes_and_tags_their_accents(folder: Path) -> None:
    records = {record.item_id: record for record in hetrec.feed(folder, seed=1, anchor=ANCHOR).catalogue}
    assert set(records) == {"artist:51", "artist:52"}
    assert records["artist:51"].name == 'The "Quoted" Ö'
    assert getattr(records["artist:51"], "genre", None) == "chanson française"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"user_artists\.dat is missing"):
        hetrec.feed(tmp_path, seed=1, anchor=ANCHOR)


def test_the_real_data_set_gives_half_a_million_listens_over_the_year(music_data: Path) -> None:
    feed = hetrec.feed(music_data / "hetrec_lastfm2k", seed=1, anchor=ANCHOR)
    assert 520_000 <= feed.truth.posted <= 521_000
    seen: set[tuple[str, str, str]] = set()
    firsts: dict[tuple[str, str], datetime] = {}
    for event in feed.events():
        seen.add((event["user_id"], event["item_id"], event["timestamp"]))
        firsts.setdefault((event["user_id"], event["item_id"]), datetime.fromisoformat(event["timestamp"]))
    assert len(seen) == feed.truth.posted
    assert len(firsts) == 74_175
    fifths = np.histogram([(ANCHOR - when).days for when in firsts.values()], bins=5, range=(0, 365))[0]
    assert fifths.min() > 0.18 * len(firsts)
    heard = {item for _, item in firsts}
    assert {record.item_id for record in feed.catalogue} == heard
