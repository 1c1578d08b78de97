"""The platform's own processes as parts: streams, features, API, and Dagster's code server, webserver and daemon."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

import grpc
import httpx
import psycopg
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import make_url

from music_assets.stack.parts import DEPLOY, Part
from music_assets.stack.process import in_background, socket_path, with_parent
from streaming.control import FEATURES, StreamClient

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.settings import Settings

_LOCATION: Final = "music_assets"
_HEARTBEAT_SECONDS: Final = 90
"""The daemon writes one every 30 s."""


def streams(settings: Settings) -> Part:
    """Return the streaming jobs: one process, one Spark session."""
    return Part(
        name="streams",
        command=_python("streaming.jobs", "all"),
        ready=StreamClient(settings.stream_port).alive,
        port=settings.stream_port,
        setting="STREAM_PORT",
        address=f"http://127.0.0.1:{settings.stream_port}/metrics",
        needs=("kafka",),
        start_seconds=300,
    )


def features(settings: Settings) -> Part:
    """Return the job that fills the online store: a plain consumer."""
    return Part(
        name="features",
        command=_python("streaming.jobs", FEATURES),
        ready=StreamClient(settings.features_port).alive,
        port=settings.features_port,
        setting="FEATURES_PORT",
        address=f"http://127.0.0.1:{settings.features_port}/metrics",
        needs=("kafka", "redis"),
    )


def api(settings: Settings) -> Part:
    """Return the API."""
    return Part(
        name="api",
        command=_python("serving"),
        ready=lambda: _answers(f"{settings.api_url}/health/live"),
        port=settings.api_port,
        setting="API_PORT",
        address=f"{settings.api_url}/docs",
        needs=("kafka", "postgres", "redis"),
    )


def dagster_environment(settings: Settings) -> dict[str, str]:
    """Return what a process needs to find the Dagster instance."""
    url = (
        make_url(settings.database)
        .set(drivername="postgresql+psycopg2")
        .update_query_dict({"options": "-csearch_path=dagster"})
    )
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_POSTGRES_URL": url.render_as_string(hide_password=False),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def dagster(settings: Settings) -> list[Part]:
    """Return Dagster: one code server that webserver and daemon share."""
    home = settings.dagster_home
    socket = socket_path(home / "code.sock")
    code = Part(
        name="dagster-code",
        # Runs are its children.
        command=in_background(
            _python(
                "dagster", "api", "grpc", "-m", "music_assets.definitions", "--socket", str(socket),
                "--location-name", _LOCATION, "--use-python-environment-entry-point",
            )
        ),
        ready=lambda: _serves(socket),
        setting="MUSIC_HOME",
        address=f"unix:{socket}",
        needs=("postgres",),
        prepare=lambda: _instance(home, socket),
        start_seconds=300,
    )  # fmt: skip
    port = str(settings.dagster_port)
    workspace = ("-w", str(home / "workspace.yaml"))
    web = Part(
        name="dagster-web",
        command=_python("dagster_webserver", "-h", "127.0.0.1", "-p", port, *workspace),
        ready=lambda: _answers(f"{settings.dagster_url}/server_info"),
        port=settings.dagster_port,
        setting="DAGSTER_PORT",
        address=settings.dagster_url,
        needs=("dagster-code",),
        start_seconds=300,
    )
    daemon = Part(
        name="dagster-daemon",
        command=in_background(_python("dagster._daemon", "run", *workspace)),
        ready=lambda: _heart_beats(settings.database),
        setting="DATABASE_URL",
        address="",
        needs=("dagster-code",),
        start_seconds=300,
    )
    return [code, web, daemon]


def _instance(home: Path, socket: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DEPLOY / "dagster" / "dagster.yaml", home / "dagster.yaml")
    server = {"grpc_server": {"socket": str(socket), "location_name": _LOCATION}}
    (home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [server]}), encoding="utf-8")
    # A killed server leaves its socket behind, and the next one cannot bind it.
    socket.unlink(missing_ok=True)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return with_parent((sys.executable, "-m", module, *arguments))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _serves(socket: Path) -> bool:
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=2
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _heart_beats(database: str) -> bool:
    """Ask the database when the daemon last wrote: a dead daemon is silent."""
    try:
        with psycopg.connect(database, connect_timeout=2) as connection:
            row = connection.execute("select min(timestamp) from dagster.daemon_heartbeats").fetchone()
    except psycopg.Error:
        return False
    return row is not None and row[0] is not None and time.time() - row[0].timestamp() < _HEARTBEAT_SECONDS
