from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from music_assets.settings import child_environment
from serving.settings import Settings
from streaming.errors import ConfigurationError
from streaming.settings import load
from tests.fixtures import env_example

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the developer."""
    monkeypatch.chdir(tmp_path)


def test_the_example_holds_every_setting_with_its_default() -> None:
    assert env_example.FILE.read_text(encoding="utf-8") == env_example.render(), (
        "run `python -m tests.fixtures.env_example`"
    )


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(env_example.render(), encoding="utf-8")

    assert load(Settings) == Settings(_env_file=None)


def test_a_secret_can_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n", encoding="utf-8")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("POSTGRES_HOST", "db")

    settings = load(Settings)

    assert settings.database == "postgresql://music:s3cret@db:5432/music"
    assert "s3cret" not in repr(settings)


def test_the_environment_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "port").write_text("1", encoding="utf-8")
    monkeypatch.setenv("API_PORT_FILE", str(tmp_path / "port"))
    monkeypatch.setenv("API_PORT", "2")

    assert load(Settings).api_port == 2


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigurationError, match=r"POSTGRES_PASSWORD_FILE names .*none, which cannot be read"):
        load(Settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("STORAGE_FORMAT", "csv", r"^STORAGE_FORMAT: Input should be 'delta' or 'parquet'"),
        ("STREAM_ENGINE", "flink", r"^STREAM_ENGINE: Input should be 'spark' or 'python'"),
        (
            "WAREHOUSE_TARGET",
            "snowflake",
            r"^WAREHOUSE_TARGET=snowflake needs SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, ",
        ),
        (
            "LAKEHOUSE_PATH",
            "gs://bucket/lake",
            r"^LAKEHOUSE_PATH=gs://bucket/lake is not supported; valid: a local path,",
        ),
        (
            "LAKEHOUSE_PATH",
            "s3a://",
            r"^LAKEHOUSE_PATH=s3a:// is not supported; valid: a local path, s3a://bucket/prefix",
        ),
        ("S3_ENDPOINT", "store:9000", r"^S3_ENDPOINT=store:9000 is no address; valid: http://host:port, https://host"),
        ("KAFKA_PORT", "many", r"^KAFKA_PORT: Input should be a valid integer"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=says):
        load(Settings)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOOL_LIMIT", "hunter2")

    with pytest.raises(ConfigurationError) as caught:
        load(Settings)

    assert "hunter2" not in str(caught.value)


def test_a_child_finds_the_same_settings_whatever_the_shell_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@else/db")
    chosen = Settings(_env_file=None, database_url=None, music_home=tmp_path / "home", api_port=1234)

    for name, value in child_environment(chosen).items():
        monkeypatch.setenv(name, value)

    assert load(Settings) == chosen


def test_a_secret_file_goes_on_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret", encoding="utf-8")
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(tmp_path / "password"))

    environment = child_environment(load(Settings))

    assert environment["POSTGRES_PASSWORD_FILE"] == str(tmp_path / "password")
    assert "s3cret" not in environment.values()
