"""Files of models: arrays without pickle, folders replaced as a whole, and what must be on the disk before a rename."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from music_assets.recommender.models.base import FittedModel, State
from music_assets.recommender.models.content import ContentModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.two_stage import FIRST_STAGE_KINDS, TwoStage

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS: Final[dict[str, type[FittedModel]]] = {
    **FIRST_STAGE_KINDS, TwoStage.kind: TwoStage, ContentModel.kind: ContentModel,
}  # fmt: skip


def save_model(folder: Path, name: str, model: FittedModel) -> None:
    """Write a model as `<name>.npz` and `<name>.json`."""
    state = model.state()
    np.savez(folder / f"{name}.npz", allow_pickle=False, **state.arrays)
    words = {"kind": model.kind, "items": model.items, **state.words}
    (folder / f"{name}.json").write_text(json.dumps(words), "utf-8")


def read_model(folder: Path, name: str) -> FittedModel:
    """Read what `save_model` wrote; what names no kind is of the time when there was one."""
    words = json.loads((folder / f"{name}.json").read_text("utf-8"))
    items, kind = tuple(words.pop("items")), words.pop("kind", ItemModel.kind)
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return _KINDS[kind].restored(items, State(dict(arrays), words))


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of the old one when the block ends well."""
    fresh = folder.with_name(f".new-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    yield fresh
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def write_whole(path: Path, text: str) -> None:
    """Put a text in the place of a file in one step: a reader sees the old or the new, on the disk as well."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Force a folder's entries, and the files directly in it, to the disk."""
    for path in [*(entry for entry in folder.iterdir() if entry.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
