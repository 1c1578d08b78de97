"""The union of several models' proposals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender import ablation
from music_assets.recommender.ablation import _drawn, recall


def test_the_union_takes_turns_and_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "UNION", 3)
    test = sparse.csr_matrix(np.eye(1, 6, 2) + np.eye(1, 6, 5))
    first, second = np.asarray([[0, 1, 2]]), np.asarray([[0, 5, -1]])
    assert recall([first], test) == 0.5
    assert recall([second], test) == 0.5
    assert recall([first, second], test) == 0.5, "0, 1, 5: the third place of the first is beyond the three"
    monkeypatch.setattr(ablation, "UNION", 4)
    assert recall([first, second], test) == 1.0
    assert recall([], test) == 0.0


def test_who_has_nothing_to_find_does_not_count() -> None:
    test = sparse.csr_matrix(([1.0], ([0], [1])), shape=(2, 3))
    assert recall([np.asarray([[1, -1], [0, 2]])], test) == 1.0


def test_some_listeners_stand_for_all_and_always_the_same_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "_LISTENERS", 10)
    assert len(set(_drawn(1000))) == 10
    np.testing.assert_array_equal(_drawn(1000), _drawn(1000))
    assert _drawn(4).tolist() == [0, 1, 2, 3]
