"""The training bench: its world can be learnt, and every step of a day is measured in a process of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from music_assets.bench.als import ImplicitAls, Side
from music_assets.bench.als import requirements as als_requirements
from music_assets.bench.planted import planted
from music_assets.bench.train import GIB, Step, requirements
from music_assets.cli import main
from tests.recommender.worlds import checkerboard

if TYPE_CHECKING:
    from pathlib import Path


def test_planted_listens_are_the_same_again_and_of_the_sizes_asked_for() -> None:
    world, again = (planted(listeners=300, items=450, listens=5000) for _ in range(2))
    assert (len(world.users), len(world.items), len(world)) == (300, 450, 5000)
    np.testing.assert_array_equal(world.item, again.item)
    assert world.item.max() < 450


def test_planted_listeners_keep_to_their_clusters() -> None:
    world = planted(listeners=50, items=1000, listens=20_000)
    cluster = world.item % 100
    heaviest = np.bincount(world.user).argmax()
    often = np.sort(np.bincount(cluster[world.user == heaviest]))[::-1]
    assert often[:2].sum() > 0.7 * often.sum()


def test_what_takes_too_much_memory_is_missed() -> None:
    step = Step(name="ease", seconds=1, cpu_seconds=1, peak_mb=(GIB + 1) * 1024, found={})
    assert [each.met for each in requirements(1000, [step])] == [True, False]


@pytest.mark.heavy
def test_a_day_is_measured_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path))
    ran = CliRunner().invoke(
        main, ["bench", "train", "--users", "600", "--items", "400", "--listens", "12000", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    measured = json.loads(ran.stdout)["measured"]["12000"]
    steps = {step["name"]: step for step in measured["steps"]}
    assert steps["ease"]["found"]["metrics"]["ndcg@10"] > steps["popularity"]["found"]["metrics"]["ndcg@10"]
    assert steps["champion"]["found"]["released"]
    assert steps["popularity"]["peak_mb"] < measured["peak_mb"] == max(step["peak_mb"] for step in steps.values())
    assert not list(tmp_path.glob("bench-train-*"))


def test_sides_of_unequal_recall_are_not_compared() -> None:
    side = Side(seconds=1, whole_seconds=8, recall=0.30)
    slow = Side(seconds=9, whole_seconds=80, recall=0.304)
    sides = {"ours": side, "implicit": Side(seconds=0.9, whole_seconds=8, recall=0.3), "spark": slow}
    assert [each.met for each in als_requirements(sides)] == [False, True]
    better = {**sides, "spark": Side(seconds=9, whole_seconds=80, recall=0.31)}
    assert [each.met for each in als_requirements(better)] == [False, None]


def test_the_package_implicit_learns_the_same_world() -> None:
    world = checkerboard()
    model = ImplicitAls(factors=4, epochs=10, balance=0.2, ridge=0.01).fit(world)
    assert model.recommend(world.counts, k=1)[:, 0].tolist() == list(range(20))
