"""The manifest of a bundle: what is in it, with a checksum for every file and one for itself."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from streaming.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"


def write_manifest(folder: Path, body: Mapping[str, Any]) -> None:
    """Write the manifest over all files that lie in the folder."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_bytes(_sealed({**body, "format": FORMAT, "files": files}))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder whose every byte is as it was written.

    Raises:
        IntegrityError: something is missing, damaged or of another format.
    """
    again = f"model bundle {folder.name} must not serve: train again, or promote another one"
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except FileNotFoundError as error:
        raise IntegrityError(f"it is not whole, its manifest is missing; {again}") from error
    except ValueError as error:
        raise IntegrityError(f"its manifest is damaged; {again}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise IntegrityError(f"this release reads bundles of format {FORMAT} only; {again}")
    if _sealed(manifest) != raw or manifest["version"] != folder.name:
        raise IntegrityError(f"its manifest is damaged; {again}")
    for name, digest in manifest["files"].items():
        if _digest(folder / name) != digest:
            raise IntegrityError(f"its {name} is not what was written; {again}")
    return manifest


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    """Return the manifest with its own checksum, in the one spelling that is accepted when read."""
    body = {name: value for name, value in manifest.items() if name != "sha256"}
    seal = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return json.dumps({**body, "sha256": seal}, sort_keys=True, indent=1).encode()


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
