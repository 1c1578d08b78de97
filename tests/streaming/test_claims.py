"""The claim index against a dictionary that remembers everything, over restarts, losses and floods of copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from streaming.bloom import BloomFilter
from streaming.claims import ClaimIndex, Claims, Verdict, as_digests
from streaming.columns import mark_of
from streaming.ledger import Partition

if TYPE_CHECKING:
    from pathlib import Path

TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
OTHER_ID = "AAAAAAAAAAAAAAAAAAAAAg"
Key = tuple[int, int, int]


def claims(rows: list[Key], *, first: int = 0, topic_id: str = TOPIC_ID) -> Claims:
    """Rows of event, listener and payload number at offsets from `first` on."""
    events, listeners, payloads = zip(*rows, strict=True)
    return Claims(
        topic_id,
        as_digests([int(each).to_bytes(16, "big") for each in events]),
        np.array([int(each).to_bytes(8, "big") for each in listeners], "V8"),
        np.array([int(each).to_bytes(8, "big") for each in payloads], "V8"),
        np.zeros(len(rows), np.int32),
        np.arange(first, first + len(rows)),
    )


def judge(index: ClaimIndex, each: Claims) -> list[Verdict]:
    verdicts = index.judge(each)
    index.add([each.take(np.flatnonzero(verdicts == Verdict.STORED))], {})
    return [Verdict(verdict) for verdict in verdicts.tolist()]


def test_the_first_position_holds_an_id_for_ever(tmp_path: Path) -> None:
    index = ClaimIndex(tmp_path)
    first = claims([(1, 1, 1), (1, 1, 1), (1, 1, 2), (1, 9, 1), (2, 1, 1)])
    kinds = [Verdict.STORED, Verdict.DUPLICATE, Verdict.CONFLICT, Verdict.OTHER_LISTENER, Verdict.STORED]
    assert judge(index, first) == kinds
    assert judge(index, first) == kinds, "a replay is judged as before"
    index.close()
    index = ClaimIndex(tmp_path)
    assert judge(index, claims([(1, 1, 1), (2, 1, 7), (3, 1, 1)], first=10)) == [
        Verdict.DUPLICATE, Verdict.CONFLICT, Verdict.STORED
    ]  # fmt: skip
    assert judge(index, claims([(1, 1, 1)], topic_id=OTHER_ID)) == [Verdict.DUPLICATE], "another topic id, same offset"


def test_it_agrees_with_a_dictionary_over_many_batches_and_restarts(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    index, known, offset = ClaimIndex(tmp_path), dict[int, tuple[int, int, int]](), 0
    for batch in range(12):
        rows = [tuple(row) for row in np.column_stack(
            [random.integers(0, 3000, 500), random.integers(0, 2, 500), random.integers(0, 2, 500)]
        ).tolist()]  # fmt: skip
        expected = []
        for place, (event, listener, payload) in enumerate(rows, offset):
            held = known.setdefault(event, (place, listener, payload))
            if held[0] == place:
                expected.append(Verdict.STORED)
            elif held[1] != listener:
                expected.append(Verdict.OTHER_LISTENER)
            else:
                expected.append(Verdict.DUPLICATE if held[2] == payload else Verdict.CONFLICT)
        assert judge(index, claims(rows, first=offset)) == expected
        offset += len(rows)
        if batch % 4 == 3:
            index.close()
            if batch == 7:
                (tmp_path / "bloom" / "boot").write_text("another boot")
            index = ClaimIndex(tmp_path)


def test_thousands_of_known_ids_find_their_own_holders(tmp_path: Path) -> None:
    index = ClaimIndex(tmp_path)
    some = claims([(event, event % 7, 1) for event in range(9000)])
    index.add([some], {})

    mixed = claims([(event, event % 7, event % 2) for event in range(8000, 17_000)], first=20_000)

    known = [Verdict.DUPLICATE if event % 2 else Verdict.CONFLICT for event in range(8000, 9000)]
    assert judge(index, mixed) == known + [Verdict.STORED] * 8000
    assert judge(index, some.take(np.arange(9000)[::-1])) == [Verdict.STORED] * 9000, "each at its own position"


def test_a_settled_index_leaves_nothing_to_do_for_the_next_start(tmp_path: Path) -> None:
    index = ClaimIndex(tmp_path)
    for first in range(0, 50_000, 10_000):
        index.add([claims([(event, 1, 1) for event in range(first, first + 10_000)])], {})
        index._db.flush()
    assert index._db.property_value("rocksdb.num-files-at-level0") != "0"
    index.settle()
    assert index._db.property_value("rocksdb.num-files-at-level0") == "0"
    assert judge(index, claims([(49_999, 1, 1)], first=60_000)) == [Verdict.DUPLICATE]


def test_ends_are_kept_with_the_claims_and_an_old_format_is_made_anew(tmp_path: Path) -> None:
    index = ClaimIndex(tmp_path)
    index.add([claims([(1, 1, 1)])], {Partition(TOPIC_ID, 0): 1})
    index.add([], {Partition(TOPIC_ID, 1): 5})
    assert index.ends() == {Partition(TOPIC_ID, 0): 1, Partition(TOPIC_ID, 1): 5}
    index._db[b"format"] = b"1"
    index.close()
    index = ClaimIndex(tmp_path)
    assert index.ends() == {}
    assert judge(index, claims([(1, 1, 1)], first=9)) == [Verdict.STORED]


def test_a_forgotten_claim_is_gone(tmp_path: Path) -> None:
    index = ClaimIndex(tmp_path)
    some = claims([(1, 1, 1), (2, 1, 1)])
    judge(index, some)
    index.forget(some.digests[:1])
    assert judge(index, claims([(1, 2, 2), (2, 1, 1)], first=5)) == [Verdict.STORED, Verdict.DUPLICATE]


@pytest.mark.parametrize("keys", [1, 1000, 60_000])
def test_the_filter_knows_all_it_was_told_and_little_else(
    tmp_path: Path, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.bloom._FIRST_KEYS", 4096)
    random = np.random.default_rng(1)
    told, new = random.integers(0, 2**63, (2, keys, 2), np.uint64)
    filter_ = BloomFilter(tmp_path)
    for part in np.array_split(told, 1 + keys // 1000):
        filter_.add(part)
    filter_.trust()
    again = BloomFilter(tmp_path)
    assert again.trusted
    assert again.maybe(told).all()
    assert again.maybe(new).mean() < 0.1
    again.add(new)
    assert BloomFilter(tmp_path).maybe(new).all()


def test_marks_do_not_depend_on_how_a_row_was_read() -> None:
    row = {
        "event_id": "e", "user_id": "u", "event_type": "listen", "item_id": "track:1", "timestamp": None,
        "rating": None, "ms_played": 3, "source": None, "context": None, "recommendation_id": None, "schema_version": 1,
    }  # fmt: skip
    mark = mark_of("events_listens", row)
    assert mark[0] != mark_of("events_views", row)[0], "ids are claimed per topic"
    assert mark[1] == mark_of("events_views", row)[1]
    assert mark[2] != mark_of("events_listens", {**row, "ms_played": 4})[2]
