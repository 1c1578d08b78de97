"""A lake and an empty warehouse for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from streaming.lake import Lake
from streaming.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Storage.local(tmp_path / "lake"))


@pytest.fixture
def warehouse_url(database_url: str) -> str:
    """URL of a database whose schema `silver` is empty and into which nothing was loaded."""
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema if exists silver cascade")
        connection.execute("create schema silver")
        connection.execute("truncate ops.load_watermark")
    return database_url


@pytest.fixture
def conn(warehouse_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        yield connection
