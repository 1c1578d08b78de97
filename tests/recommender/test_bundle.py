"""The bundle: whole or refused, switched in one step, and silent about listeners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from music_assets.recommender import bundle
from music_assets.recommender.bundle import Contents
from music_assets.recommender.manifest import FORMAT, MANIFEST
from music_assets.recommender.models.content import Content
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.popularity import Popularity
from streaming.errors import IntegrityError
from tests.recommender.worlds import checkerboard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = (
    "model.npz", "model.json", "holdout.npz", "holdout.json", "content.npz", "content.json", "names.json",
    "contexts.json", MANIFEST,
)  # fmt: skip


def contents(recipe: str = "ease") -> Contents:
    model = (Ease(strength=1) if recipe == "ease" else Popularity()).fit(checkerboard())
    return Contents(
        model=model,
        holdout=model,
        recipe=recipe,
        settings={"strength": 1.0},
        metrics={"ndcg@10": 0.5},
        cutoff=1,
        data_until=2,
        names={"i02": "Two", "elsewhere": "not in the catalogue"},
        content=Content().fit(checkerboard()),
        contexts={"radio": ("i02", "elsewhere")},
    )


def test_what_is_written_is_what_is_loaded(tmp_path: Path) -> None:
    created = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    version = bundle.write(tmp_path, contents(), created_at=created)
    assert version == "20260102T030405000006Z-ease"
    loaded = bundle.load(tmp_path, version)
    assert (loaded.version, loaded.created_at) == (version, created)
    ours, its = contents(), loaded.contents
    assert (its.recipe, its.settings, its.metrics, its.cutoff) == ("ease", {"strength": 1.0}, {"ndcg@10": 0.5}, 1)
    assert its.names == {"i02": "Two"}
    assert its.contexts == {"radio": ["i02", "elsewhere"]}
    assert [(item.item_id, item.source) for item in loaded.heard_in("radio", exclude={"elsewhere"})] == [
        ("i02", "context")
    ]
    assert loaded.heard_in("gym") == []
    for mine, read in ((ours.model, its.model), (ours.holdout, its.holdout)):
        assert (read.items, read.weighting) == (mine.items, mine.weighting)
        assert (read.neighbours != mine.neighbours).nnz == 0
        assert read.popularity.tolist() == mine.popularity.tolist()
    assert [path.name for path in tmp_path.iterdir()] == [version], "nothing is left beside it"


def test_it_recommends_with_source_and_reason(tmp_path: Path) -> None:
    loaded = bundle.load(tmp_path, bundle.write(tmp_path, contents()))
    first, *_ = loaded.recommend({"i02": 3.0, "unknown": 1.0}, k=3)
    assert first.source == "ease"
    assert first.reason == "because you played Two"
    assert int(first.item_id[1:]) % 2 == 0
    assert first.item_id not in {
        scored.item_id for scored in loaded.recommend({"i02": 3.0}, k=20, exclude={first.item_id})
    }
    assert "i02" not in {scored.item_id for scored in loaded.recommend({"i02": 3.0}, k=20)}
    assert loaded.recommend({"i04": 1.0}, k=1)[0].reason == "because you played i04", "without a name, the id"


def test_a_newcomer_gets_what_is_popular(tmp_path: Path) -> None:
    loaded = bundle.load(tmp_path, bundle.write(tmp_path, contents()))
    answer = loaded.recommend({}, k=4)
    assert answer == loaded.popular(k=4)
    assert {scored.source for scored in answer} == {"popularity"}
    assert [scored.item_id for scored in loaded.popular(k=2, exclude={answer[0].item_id})] == [
        scored.item_id for scored in answer[1:3]
    ]


def test_a_bundle_of_popularity_alone_serves(tmp_path: Path) -> None:
    loaded = bundle.load(tmp_path, bundle.write(tmp_path, contents("popularity")))
    assert len(loaded.recommend({"i02": 1.0}, k=5)) == 5
    assert loaded.similar("i02", k=5) == []


def test_similar_items(tmp_path: Path) -> None:
    loaded = bundle.load(tmp_path, bundle.write(tmp_path, contents()))
    found = loaded.similar("i02", k=5)
    assert len(found) == 5
    assert all(int(scored.item_id[1:]) % 2 == 0 for scored in found)
    assert loaded.similar("unknown", k=5) == []


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _lengthen, _remove])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_bundle_is_refused(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    good, bad = (bundle.write(tmp_path, contents()) for _ in range(2))
    bundle.promote(tmp_path, good)
    damage(tmp_path / bad / name)
    with pytest.raises(IntegrityError):
        bundle.load(tmp_path, bad)
    for switch in (bundle.promote, bundle.release):
        with pytest.raises(IntegrityError):
            switch(tmp_path, bad)
    assert bundle.champion(tmp_path) == good


def test_every_file_is_in_the_damage_matrix(tmp_path: Path) -> None:
    version = bundle.write(tmp_path, contents())
    assert sorted(path.name for path in (tmp_path / version).iterdir()) == sorted(FILES)


def test_a_bundle_under_another_name_or_absent_is_refused(tmp_path: Path) -> None:
    version = bundle.write(tmp_path, contents())
    (tmp_path / version).rename(tmp_path / "other")
    for name in ("other", version):
        with pytest.raises(IntegrityError):
            bundle.load(tmp_path, name)


def _resealed(path: Path, **changes: object) -> None:
    """Write a manifest that is sound in itself and says something else."""
    from music_assets.recommender.manifest import _sealed

    path.write_bytes(_sealed({**json.loads(path.read_bytes()), **changes}))


def test_another_format_is_refused(tmp_path: Path) -> None:
    version = bundle.write(tmp_path, contents())
    _resealed(tmp_path / version / MANIFEST, format=FORMAT - 1)
    with pytest.raises(IntegrityError, match=f"format {FORMAT} only"):
        bundle.load(tmp_path, version)


def test_a_bundle_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    version = bundle.write(tmp_path, contents())
    probe = json.loads((tmp_path / version / MANIFEST).read_bytes())["probe"]
    assert len(probe) == 10
    _resealed(tmp_path / version / MANIFEST, probe=[{**entry, "score": entry["score"] + 0.01} for entry in probe])
    with pytest.raises(IntegrityError, match="known answers"):
        bundle.load(tmp_path, version)


def test_the_pointer_keeps_the_way_back(tmp_path: Path) -> None:
    first, second = (bundle.write(tmp_path, contents()) for _ in range(2))
    assert bundle.champion(tmp_path) is None
    bundle.promote(tmp_path, first)
    assert bundle.pointer(tmp_path, "previous") is None
    bundle.promote(tmp_path, second)
    bundle.promote(tmp_path, second)
    assert (bundle.champion(tmp_path), bundle.pointer(tmp_path, "previous")) == (second, first)
    bundle.promote(tmp_path, first)
    assert (bundle.champion(tmp_path), bundle.pointer(tmp_path, "previous")) == (first, second)


def test_a_reader_never_misses_the_pointer(tmp_path: Path) -> None:
    known = [bundle.write(tmp_path, contents()) for _ in range(2)]
    bundle.promote(tmp_path, known[0])
    seen, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(bundle.champion(tmp_path))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        bundle.promote(tmp_path, known[number % 2])
    stop.set()
    reader.join()
    assert seen == set(known)


def test_killed_while_writing_leaves_no_bundle_and_the_champion(tmp_path: Path) -> None:
    champion = bundle.write(tmp_path, contents())
    bundle.promote(tmp_path, champion)
    program = (
        "import os, pathlib, signal, sys\n"
        "from music_assets.recommender import bundle\n"
        "from tests.recommender.test_bundle import contents\n"
        "bundle.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "bundle.write(pathlib.Path(sys.argv[1]), contents())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -9
    assert bundle.versions(tmp_path) == [champion]
    assert bundle.load(tmp_path, str(bundle.champion(tmp_path))).version == champion
    [left] = tmp_path.glob(".new-*")
    bundle.prune(tmp_path)
    assert left.exists(), "it may be another writer's at work"
    os.utime(left, (0, 0))
    bundle.prune(tmp_path)
    assert not left.exists()


def test_pruning_keeps_the_latest_and_what_is_pointed_to(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    every = [bundle.write(tmp_path, contents(), created_at=start + timedelta(days=day)) for day in range(6)]
    bundle.promote(tmp_path, every[0])
    bundle.promote(tmp_path, every[1])
    bundle.release(tmp_path, every[2])
    assert bundle.prune(tmp_path, keep=2) == [every[3]]
    assert bundle.versions(tmp_path) == [*every[:3], *every[4:]]


def test_no_listener_is_in_any_byte(tmp_path: Path) -> None:
    version = bundle.write(tmp_path, contents())
    names = [user.encode() for user in checkerboard().users]
    for path in (tmp_path / version).iterdir():
        raw = path.read_bytes()
        assert not [name for name in names if b'"' + name + b'"' in raw]
