"""Imports under Dagster: the sensor asks for what waits, the assets carry it out, a bad file stops nothing."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import dagster as dg
import psycopg
import pytest

from music_assets.defs.source.imports import files_that_wait, imports, kaggle_tracks
from music_assets.identity import ensure_listeners
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from music_assets.sources import import_table
from music_assets.sources import imports as importing
from music_assets.sources.import_table import Import, Status
from tests.conftest import MakeSettings
from tests.sources.test_imports import history
from tests.sources.test_kaggle import write
from tests.sources.tracks import FEATURES, feature_row

FOUND: dict[str, Settings] = {}


class Parts(PlatformResource):
    """The test's broker and database."""

    name: str

    def settings(self) -> Settings:
        return FOUND[self.name]


@pytest.fixture
def parts(make_settings: MakeSettings, broker: str, database_url: str) -> Parts:
    with psycopg.connect(database_url) as connection:
        connection.execute("truncate source.imports, source.rejected")
    name = uuid4().hex
    FOUND[name] = make_settings(kafka_bootstrap_servers=broker, database_url=database_url)
    FOUND[name].upload_root.mkdir(parents=True)
    return Parts(name=name)


def upload(parts: Parts, kind: str = "spotify", status: Status = "queued") -> tuple[Import, Path]:
    settings = parts.settings()
    with importing.connect(settings) as connection:
        listener = ensure_listeners(connection, ["me"])["me"]
        record, _ = import_table.register(
            connection, kind=kind, file_name="a", sha256=uuid4().hex, listener_id=listener, time_zone="UTC",
            status=status,
        )  # fmt: skip
    return record, importing.upload_path(settings, record)


def look(parts: Parts, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(cursor=cursor, resources={"platform": parts})
    found = files_that_wait(context)
    assert isinstance(found, dg.SensorResult)
    return found


def materialise(parts: Parts, asset: dg.AssetsDefinition, config: dict[str, str] | None = None) -> dict[str, object]:
    run_config = {"ops": {"source__kaggle_tracks": {"config": config}}} if config else None
    result = dg.materialize([asset], resources={"platform": parts}, run_config=run_config)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_file_that_waits_is_asked_for_once_and_carried_out(parts: Parts) -> None:
    assert look(parts, None).run_requests == []
    _, path = upload(parts)
    history(path, 100)
    asked = look(parts, None)
    assert asked.run_requests is not None
    assert [request.asset_selection for request in asked.run_requests] == [[dg.AssetKey(["source", "imports"])]]
    assert look(parts, asked.cursor).run_requests == []
    metadata = materialise(parts, imports)
    assert (metadata["dagster/row_count"], metadata["imports"], metadata["rejected"]) == (90, 1, 1)
    assert look(parts, asked.cursor).run_requests == []
    assert materialise(parts, imports)["imports"] == 0


def test_a_bad_file_is_told_and_does_not_stop_the_others(parts: Parts) -> None:
    bad, path = upload(parts)
    path.write_text("no JSON")
    _, path = upload(parts)
    history(path, 10)
    metadata = materialise(parts, imports)
    assert (metadata["imports"], metadata["dagster/row_count"]) == (2, 9)
    assert list(metadata["failed"]) == [str(bad.import_id)]  # type: ignore[call-overload]
    assert look(parts, None).run_requests == []


def test_what_a_killed_process_left_waits_and_what_is_at_work_does_not(parts: Parts) -> None:
    record, path = upload(parts, status="running")
    history(path, 10)
    settings = parts.settings()
    with importing.connect(settings) as connection, import_table.claimed(connection, record.import_id):
        assert look(parts, None).run_requests == []
    assert len(look(parts, None).run_requests or []) == 1


def test_tables_of_tracks_come_by_upload_and_by_path(parts: Parts, tmp_path: Path) -> None:
    _, path = upload(parts, kind="kaggle_tracks")
    write(path, FEATURES, feature_row(1))
    asked = look(parts, None).run_requests or []
    assert [request.asset_selection for request in asked] == [[dg.AssetKey(["source", "kaggle_tracks"])]]
    other = write(tmp_path / "b.csv", FEATURES, feature_row(2), feature_row(3))
    assert materialise(parts, kaggle_tracks, {"path": str(other)})["dagster/row_count"] == 3


def test_a_sensor_without_postgresql_says_so(parts: Parts, make_settings: MakeSettings) -> None:
    FOUND[parts.name] = make_settings(database_url="postgresql://music@127.0.0.1:1/music")
    found = files_that_wait(dg.build_sensor_context(resources={"platform": parts}))
    assert isinstance(found, dg.SkipReason)
    assert "PostgreSQL does not answer" in str(found.skip_message)
