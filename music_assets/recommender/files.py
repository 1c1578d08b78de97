"""Files of models: arrays without pickle, folders replaced as a whole, and what must be on the disk before a rename."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from music_assets.recommender.models.neighbours import ItemModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def save_model(folder: Path, name: str, model: ItemModel) -> None:
    """Write a model as `<name>.npz` and `<name>.json`."""
    np.savez(
        folder / f"{name}.npz",
        popularity=model.popularity,
        data=model.neighbours.data.astype(np.float32),
        indices=model.neighbours.indices.astype(np.int32),
        indptr=model.neighbours.indptr.astype(np.int64),
    )
    (folder / f"{name}.json").write_text(json.dumps({"weighting": model.weighting, "items": model.items}), "utf-8")


def read_model(folder: Path, name: str) -> ItemModel:
    """Read what `save_model` wrote."""
    words = json.loads((folder / f"{name}.json").read_text("utf-8"))
    items = tuple(words["items"])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        neighbours = sparse.csr_matrix(parts, shape=(len(items), len(items)))
        return ItemModel(
            items=items,
            popularity=arrays["popularity"],
            neighbours=neighbours,
            weighting=words["weighting"],
        )


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of the old one when the block ends well."""
    fresh = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def sync(folder: Path) -> None:
    """Force a folder's entries, and the files directly in it, to the disk."""
    for path in [*(entry for entry in folder.iterdir() if entry.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
