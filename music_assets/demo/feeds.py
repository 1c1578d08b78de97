"""What the demo sends: the synthetic world, or a data set from a folder or file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from music_assets.sources import hetrec, radio, synthetic
from music_assets.sources.feed import Feed
from streaming.errors import ConfigurationError

SOURCES: Final = ("synthetic", "hetrec:PATH", "radio:PATH")


def choose(data: str, *, seed: int, anchor: datetime, size: synthetic.Size) -> Feed:
    """Return the feed that `data` names.

    Args:
        data: `synthetic`, `hetrec:FOLDER` or `radio:FILE` (or its folder, if it holds one CSV file).
        seed: of everything that is invented.
        anchor: the run's start; what is simulated ends there.
        size: of the synthetic world.

    Raises:
        ConfigurationError: there is no such source, or no data set at the path.
    """
    kind, _, path = data.partition(":")
    if data == "synthetic":
        return synthetic.build(seed, anchor, size).feed
    if kind == "hetrec" and path:
        return hetrec.feed(Path(path).expanduser(), seed=seed, anchor=anchor)
    if kind == "radio" and path:
        return radio.feed(_only_csv(Path(path).expanduser()))
    raise ConfigurationError(f"there is no data {data!r}; valid: {', '.join(SOURCES)}")


def _only_csv(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.csv"))
    if len(files) != 1:
        raise ConfigurationError(f"{path} holds {len(files)} CSV files; give the one of the plays")
    return files[0]
