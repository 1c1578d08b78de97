"""The sources under Dagster, on a real broker and PostgreSQL: with and without a key; their schedules and commands."""

from __future__ import annotations

import importlib
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import psycopg
import pytest
from confluent_kafka import Consumer
from typer.testing import CliRunner

from music_assets.commands import source as commands
from music_assets.defs.source import checks, collectors, schedules
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from tests.sources import services
from tests.sources.services import World, serving
from tests.sources.test_collectors import history

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTENS: Final = ("lastfm_listens", "spotify_listens", "listenbrainz_listens")
FACTS: Final = ("lastfm_artists", "spotify_tracks")


class Parts(PlatformResource):
    """A broker, a database, and a source's settings."""

    given: dict[str, Any]

    def settings(self) -> Settings:
        return Settings(_env_file=None, **self.given)


@pytest.fixture
def parts(broker: str, database_url: str) -> Parts:
    with psycopg.connect(database_url) as connection:
        connection.execute("truncate source.fetches, source.cursors, source.artists, source.tracks")
    return Parts(given={"kafka_bootstrap_servers": broker, "database_url": database_url})


def materialise(parts: Parts, *names: str) -> dg.ExecuteInProcessResult:
    module = dg.load_assets_from_modules([collectors])
    definitions = dg.Definitions.merge(
        dg.Definitions(assets=module, resources={"platform": parts}), checks.source_checks()
    )
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["source", name]) for name in names]
    return job.execute_in_process(asset_selection=keys, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node(f"source__{name}")
    return {key: value.value for key, value in event.metadata.items()}


@contextmanager
def listening(broker: str, topic: str) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    yield consumer
    consumer.close()


def messages(broker: str, topic: str) -> list[bytes]:
    found: list[bytes] = []
    with listening(broker, topic) as consumer:
        while batch := consumer.consume(500, timeout=5):
            found += [message.value() or b"" for message in batch if message.error() is None]
    return found


def test_without_a_key_every_source_materialises_and_says_recorded(
    parts: Parts, broker: str, database_url: str
) -> None:
    messages(broker, "events_listens")  # of other tests: from here on only what is new is read
    result = materialise(parts, *LISTENS, *FACTS, "gaps")
    assert result.success
    counts = {name: metadata(result, name) for name in (*LISTENS, *FACTS)}
    assert {each["origin"] for each in counts.values()} == {"recorded"}
    assert all(each["dagster/row_count"] > 0 and each["requests"] > 0 for each in counts.values())
    assert "withdrawn" in counts["spotify_tracks"]["notes"]
    assert metadata(result, "gaps")["dagster/row_count"] == 0
    assert all(check.passed for check in result.get_asset_check_evaluations())

    sent = messages(broker, "events_listens")
    assert len(sent) == sum(counts[name]["dagster/row_count"] for name in LISTENS)
    by_source = Counter(
        name for name in ("lastfm", "spotify", "listenbrainz") for each in sent if name.encode() in each
    )
    assert by_source.keys() == {"lastfm", "spotify", "listenbrainz"}
    assert not [each for each in sent if b"lastfm:recorded" in each], "an account never leaves for Kafka"
    with psycopg.connect(database_url) as connection:
        users = connection.execute("select user_id from identity.listener order by user_id").fetchall()
    assert users == [("lastfm:recorded",), ("listenbrainz:recorded",), ("spotify:recorded",)]

    again = materialise(parts, *LISTENS)
    assert [metadata(again, name)["dagster/row_count"] for name in LISTENS] == [0, 0, 0]
    assert messages(broker, "events_listens") == []


def live(parts: Parts, url: str) -> Parts:
    return Parts(given={**parts.given, "lastfm_api_key": "key", "lastfm_users": "me", "lastfm_url": url})


def test_a_source_that_gives_nothing_fails_its_run_and_the_check_names_it(parts: Parts) -> None:
    world = World(history(5), faults=dict.fromkeys(range(10), services.refused))
    with serving(world) as url:
        result = materialise(live(parts, url), "lastfm_listens")
    assert not result.success
    assert not result.asset_materializations_for_node("source__lastfm_listens")
    [check] = [each for each in checks.source_checks().asset_checks or [] if "lastfm_listens" in str(each.check_keys)]
    found = check(platform=live(parts, url))
    assert not found.passed
    assert "lastfm listens: refused, last good never" in (found.description or "")


def test_gaps_and_health_are_commands(parts: Parts, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(database_url) as connection:
        for begin, end in ((48, 30), (26, 0)):
            connection.execute(
                "insert into source.fetches (source, kind, account, outcome, origin, requests, started_at, finished_at,"
                " covered_from, covered_until)"
                " values ('lastfm', 'listens', 'me', 'ok', 'live', 1, now(), now(), %s, %s)",
                [now - timedelta(hours=begin), now - timedelta(hours=end)],
            )
    monkeypatch.setattr(commands, "settings", parts.settings)
    shown = CliRunner().invoke(commands.app, ["gaps"])
    assert shown.exit_code == 0, shown.output
    assert "1 gaps" in shown.output
    assert (now - timedelta(hours=30)).isoformat(timespec="seconds") in shown.output
    health = CliRunner().invoke(commands.app, ["health"])
    assert "lastfm" in health.output
    result = materialise(parts, "gaps")
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert result.success, "a gap warns and stops nothing"


def test_backfill_is_a_command_that_sends_the_window(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(history(30))
    with serving(world) as url:
        monkeypatch.setattr(commands, "settings", live(parts, url).settings)
        arguments = ["backfill", "lastfm", "me", "--since", "2026-01-01T00:00Z", "--until", "2027-01-01T00:00Z"]
        done = CliRunner().invoke(commands.app, arguments)
    assert done.exit_code == 0, done.output
    assert "30 plays sent" in done.output


@pytest.mark.parametrize("keyed", [True, False])
def test_schedules_run_by_default_only_where_a_key_is_set(keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(_env_file=None, lastfm_api_key="key" if keyed else None)
    monkeypatch.setattr(importlib.import_module("music_assets.settings"), "settings", lambda: chosen)
    found = {each.name: each for each in schedules.source_schedules().schedules or []}
    assert found["collect_spotify_listens"].cron_schedule == "*/10 * * * *"
    running = {name for name, each in found.items() if each.default_status is dg.DefaultScheduleStatus.RUNNING}
    expected = {"collect_lastfm_listens", "collect_lastfm_artists", "look_for_gaps"}
    assert running == (expected if keyed else set())
