"""Fixtures of the whole suite: real servers, started once and only when a test asks for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import psycopg
import pytest
import redis

from music_assets.stack import servers
from serving.settings import Settings
from tests.fixtures.ports import free_ports
from tests.fixtures.s3 import S3Server, s3_server
from tests.fixtures.servers import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
JARS = ROOT / ".music" / "jars"


class MakeSettings(Protocol):
    """Builds settings that know nothing of this machine's environment."""

    def __call__(self, **overrides: Any) -> Settings: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a folder's tests in one process of a run of several: what they share is started once."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path.parent.relative_to(ROOT))))


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """Drop the settings of the shell: a developer's own database must never be a test's."""
    for name in Settings.model_fields:
        os.environ.pop(name.upper(), None)  # noqa: TID251 - cleared, not read
        os.environ.pop(f"{name.upper()}_FILE", None)  # noqa: TID251 - cleared, not read


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State of the session's servers."""
    return tmp_path_factory.mktemp("session")


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings with their state below the test's own folder and every port free."""

    def make(**overrides: Any) -> Settings:
        return _settings(tmp_path / "music", **overrides)

    return make


def _settings(home: Path, **overrides: Any) -> Settings:
    # Redis and a dozen other servers share two cores here: what is late there is not away.
    patient = {"redis_timeout_seconds": 2.0}
    values = {"music_home": home, "jars_path": JARS, **patient, **free_ports(), **overrides}
    return Settings(_env_file=None, **values)


@pytest.fixture(scope="session")
def broker(session_home: Path) -> Iterator[str]:
    """Bootstrap servers of a broker with all topics."""
    settings = _settings(session_home)
    with running(servers.kafka(settings), session_home):
        from streaming.topics.admin import apply

        apply(settings.bootstrap_servers)
        yield settings.bootstrap_servers


@pytest.fixture(scope="session")
def postgres_url(session_home: Path) -> Iterator[str]:
    """URL of the session's PostgreSQL; its database `music` holds every migration."""
    from music_assets.migrations import upgrade

    settings = _settings(session_home)
    with running(servers.postgres(settings), session_home):
        upgrade(settings.database)
        yield settings.database


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of a migrated database that only this module uses."""
    name = f"test_{uuid4().hex}"
    admin = f"{postgres_url.removesuffix('/music')}/postgres"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"create database {name} template music")
        yield f"{postgres_url.removesuffix('/music')}/{name}"
        # Not `with (force)`: it may not end an autovacuum worker, which a plain drop sends away by itself.
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and usename = current_user",
            (name,),
        )
        connection.execute(f"drop database {name}")


@pytest.fixture(scope="session")
def _redis_server(session_home: Path) -> Iterator[str]:
    settings = _settings(session_home)
    with running(servers.redis_server(settings), session_home):
        yield settings.redis


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """URL of an empty Redis."""
    with redis.Redis.from_url(_redis_server) as client:
        client.flushall()
    return _redis_server


@pytest.fixture(scope="session")
def s3(session_home: Path) -> Iterator[S3Server]:
    """The session's S3 server; a test makes a bucket of its own there."""
    with s3_server(session_home / "s3") as server:
        yield server


@pytest.fixture(scope="session")
def spark(session_home: Path) -> Iterator[SparkSession]:
    """The one Spark session, built as the streaming jobs build theirs."""
    from streaming.spark import session

    built = session(_settings(session_home, spark_master="local[2]"))
    yield built
    built.stop()


@pytest.fixture(scope="session")
def music_data() -> Path:
    """Folder of real listens; without it the test is skipped."""
    folder = Path(os.environ.get("MUSIC_DATA", ROOT.parent / "shared" / "data"))  # noqa: TID251 - of the tests, not the platform
    if not folder.is_dir():
        pytest.skip("no real data: set MUSIC_DATA")
    return folder
