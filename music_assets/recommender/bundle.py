"""The model bundle: a folder that serves, checked to the byte before it does.

Below the root: `<version>/` with the model's arrays and names and a manifest written last, and small pointer files:
`champion` (what the API follows), `challenger` (what it tries beside it), `previous` (the way back), `released` (what
the gate let pass). A bundle is written beside its place, synced and renamed; a pointer is replaced in one step, so a
reader sees the old or the new.
It holds items only and nothing of any listener.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from music_assets.recommender.exploration import SOURCE as EXPLORATION
from music_assets.recommender.files import read_model, save_model, sync, write_whole
from music_assets.recommender.manifest import MANIFEST, read_manifest, write_manifest
from music_assets.recommender.models.content import ContentModel
from music_assets.recommender.names import CONTENT, CONTEXT
from music_assets.recommender.probe import agrees, probe
from music_assets.recommender.scored import Scored
from music_assets.recommender.shelf import Shelf
from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from music_assets.recommender.models.base import FittedModel

KEPT: Final = 5
"""Bundles kept beside those that a pointer names."""

TAIL: Final = 1000
"""Items that exploration may try: more would make each of them too seldom to learn of."""

_CONTEXTS: Final = "contexts.json"

Pointer = Literal["champion", "challenger", "previous", "released"]

_ABANDONED_SECONDS: Final = 3600
"""Age of a half-written folder at which its writer is taken for dead."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What goes into a bundle.

    Attributes:
        model: what serves, fitted to everything known.
        holdout: the same settings fitted up to `cutoff` only: what a successor is compared with, without a leak.
        recipe: the name of the recipe.
        settings: the settings it picked.
        metrics: means of the holdout model after the cut-off.
        cutoff: where the test part began, microseconds since 1970.
        data_until: the last listen known, microseconds since 1970.
        names: item id to what a person calls it; an item without a name is called by its id.
        listens: how many listens before `cutoff` the holdout model learned from; 0 in a bundle that does not say.
        content: what the catalogue says of the model's items and of some that nobody has heard, if it says anything.
        retrieval: model of factors to how the best of its catalogue are found, as `indexing.Retrieval` says it.
        contexts: where items are heard to item ids, what most listeners hear there first.
    """

    model: FittedModel
    holdout: FittedModel
    recipe: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    cutoff: int
    data_until: int
    names: Mapping[str, str] = field(default_factory=dict)
    listens: int = 0
    content: ContentModel | None = None
    retrieval: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A loaded bundle, ready to answer."""

    version: str
    created_at: datetime
    contents: Contents

    @cached_property
    def _popular(self) -> list[str]:
        return [self.contents.model.items[column] for column in self.contents.model.by_popularity]

    @cached_property
    def tail(self) -> list[str]:
        """Items of the less popular half, at most `TAIL` of them, evenly: what exploration may try."""
        half = self._popular[len(self._popular) // 2 :]
        return half[:: max(1, -(-len(half) // TAIL))]

    @cached_property
    def shelf(self) -> Shelf | None:
        """Items that nobody has heard, if there are any of which something is known."""
        content = self.contents.content
        return None if content is None else Shelf(content, self.contents.model.column, self.contents.names)

    def recommend(self, history: Mapping[str, float], *, k: int, exclude: Set[str] = frozenset()) -> list[Scored]:
        """Recommend what a history speaks for, then what is popular; never what was heard or is excluded.

        Args:
            history: item id to listens; unknown items are passed over.
            k: most items to return.
            exclude: item ids not to return.
        """
        column = self.contents.model.column
        heard = {column[item]: count for item, count in history.items() if item in column}
        answers = self.contents.model.fold_in(
            np.fromiter(heard.keys(), dtype=np.int64, count=len(heard)),
            np.fromiter(heard.values(), dtype=np.float32, count=len(heard)),
            k=k,
            exclude=np.asarray([column[item] for item in exclude if item in column], dtype=np.int64),
        )
        return [
            self._popular_item(place) if reason.because is None else self._spoken_for(place, score, reason.because)
            for place, score, reason in answers
        ]

    def popular(self, *, k: int, exclude: Set[str] = frozenset()) -> list[Scored]:
        """Return the most popular items."""
        column = self.contents.model.column
        chosen: list[Scored] = []
        for item in self._popular:
            if len(chosen) == k:
                break
            if item not in exclude:
                chosen.append(self._popular_item(column[item]))
        return chosen

    def heard_in(self, context: str, *, exclude: Set[str] = frozenset()) -> list[Scored]:
        """Return what is heard in a context, what most listeners hear there first; empty if nobody hears any there."""
        items = [item for item in self.contents.contexts.get(context, ()) if item not in exclude]
        reason = f"what many hear in the context {context}"
        return [Scored(item, 1 / place, CONTEXT, reason) for place, item in enumerate(items, start=1)]

    def similar(self, item_id: str, *, k: int) -> list[Scored]:
        """Return what listening to an item speaks for, of one that nobody heard what is like it; empty if unknown."""
        place = self.contents.model.column.get(item_id)
        if place is None:
            return [] if self.shelf is None else self.shelf.similar(item_id, k=k)
        found = self.contents.model.similar(place, k=k)
        return [self._spoken_for(other, weight, place) for other, weight in found]

    def _spoken_for(self, place: int, score: float, because: int) -> Scored:
        items = self.contents.model.items
        name = self.contents.names.get(items[because], items[because])
        return Scored(items[place], score, self.contents.recipe, f"because you played {name}")

    def tried(self, item_id: str) -> Scored:
        """Return an item of the tail as exploration shows it."""
        score = float(self.contents.model.popularity[self.contents.model.column[item_id]])
        return Scored(item_id, score, EXPLORATION, "few know it yet: something new to try")

    def _popular_item(self, place: int) -> Scored:
        model = self.contents.model
        return Scored(model.items[place], float(model.popularity[place]), "popularity", "popular with all listeners")


def write(root: Path, contents: Contents, *, created_at: datetime | None = None) -> str:
    """Write a bundle beside the others and return its version; no pointer moves."""
    created_at = created_at or datetime.now(UTC)
    version = f"{created_at:%Y%m%dT%H%M%S%fZ}-{contents.recipe}"
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        _write_files(folder, contents)
        write_manifest(folder, _facts(version, created_at, contents))
        folder.chmod(0o755)
        sync(folder)
        folder.rename(root / version)
        sync(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return version


def load(root: Path, version: str) -> Bundle:
    """Load a bundle after checking every byte and its known answers.

    Raises:
        IntegrityError: it is missing, half-written, damaged, of another format, or answers otherwise than when made.
    """
    folder = root / version
    manifest = read_manifest(folder)
    try:
        bundle = _assemble(folder, manifest)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise IntegrityError(
            f"model bundle {version} cannot be read: {error}; train again, or promote another one"
        ) from error
    if not agrees(probe(bundle.contents.model), manifest["probe"]):
        raise IntegrityError(f"model bundle {version} does not give its known answers: it must not serve")
    return bundle


def pointer(root: Path, name: Pointer) -> str | None:
    """Return the version that a pointer names, or None."""
    try:
        return (root / name).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def champion(root: Path) -> str | None:
    """Return the version that serves, or None before the first release."""
    return pointer(root, "champion")


def release(root: Path, version: str) -> None:
    """Mark a version as let pass by the gate; it serves once it is promoted."""
    load(root, version)
    point(root, "released", version)


def promote(root: Path, version: str) -> None:
    """Let a version serve, after it proved whole; the one before stays reachable as `previous`.

    Raises:
        IntegrityError: the bundle is not whole; the champion stays.
    """
    load(root, version)
    current = champion(root)
    if current == version:
        return
    if current is not None:
        point(root, "previous", current)
    point(root, "champion", version)


def versions(root: Path) -> list[str]:
    """Return all bundles, the oldest first."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{MANIFEST}"))


def prune(root: Path, *, keep: int = KEPT) -> list[str]:
    """Remove all but the latest bundles and those that a pointer names; return what went."""
    named = {pointer(root, name) for name in get_args(Pointer)}
    gone = [version for version in versions(root)[: -keep or None] if version not in named]
    abandoned = [path.name for path in root.glob(".new-*") if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS]
    for name in [*gone, *abandoned]:
        shutil.rmtree(root / name)
    return gone


def point(root: Path, name: Pointer, version: str) -> None:
    """Let a pointer name a version, in one step; whether that may serve is the caller's to know."""
    write_whole(root / name, version + "\n")


def _write_files(folder: Path, contents: Contents) -> None:
    save_model(folder, "model", contents.model)
    save_model(folder, "holdout", contents.holdout)
    if contents.content is not None:
        save_model(folder, CONTENT, contents.content)
    items = (contents.content or contents.model).items
    names = {item: contents.names[item] for item in items if item in contents.names}
    (folder / "names.json").write_text(json.dumps(names), "utf-8")
    (folder / _CONTEXTS).write_text(json.dumps(dict(contents.contexts)), "utf-8")


def _facts(version: str, created_at: datetime, contents: Contents) -> dict[str, Any]:
    return {
        "version": version,
        "created_at": created_at.isoformat(),
        "recipe": contents.recipe,
        "settings": dict(contents.settings),
        "metrics": dict(contents.metrics),
        "cutoff": contents.cutoff,
        "data_until": contents.data_until,
        "listens": contents.listens,
        "retrieval": dict(contents.retrieval),
        "probe": probe(contents.model),
    }


def _assemble(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    contents = Contents(
        model=read_model(folder, "model"),
        holdout=read_model(folder, "holdout"),
        names=json.loads((folder / "names.json").read_text("utf-8")),
        listens=manifest.get("listens", 0),
        retrieval=manifest.get("retrieval", {}),
        content=_content(folder),
        contexts=_contexts(folder),
        **{name: manifest[name] for name in ("recipe", "settings", "metrics", "cutoff", "data_until")},
    )
    created_at = datetime.fromisoformat(manifest["created_at"])
    return Bundle(version=manifest["version"], created_at=created_at, contents=contents)


def _contexts(folder: Path) -> dict[str, list[str]]:
    """Return the contexts of a bundle; one made before there were any has none."""
    path = folder / _CONTEXTS
    found: dict[str, list[str]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def _content(folder: Path) -> ContentModel | None:
    """Return the content model of a bundle that has one; the manifest says whether one is missing."""
    if not (folder / f"{CONTENT}.json").exists():
        return None
    found = read_model(folder, CONTENT)
    if not isinstance(found, ContentModel):
        raise IntegrityError(f"{folder.name}: {CONTENT} is a model of kind {found.kind}; valid: {ContentModel.kind}")
    return found
