"""A broker of the measurement's own, as `music bench` starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from music_assets.bench.arena import Arena, arena
from music_assets.settings import Settings
from tests.conftest import JARS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    home: Path = tmp_path_factory.mktemp("bench")
    with arena(Settings(_env_file=None, music_home=home, jars_path=JARS)) as made:
        yield made
    assert list(home.iterdir()) == [], "nothing of a measurement is left"


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command logs to the error output of its call, which is closed after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
