"""The quality bench: what it reads, that its yardstick is exact, and what it says in the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse
from typer.testing import CliRunner

from music_assets.bench import sar
from music_assets.bench.recommend import judged, sar_lists
from music_assets.bench.recommend_data import read
from music_assets.cli import main
from music_assets.recommender.names import STACKED
from streaming.errors import ConfigurationError
from tests.recommender.worlds import tastes

if TYPE_CHECKING:
    from pathlib import Path


def lists(folder: Path, name: str, rows: dict[int, list[int]]) -> Path:
    path = folder / name
    path.write_text("".join(f"{user} {' '.join(map(str, items))}\n" for user, items in rows.items()), "utf-8")
    return path


def test_lines_of_a_user_and_items(tmp_path: Path) -> None:
    lists(tmp_path, "train.txt", {7: [1, 2], 3: [2], 9: [5]})
    lists(tmp_path, "test.txt", {7: [3], 4: [1]})
    problem = read(tmp_path, None)
    assert problem.train.items == ("1", "2", "3", "5")
    assert problem.train.counts.toarray().tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert problem.judges.tolist() == [2], "user 4 has nothing to fold in, 3 and 9 nothing to find"


def test_lines_of_a_user_an_item_and_a_weight(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1\t10\t3\n1\t11\t2.5e2\n2\t10\t1\n", "utf-8")
    problem = read(tmp_path, None)
    whole = problem.train.counts + problem.test
    assert whole.toarray().tolist() == [[3, 250], [1, 0]]


def test_lists_in_json_and_a_test_part_kept_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "train_data.json").write_text(json.dumps([[1, 2], [], [3]]), "utf-8")
    elsewhere = tmp_path / "held.json"
    elsewhere.write_text(json.dumps([[4], [], [1]]), "utf-8")
    problem = read(tmp_path, elsewhere)
    assert problem.judges.tolist() == [0, 1], "the empty list is no user"
    assert problem.source == "the test part in held.json"


def test_listens_with_a_header(tmp_path: Path) -> None:
    rows = [f"{user}\t{item}\t{user + item}" for user in range(20) for item in range(10)]
    (tmp_path / "user_artists.dat").write_text("userID\tartistID\tweight\n" + "\n".join(rows), "utf-8")
    problem = read(tmp_path, None)
    assert (problem.train.counts.nnz, problem.test.nnz) == (160, 40)
    assert problem.train.counts.multiply(problem.test).nnz == 0


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds none of u\.data, user_artists\.dat"):
        read(tmp_path, None)
    (tmp_path / "train.txt").write_text("1 two\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"train\.txt cannot be read"):
        read(tmp_path, None)


def test_sar_halves_a_rating_in_thirty_days() -> None:
    liked = sparse.csr_matrix([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]])
    places = (np.asarray([0, 1, 1, 2, 2]), np.asarray([0, 0, 1, 0, 2]))
    rating, time = np.asarray([5.0, 4.0, 4.0, 4.0, 4.0]), np.asarray([0, 0, 0, 0, 30 * 86400])
    assert sar.recommend(liked, sar.Rated(places=places, rating=rating, time=time), k=2)[0].tolist() == [1, 2]


def test_sar_on_movielens_gives_the_published_numbers(music_data: Path) -> None:
    problem = read(music_data / "benchmarks" / "ml100k", None)
    assert (problem.train.counts.nnz, problem.test.nnz) == (75_066, 24_934)
    at_ten = judged(sar_lists(problem, 20)["sar"], problem)[0].means()
    assert at_ten["ndcg@10"] == pytest.approx(0.393819, abs=5e-7)
    assert at_ten["precision@10"] == pytest.approx(0.340615, abs=5e-7)
    assert at_ten["recall@10"] == pytest.approx(0.185377, abs=5e-7)


def test_the_command_tunes_judges_and_writes_every_figure(tmp_path: Path) -> None:
    counts = tastes(listeners=200).counts
    lists(tmp_path, "train.txt", {user: counts[user].indices.tolist() for user in range(200)})
    out = tmp_path / "out.json"
    result = CliRunner().invoke(
        main, ["bench", "recommend", "--data", str(tmp_path), "--json", str(out), "--budget", "0.1"]
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text("utf-8"))
    assert set(figures["models"]) == {*STACKED, "two_stage", "popularity"}
    best = figures["best"]
    assert best["ndcg@10"] > 2 * figures["models"]["popularity"]["ndcg@10"]
    lower, upper = best["intervals"]["ndcg@10"]
    assert lower < best["ndcg@10"] < upper
    assert figures["union_recall"]["recall"] > 0.9
    assert 0 < figures["seconds"] < 120
    assert figures["peak_mb"] > 0
