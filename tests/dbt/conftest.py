"""One warehouse, loaded from a small planted lake and built by dbt once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets.settings import Settings
from music_assets.warehouse import dbt, load_table
from streaming.lake import Lake
from streaming.storage import Storage
from streaming.tables import tables
from tests.warehouse.lakes import NOON, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Dbt = Callable[..., dict[str, str]]


def plant(lake: Lake) -> None:
    """Write what the tests know: a handful of events of two listeners and a small catalogue."""
    second, day = timedelta(seconds=1), timedelta(days=1)
    u2 = {"user_id": "u2"}
    write(
        lake, "events_listens",
        {"event_id": "live", "timestamp": NOON + second / 10, "source": "web"},
        {"event_id": "export", "timestamp": NOON + second * 0.9, "source": "export", "ms_played": 1000},
        {"event_id": "again", "timestamp": NOON + second, "source": "web"},
        {"event_id": "artist", "item_id": "artist:7", "timestamp": NOON + day, "user_id": "u2"},
        {"event_id": "album", "item_id": "album:1", "timestamp": NOON + day, "user_id": "u2"},
        {"event_id": "unknown", "item_id": "track:99", "timestamp": NOON + 10 * day, "user_id": "u2"},
        {"event_id": "led", "recommendation_id": "answer", "item_id": "track:2", "timestamp": NOON + day, **u2},
    )  # fmt: skip
    write(lake, "events_views", {"event_id": "v1", "item_id": "track:1"}, {"event_id": "v2", "item_id": "track:1"})
    write(lake, "events_clicks", {"event_id": "c1", "timestamp": NOON - day}, {"event_id": "c2", "user_id": "u3"})
    write(
        lake,
        "events_ratings",
        {"event_id": "low", "rating": 1.0},
        {"event_id": "high", "rating": 5.0, "timestamp": NOON + day},
    )
    write(
        lake, "recommendation_events",
        {
            "event_id": "answer", "user_id": "u2", "timestamp": NOON + day - second,
            "item_ids": ["artist:7", "artist:1", "track:99", "track:5"],
            "sources": ["als", "als", "popular", "popular"], "reasons": ["a", "b", "c", "d"],
            "experiment": "first", "arm": "challenger", "propensities": [0.95, 0.95, 0.1 / 3, 1.0],
        },
    )  # fmt: skip
    write(lake, "catalog_artists", {"item_id": "artist:1", "name": "One"})
    write(lake, "catalog_albums", {"item_id": "album:1", "name": "First", "artist_id": "artist:1"})
    write(
        lake, "catalog_songs",
        {"item_id": "track:1", "name": "Song", "artist_id": "artist:1", "album_id": "album:1"},
        {"item_id": "track:2", "name": "Other", "artist_id": "artist:1", "album_id": "album:2"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def warehouse(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database with the planted lake loaded."""
    lake = Lake(Storage.local(tmp_path_factory.mktemp("planted")))
    plant(lake)
    with psycopg.connect(database_url) as connection:
        for table in tables().values():
            if table.layer == "silver":
                load_table(connection, lake, table)
    return database_url


@pytest.fixture(scope="module")
def run_dbt(warehouse: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    """Run dbt in this process; returns the status of every node by name."""
    from dbt.cli.main import dbtRunner

    settings = Settings(_env_file=None, database_url=warehouse)
    target = tmp_path_factory.mktemp("dbt")
    runner = dbtRunner()

    def run(*args: str) -> dict[str, str]:
        outcome = runner.invoke(["--quiet", *args, "--target-path", str(target), "--log-path", str(target)])
        if outcome.exception is not None:
            raise outcome.exception
        results: Any = outcome.result
        return {result.node.name: str(result.status) for result in results}

    with pytest.MonkeyPatch.context() as patch:
        for name, value in dbt.environment(settings).items():
            patch.setenv(name, value)
        yield run


@pytest.fixture(scope="module")
def built(warehouse: str, run_dbt: Dbt) -> dict[str, str]:
    """Status of every node of the one build."""
    return run_dbt("build")


@pytest.fixture
def marts(warehouse: str, built: dict[str, str]) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Connection to the built warehouse."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        yield connection
