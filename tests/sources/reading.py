"""How tests read export files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from music_assets.sources import exports
from music_assets.sources.exports import Options, Rejected
from music_assets.sources.plays import Play

ME = Options(user="me")


def read(kind: str, path: Path, options: Options = ME) -> list[Any]:
    found = list(exports.read(kind, path, options))
    assert [position for position, _ in found] == list(range(len(found)))
    return [record for _, record in found]


def plays(kind: str, path: Path, options: Options = ME) -> list[Play]:
    return [record for record in read(kind, path, options) if isinstance(record, Play)]


def rejected(kind: str, path: Path, options: Options = ME) -> list[Rejected]:
    return [record for record in read(kind, path, options) if isinstance(record, Rejected)]


def put(path: Path, content: str | bytes | Any) -> Path:
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in members.items():
            found.writestr(name, content)
    return path
