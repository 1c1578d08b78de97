"""The service as it runs: a process that is asked over HTTP, killed, and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from music_assets.stack.process import wait_until
from streaming.control import StreamClient
from streaming.errors import TimeoutExpiredError, UnavailableError
from streaming.jobs.lease import lease
from streaming.ledger import Totals, totals
from streaming.sinks.report import Reporter
from tests.streaming.conftest import BRONZE, SILVER, TRENDING, Platform, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@contextmanager
def service(platform: Platform, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = platform.settings
    names = (
        "music_home",
        "jars_path",
        "kafka_bootstrap_servers",
        "stream_port",
        "stream_engine",
        "dagster_port",
        "redis_url",
    )
    environment = {name.upper(): str(getattr(settings, name)) for name in names}
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streaming.jobs", "all"],
            env={"PATH": "/usr/bin:/bin", "SILVER_INTERVAL_SECONDS": "0.5", **environment},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        client = StreamClient(settings.stream_port)
        alive = wait_until(lambda: client.alive() or process.poll() is not None, seconds=150)
        assert alive, (folder / "service.log").read_text()[-3000:]
        assert process.poll() is None, (folder / "service.log").read_text()[-3000:]
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_the_service_is_current_when_asked_survives_a_kill_and_stops_clean(platform: Platform, tmp_path: Path) -> None:
    client = StreamClient(platform.settings.stream_port)
    with service(platform, tmp_path) as process:
        now = datetime.now(UTC).isoformat()
        platform.put("events_listens", *(event(number, timestamp=now) for number in range(30)), b"{")
        report = client.run(SILVER)
        assert report.tables["silver/events_listens"].rows_total == 30
        assert report.tables["deadletter/events_listens"].rows_total == 1
        assert client.run(SILVER).tables["silver/events_listens"].rows_added == 0
        assert client.run(BRONZE).tables["bronze/events_listens"].rows_total == 31
        assert client.run(TRENDING).tables["gold/trending_now_1h"].rows_total == 7
        metrics = httpx.get(f"http://127.0.0.1:{platform.settings.stream_port}/metrics").text
        line = 'stream_rows_total{outcome="stored",query="stream_kafka_to_silver",topic="events_listens"} 30.0'
        assert line in metrics
        with pytest.raises(UnavailableError, match="valid: stream_kafka_to_bronze"):
            client.run("nonsense")
        with pytest.raises(TimeoutExpiredError, match="another process writes"):
            platform_lease(platform)
        platform.put("events_listens", *(event(number) for number in range(20, 60)))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with service(platform, tmp_path) as process:
        client.run(SILVER)
        client.run(BRONZE)
        assert totals(platform.lake)["events_listens"] == Totals(
            received=71, stored=60, duplicate=10, dead_lettered=1, event_id_conflicts=10
        )
        assert platform.problems() == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "service.log").read_text()[-3000:]
    assert not client.alive()
    with pytest.raises(UnavailableError, match="is it up"):
        client.run(SILVER)


def platform_lease(platform: Platform) -> None:
    with lease(platform.settings, "lease", spark=None, timeout=0.3):
        pytest.fail("two writers hold the lease")


def test_dagster_is_told_at_most_once_per_interval(platform: Platform) -> None:
    platform.lake.create_all()
    told: list[tuple[str, dict[str, Any]]] = []

    class Webserver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", platform.settings.dagster_port), Webserver)
    Thread(target=server.serve_forever, daemon=True).start()
    reporter = Reporter(platform.settings.dagster_port, platform.lake, interval_seconds=60)
    reporter.start()
    reporter.note({"silver/events_listens": 3})
    assert wait_until(lambda: len(told) == 1, seconds=10)
    reporter.note({"silver/events_listens": 4})
    reporter.note({"lake/ledger": 1})
    assert wait_until(lambda: len(told) == 2, seconds=10)
    reporter.stop()
    server.shutdown()
    assert told == [
        (
            "/report_asset_materialization/silver/events_listens",
            {"metadata": {"dagster/row_count": 0, "rows_added": 3}},
        ),
        ("/report_asset_materialization/lake/ledger", {"metadata": {"dagster/row_count": 0, "rows_added": 1}}),
    ]
