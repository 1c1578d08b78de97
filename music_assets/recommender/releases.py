"""What serves: moved by the daily run or by a person, one at a time; and what was taken back stays back.

A version that was rolled back is remembered in `withdrawn.json` with what it was made of. Neither the daily run nor
the gate brings it, or the same model under a new version, back; only a person does who promotes it by name.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from music_assets.recommender import bundle
from music_assets.recommender.bundle import Pointer
from music_assets.recommender.files import write_whole
from music_assets.recommender.index import K
from music_assets.recommender.manifest import read_manifest
from streaming.errors import ConfigurationError, IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WITHDRAWN: Final = "withdrawn.json"


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """A version that was rolled back, with what makes a later bundle the same model.

    Attributes:
        version: what was taken back.
        at: when, ISO 8601.
        recipe: its recipe.
        settings: what the recipe had picked.
        data_until: the last listen it knew, microseconds since 1970.
    """

    version: str
    at: str
    recipe: str
    settings: dict[str, Any]
    data_until: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A bundle as a person sees it.

    Attributes:
        version: its name.
        roles: the pointers that name it, and `withdrawn`.
        facts: its manifest; empty where it is damaged.
        problem: what is wrong with its files, or None.
    """

    version: str
    roles: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How a bundle finds the best of its catalogue: a sentence, and for each model of factors what its metric says."""

    told: str
    recall: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What served before and what serves now; `refused` says why a released version does not."""

    before: str | None
    after: str
    refused: str | None = None


def entries(root: Path) -> list[Entry]:
    """Return all bundles, the newest first."""
    return [_entry(root, version) for version in reversed(bundle.versions(root))]


def entry(root: Path, version: str) -> Entry:
    """Return one bundle.

    Raises:
        ConfigurationError: there is none of that version.
    """
    _check_known(root, version)
    return _entry(root, version)


def promote(root: Path, version: str) -> Change:
    """Let a version serve because a person says so: it counts as released, and no longer as taken back.

    Raises:
        ConfigurationError: there is none of that version.
        IntegrityError: it is not whole; what served goes on.
    """
    with _alone(root):
        _check_known(root, version)
        before = bundle.champion(root)
        bundle.promote(root, version)
        bundle.point(root, "released", version)
        _keep(root, [each for each in withdrawn(root) if each.version != version])
    return Change(before=before, after=version)


def roll_back(root: Path) -> Change:
    """Let the champion before this one serve, and remember what was taken back.

    It goes one step: what served before the version that now serves is not known, a person names it.

    Raises:
        UnavailableError: there is nothing to go back to.
        IntegrityError: what served before is not whole; the champion stays.
    """
    with _alone(root):
        current, before = bundle.champion(root), bundle.pointer(root, "previous")
        if current is None or before is None or before == current:
            others = [version for version in bundle.versions(root) if version != current]
            raise UnavailableError(
                f"nothing served before {current or 'the first release'} that is known; "
                f"promote one by name, valid: {', '.join(others) or 'none yet'}"
            )
        bundle.load(root, before)
        # Remembered first: a kill after this line leaves a champion that a second rollback takes back.
        _keep(root, [*(each for each in withdrawn(root) if each.version != current), _withdrawal(root, current)])
        bundle.point(root, "champion", before)
        if bundle.pointer(root, "released") == current:
            bundle.point(root, "released", before)
        (root / "previous").unlink()
    return Change(before=current, after=before)


def follow(root: Path) -> Change:
    """Let what the gate released serve, unless it was taken back since: then the champion goes on.

    Raises:
        UnavailableError: nothing was released yet, or what was is taken back and nothing serves.
        IntegrityError: it is not whole; the champion stays.
    """
    with _alone(root):
        before, released = bundle.champion(root), bundle.pointer(root, "released")
        if released is None:
            raise UnavailableError("nothing was released yet: materialise recommender/champion first")
        taken_back = next((each for each in withdrawn(root) if each.version == released), None)
        if taken_back is not None and before is not None:
            return Change(before=before, after=before, refused=f"{released} was rolled back at {taken_back.at}")
        bundle.promote(root, released)
    return Change(before=before, after=released)


def challenge(root: Path, version: str | None) -> str | None:
    """Let a version be tried beside the champion, or none; return what was tried before.

    Raises:
        ConfigurationError: there is none of that version.
        IntegrityError: it is not whole.
    """
    with _alone(root):
        before = bundle.pointer(root, "challenger")
        if version is None:
            (root / "challenger").unlink(missing_ok=True)
            return before
        _check_known(root, version)
        bundle.load(root, version)
        bundle.point(root, "challenger", version)
    return before


def withdrawn(root: Path) -> list[Withdrawal]:
    """Return what was rolled back, the oldest first."""
    try:
        return [Withdrawal(**each) for each in json.loads((root / _WITHDRAWN).read_text("utf-8"))]
    except FileNotFoundError:
        return []


def withdrawn_like(root: Path, recipe: str, settings: Mapping[str, Any], *, data_until: int) -> Withdrawal | None:
    """Return the withdrawal of the model that these make: the same recipe and settings on the same listens."""
    for each in reversed(withdrawn(root)):
        if (each.recipe, each.data_until) == (recipe, data_until) and _plain(each.settings) == _plain(settings):
            return each
    return None


def retrieval(root: Path, version: str) -> Retrieval:
    """Return how a bundle's models of factors find the best of the catalogue."""
    found = _entry(root, version).facts.get("retrieval", {})
    return Retrieval(
        told="; ".join(f"{model}: {each['told']}" for model, each in found.items()) or "exact",
        recall={f"retrieval_recall@{K}/{model}": each["recall"] for model, each in found.items()},
    )


def problem(root: Path, version: str) -> str | None:
    """Return what keeps a bundle from serving, as a sentence, or None."""
    try:
        bundle.load(root, version)
    except IntegrityError as error:
        return str(error)
    return None


def _entry(root: Path, version: str) -> Entry:
    roles: list[str] = [name for name in get_args(Pointer) if bundle.pointer(root, name) == version]
    if any(each.version == version for each in withdrawn(root)):
        roles.append("withdrawn")
    try:
        return Entry(version=version, roles=tuple(roles), facts=read_manifest(root / version))
    except IntegrityError as error:
        return Entry(version=version, roles=tuple(roles), problem=str(error))


def _check_known(root: Path, version: str) -> None:
    known = bundle.versions(root)
    if version not in known:
        raise ConfigurationError(f"there is no model {version!r}; valid: {', '.join(known) or 'none yet'}")


def _withdrawal(root: Path, version: str) -> Withdrawal:
    facts = _entry(root, version).facts
    return Withdrawal(
        version=version,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        # Of a damaged bundle only the name is known, which is enough: it could not serve again.
        recipe=facts.get("recipe", ""),
        settings=dict(facts.get("settings", {})),
        data_until=facts.get("data_until", 0),
    )


def _keep(root: Path, withdrawals: list[Withdrawal]) -> None:
    write_whole(root / _WITHDRAWN, json.dumps([asdict(each) for each in withdrawals], indent=1))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process at a time move pointers: a run that read `released` must not undo a rollback a moment later."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _plain(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
