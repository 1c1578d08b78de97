"""Where a lake lies, and what a person is told when it cannot be reached."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from deltalake.exceptions import DeltaError
from pydantic import ValidationError

from music_assets.stack.jars import needed
from streaming.errors import ConfigurationError, IntegrityError, TimeoutExpiredError, UnavailableError
from streaming.jobs import object_lease
from streaming.jobs.lease import lease
from streaming.lake import Lake
from streaming.object_store import ObjectStore
from streaming.sinks.tables import Write, append_arrow
from streaming.spark import session, spark_config
from streaming.storage import Storage
from streaming.tables import REDRIVEN
from tests.fixtures.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.settings import Settings
    from tests.conftest import MakeSettings
    from tests.fixtures.s3 import S3Server

WRITERS = 4


def on_s3(make_settings: MakeSettings, s3: S3Server, bucket: str | None = None) -> Settings:
    return make_settings(lakehouse_path=f"s3a://{bucket or s3.make_bucket()}/a/lake", **s3.settings)


def test_a_place_goes_to_a_task_and_shows_no_key(make_settings: MakeSettings) -> None:
    settings = make_settings(lakehouse_path="s3a://music/lake/", s3_access_key="the-key", s3_secret_key="the-secret")
    storage = pickle.loads(pickle.dumps(settings.storage))
    assert storage == settings.storage
    assert storage == Storage("s3a://music/lake", ObjectStore(access_key="the-key", secret_key="the-secret"))
    for shown in (repr(storage), str(storage), repr(settings)):
        assert "the-key" not in shown
        assert "the-secret" not in shown


def test_what_is_of_this_machine_stays_on_it(make_settings: MakeSettings) -> None:
    here, there = make_settings(), make_settings(lakehouse_path="s3a://music/lake")
    assert here.checkpoint_root == here.storage.folder / "_checkpoints"
    assert there.checkpoint_root.parent == there.music_home / "checkpoints"
    assert there.checkpoint_root != make_settings(lakehouse_path="s3a://music/other").checkpoint_root
    with pytest.raises(ConfigurationError, match="LAKEHOUSE_PATH=s3a://music/lake is no folder"):
        _ = there.storage.folder


def test_hadoop_is_loaded_and_fetched_only_for_an_object_store(make_settings: MakeSettings, tmp_path: Path) -> None:
    for name in ("spark", "s3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jar").touch()
    common = {"jars_path": tmp_path, "s3_endpoint": "http://store:9000", "s3_secret_key": "the-secret"}
    here, there = make_settings(**common), make_settings(**common, lakehouse_path="s3a://music/lake")
    assert needed(here) == ("kafka", "spark")
    assert needed(there) == ("kafka", "spark", "s3")
    plain, s3a = spark_config(here), spark_config(there)
    assert plain["spark.jars"] == str(tmp_path / "spark" / "spark.jar")
    assert s3a["spark.jars"] == f"{plain['spark.jars']},{tmp_path / 's3' / 's3.jar'}"
    assert not [name for name in plain if "s3a" in name]
    assert s3a["spark.hadoop.fs.s3a.endpoint"] == "http://store:9000"
    (tmp_path / "s3" / "s3.jar").unlink()
    with pytest.raises(ConfigurationError, match=r"no jars in .*s3; fetch them with `music jars`"):
        session(there)


def test_parquet_needs_a_disk(make_settings: MakeSettings) -> None:
    with pytest.raises(ValidationError, match="STORAGE_FORMAT=parquet needs a LAKEHOUSE_PATH on a disk"):
        make_settings(lakehouse_path="s3a://music/lake", storage_format="parquet")


def test_a_store_that_is_away_is_named(make_settings: MakeSettings) -> None:
    port = free_ports()["kafka_port"]
    settings = make_settings(
        lakehouse_path="s3a://music/lake", s3_endpoint=f"http://127.0.0.1:{port}", s3_access_key="k", s3_secret_key="s"
    )
    with pytest.raises(UnavailableError, match=f"does not answer at S3_ENDPOINT=http://127.0.0.1:{port}"):
        Lake(settings.storage).create_all()


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["s3_access_key", "s3_secret_key"])
def test_wrong_keys_are_named_and_not_shown(make_settings: MakeSettings, s3: S3Server, name: str) -> None:
    bucket = s3.make_bucket()
    wrong = {**s3.settings, name: "wrong-secret"}
    settings = make_settings(lakehouse_path=f"s3a://{bucket}/lake", **wrong)
    for attempt in (Lake(settings.storage).create_all, lambda: Lake(settings.storage).open(REDRIVEN)):
        with pytest.raises(ConfigurationError, match="refuses S3_ACCESS_KEY and S3_SECRET_KEY") as told:
            attempt()
        assert "wrong-secret" not in str(told.value)


@pytest.mark.heavy
def test_a_bucket_that_is_missing_is_made(make_settings: MakeSettings, s3: S3Server) -> None:
    settings = on_s3(make_settings, s3, "made-by-the-lake")
    Lake(settings.storage).create_all()
    assert Lake(settings.storage).count(REDRIVEN) == 0
    settings.storage.clear()
    assert not Lake(settings.storage).exists(REDRIVEN)


@pytest.mark.heavy
def test_of_two_writers_one_holds_the_lease_and_the_other_follows(
    make_settings: MakeSettings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, "EXPIRES_SECONDS", 2.0)
    settings = on_s3(make_settings, s3)
    with lease(settings, "lease", spark=None, timeout=0):
        # Longer than it lasts without being renewed.
        with (
            pytest.raises(TimeoutExpiredError, match="another process writes to this lake"),
            lease(settings, "lease", spark=None, timeout=4),
        ):
            pass
        with lease(settings, "other", spark=None, timeout=0):
            pass
    with lease(settings, "lease", spark=None, timeout=0):
        pass


@pytest.mark.heavy
def test_a_lease_whose_holder_died_is_taken_over_when_it_expires(
    make_settings: MakeSettings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, "EXPIRES_SECONDS", 2.0)
    settings = on_s3(make_settings, s3)
    settings.storage.check()
    object_lease._Held(settings.storage, "_leases/lease").take(0)
    with pytest.raises(TimeoutExpiredError), lease(settings, "lease", spark=None, timeout=0.2):
        pass
    with lease(settings, "lease", spark=None, timeout=10):
        pass


@pytest.mark.heavy
def test_of_writers_who_saw_the_same_table_one_commits(make_settings: MakeSettings, s3: S3Server) -> None:
    storage = on_s3(make_settings, s3).storage
    storage.check()
    Lake(storage).create(REDRIVEN)
    barrier = Barrier(WRITERS)

    def commit(turn: int) -> bool:
        write = Write(expected={"writer": turn or None}, leaves={"writer": turn + 1}, note={})
        barrier.wait(20)
        try:
            append_arrow(REDRIVEN.schema.empty_table(), REDRIVEN, storage, write=write)
        except (IntegrityError, DeltaError):
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        for turn in range(10):
            assert sum(pool.map(commit, [turn] * WRITERS)) == 1
    assert storage.delta(REDRIVEN).transaction_version("writer") == 10
