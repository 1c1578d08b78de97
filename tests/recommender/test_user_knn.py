"""User-kNN against its sums written out, and the reason it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from music_assets.recommender.interactions import Counted
from music_assets.recommender.models.user_knn import UserKnn
from music_assets.recommender.names import CANDIDATES, USER_KNN

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEARD = np.asarray(
    [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0]], dtype=np.float32
)
ITEMS = tuple("abcde")


def world(counts: NDArray[np.float32]) -> Counted:
    return Counted(ITEMS, sparse.csr_matrix(counts))


@pytest.mark.parametrize("keep", [2, 100])
def test_the_score_is_what_the_nearest_heard_by_how_near_they_are(keep: int) -> None:
    by = UserKnn(rarity=0.3, own=0.7, shrink=0.2, sharpness=1.5, hub=0.4, keep=keep)
    mine = np.asarray([1, 1, 0, 0, 0], dtype=np.float32)
    popularity = HEARD.sum(axis=0)
    weight = popularity**-0.3
    near = []
    for other in HEARD[[0, 1, 2, 4]]:
        norm = (mine @ weight) ** 0.7 * (other @ weight) ** 0.3
        near.append((mine * weight) @ other / (norm + 0.2))
    kept = np.argsort(near)[::-1][:keep]
    says = np.asarray(near)[kept] ** 1.5
    wanted = (says / says.sum()) @ HEARD[[0, 1, 2, 4]][kept] * (popularity / popularity.max()) ** -0.4
    model = by.fit(world(HEARD * 3))
    np.testing.assert_allclose(model.score(sparse.csr_matrix(mine * 9))[0], wanted + model.prior, rtol=1e-5)


def test_the_reason_is_what_is_shared_with_those_who_heard_it() -> None:
    model = UserKnn(rarity=0).fit(world(HEARD))
    heard, counts = np.asarray([1, 4]), np.ones(2, dtype=np.float32)
    reasons = model.reasons(heard, counts, np.asarray([0, 2, 3]))
    assert [reason.because for reason in reasons] == [4, 1, 1], "the nearest who heard a shares e"
    assert model.reasons(np.asarray([4]), counts[:1], np.asarray([2]))[0].because is None, "they share no listener"


def test_rare_items_shared_tell_more_of_a_likeness() -> None:
    # One neighbour shares what everybody heard, the other what hardly anybody did.
    counts = np.asarray([[1, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]], dtype=np.float32)
    scores = UserKnn(rarity=1, own=0.5, hub=0).fit(world(counts)).score(sparse.csr_matrix([[1, 1, 0, 0, 0]]))[0]
    assert scores[3] > 1.5 * scores[2]
    same = UserKnn(rarity=0, own=0.5, hub=0).fit(world(counts)).score(sparse.csr_matrix([[1, 1, 0, 0, 0]]))[0]
    assert same[3] == pytest.approx(same[2], rel=0.01)


def test_nobody_to_compare_with_leaves_the_prior() -> None:
    model = UserKnn().fit(world(np.zeros((2, 5), dtype=np.float32)))
    np.testing.assert_array_equal(model.score(sparse.csr_matrix([[1, 0, 1, 0, 0]]))[0], model.prior)
    many = UserKnn().fit(world(HEARD))
    np.testing.assert_array_equal(many.score(sparse.csr_matrix((1, 5)))[0], many.prior)


def test_what_is_trained_daily_keeps_no_history() -> None:
    assert USER_KNN not in CANDIDATES, "a bundle holds no listener"
