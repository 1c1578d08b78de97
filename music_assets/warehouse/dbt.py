"""What dbt needs from us: its connection, as environment, and a parsed project, kept until the project changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg.conninfo import conninfo_to_dict

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from music_assets.settings import Settings

PROJECT: Final = Path(__file__).parents[2] / "dbt_project"
EXECUTABLE: Final = Path(sys.executable).with_name("dbt")

NEWEST_ALONE: Final = ("--vars", "{every_row: false}")
"""Options of a build whose tests look at what is new. The project is parsed with them: others mean another parse."""

_TARGET: Final = PROJECT / "target"
_SOURCES: Final = ("*.yml", "models/**/*", "macros/**/*", "tests/**/*")
_PARSED: Final = "partial_parse.msgpack"
_KEPT: Final = ("manifest.json", _PARSED)
_SESSION: Final = "-c timezone=UTC -c lock_timeout=10s -c random_page_cost=1.1 -c work_mem=64MB"
"""The API reads marts while dbt swaps them: a swap that waits for a long reader would hold every reader behind it.
A row by an index costs here what it does on any disk without a moving head: else a build of what is new would read
whole tables as soon as it touches a percent of them."""


def environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a dbt process: the connection of `profiles.yml` and nothing of ours beside it."""
    database = {name: str(value) for name, value in conninfo_to_dict(settings.database).items()}
    return {
        "DBT_POSTGRES_HOST": database.get("host", "127.0.0.1"),
        "DBT_POSTGRES_PORT": database.get("port", "5432"),
        "DBT_POSTGRES_USER": database.get("user", ""),
        "DBT_POSTGRES_DB": database.get("dbname", ""),
        "DBT_POSTGRES_SSLMODE": database.get("sslmode", "prefer"),
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": database.get("password", ""),
        "DBT_PROFILES_DIR": str(PROJECT),
        "DBT_PROJECT_DIR": str(PROJECT),
        "PGOPTIONS": f"{database.get('options', '')} {_SESSION}".strip(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        **_snowflake(settings),
    }


def _snowflake(settings: Settings) -> dict[str, str]:
    """Return what the profile's other target asks for; nothing while PostgreSQL is the warehouse."""
    if settings.warehouse_target != "snowflake":
        return {}
    key = settings.snowflake_private_key
    return {
        "DBT_TARGET": "snowflake",
        "DBT_SNOWFLAKE_ACCOUNT": settings.snowflake_account or "",
        "DBT_SNOWFLAKE_USER": settings.snowflake_user or "",
        "DBT_ENV_SECRET_SNOWFLAKE_PRIVATE_KEY": key.get_secret_value() if key else "",
        "DBT_SNOWFLAKE_ROLE": settings.snowflake_role,
        "DBT_SNOWFLAKE_WAREHOUSE": settings.snowflake_warehouse,
        "DBT_SNOWFLAKE_DATABASE": settings.snowflake_database,
        "DBT_SNOWFLAKE_HOST": settings.snowflake_host or f"{settings.snowflake_account}.snowflakecomputing.com",
        "DBT_SNOWFLAKE_PORT": str(settings.snowflake_port),
        "DBT_SNOWFLAKE_PROTOCOL": settings.snowflake_protocol,
        # Without TLS it is no Snowflake but a stand-in, which cannot read comments of several columns in one statement.
        "DBT_PERSIST_DOCS": str(settings.snowflake_protocol == "https"),
    }


def manifest(settings: Settings) -> Path:
    """Return the path of the project's manifest; dbt parses the project if it changed since the last time.

    Raises:
        ConfigurationError: dbt cannot parse the project.
    """
    folder = _folder(settings)
    stamp = folder / f"{fingerprint()}.parsed"
    if not (stamp.exists() and (folder / "manifest.json").exists()):
        parse(settings, folder)
        for old in folder.glob("*.parsed"):
            old.unlink(missing_ok=True)
        for old in folder.glob("*.lineage"):
            shutil.rmtree(old, ignore_errors=True)
        stamp.touch()
    return folder / "manifest.json"


def hand_parsed(settings: Settings, target: Path) -> None:
    """Put what dbt knows of the parsed project into the target folder of a build, which then need not parse it."""
    manifest(settings)
    shutil.copy(_folder(settings) / _PARSED, target / _PARSED)


def kept_lineage(settings: Settings) -> Path:
    """Return the folder for what is known of the columns of the project as it is now."""
    return _folder(settings) / f"{fingerprint()}.lineage"


def _folder(settings: Settings) -> Path:
    """The two dialects have manifests of their own."""
    return _TARGET / settings.warehouse_target


def docs(settings: Settings) -> Path:
    """Make dbt's documentation of project and database and return the page.

    Raises:
        ConfigurationError: dbt cannot make it.
    """
    page = settings.music_home / "docs" / "warehouse.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=page.parent, prefix=".docs-") as folder:
        _dbt(settings, folder, "docs", "generate", "--static")
        # Replaced at once: who reads the page in this moment gets the old one or the new one.
        Path(folder, "static_index.html").replace(page)
    return page


def parse(settings: Settings, folder: Path) -> None:
    """Parse the project for builds of what is new, and put what comes of it into a folder.

    Beside it first, because several processes may load definitions at once.

    Raises:
        ConfigurationError: dbt cannot parse the project.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".parse-") as beside:
        _dbt(settings, beside, "parse", *NEWEST_ALONE)
        for name in _KEPT:
            Path(beside, name).replace(folder / name)


def _dbt(settings: Settings, target: str, *command: str) -> None:
    run = subprocess.run(
        [EXECUTABLE, "--quiet", *command],
        env={**environment(settings), "DBT_TARGET_PATH": target, "DBT_LOG_PATH": target},
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        said = (run.stdout + run.stderr).strip()[-2000:]
        raise ConfigurationError(f"dbt cannot {' '.join(command)} {PROJECT}: {said}")


def fingerprint() -> str:
    """Return what tells this state of the project from every other."""
    digest = hashlib.sha256(str(PROJECT).encode())
    for path in _files():
        digest.update(str(path.relative_to(PROJECT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files() -> Iterator[Path]:
    paths = {path for pattern in _SOURCES for path in PROJECT.glob(pattern)}
    return iter(sorted(path for path in paths if path.is_file()))
