from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient

from music_assets.migrations import upgrade, versions


def test_broker_has_the_declared_topics_and_creates_no_other(broker: str) -> None:
    from streaming.topics import topics

    client = AdminClient({"bootstrap.servers": broker})
    client.list_topics("no_such_topic", timeout=10)

    assert set(topics()) <= set(client.list_topics(timeout=10).topics)
    assert "no_such_topic" not in client.list_topics(timeout=10).topics


def test_database_is_migrated_and_vectors_work(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        listener = connection.execute("insert into identity.listener (user_id) values ('a') returning listener_id")
        assert listener.fetchone()
        schemas = {row[0] for row in connection.execute("select nspname from pg_namespace")}
        assert {"identity", "ops", "silver", "staging", "intermediate", "marts"} <= schemas
        assert connection.execute("select '[1,2]'::vector <-> '[1,3]'").fetchone() == (1.0,)
        assert connection.execute("show fsync").fetchone() == ("on",)


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    newest = max(path.name.partition("_")[0] for path in Path(versions.__path__[0]).glob("[0-9]*.py"))

    upgrade(database_url)
    upgrade(database_url)

    with psycopg.connect(database_url) as connection:
        assert connection.execute("select version_num from ops.alembic_version").fetchall() == [(newest,)]


def test_the_superuser_cannot_be_reached_over_the_network(postgres_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        psycopg.connect(postgres_url.replace("music@", "postgres@"))


def test_redis_answers_and_keeps_no_log(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.config_get("bind")["bind"] == "127.0.0.1"
