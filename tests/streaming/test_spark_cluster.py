"""Spark on a cluster: executors in processes of their own stage and count, and the rows are those of one machine."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from music_assets.settings import child_environment
from streaming.jobs.trending_python import ArrowCharts
from streaming.tables import tables
from streaming.trending import WINDOWS
from tests.fixtures.spark_cluster import WORKERS, spark_cluster
from tests.streaming.conftest import BRONZE, SILVER, Platform, event, recreate_topics

if TYPE_CHECKING:
    from pathlib import Path

    from serving.settings import Settings
    from tests.conftest import MakeSettings

pytestmark = [pytest.mark.heavy, pytest.mark.spark]

EVENTS = 45_000
"""Enough for two tasks that stage."""

CHART = """
import sys
from datetime import datetime
import pyarrow.parquet as pq
from streaming.jobs.trending_spark import SparkCharts
from streaming.settings import settings
from streaming.spark import session
from streaming.trending import WINDOWS
chart = SparkCharts(settings().storage, session(settings())).chart(WINDOWS["24h"], datetime.fromisoformat(sys.argv[1]))
pq.write_table(chart, sys.argv[2])
"""


def drive(settings: Settings, *arguments: str) -> None:
    # The workers are on this machine: what it is called elsewhere is no matter.
    environment = child_environment(settings) | {"SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, check=False, timeout=280, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


@pytest.mark.timeout(900)
def test_a_cluster_of_two_workers_writes_the_rows_of_one_machine(
    broker: str, redis_url: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    recreate_topics(broker)
    common = {"kafka_bootstrap_servers": broker, "redis_url": redis_url}
    local = Platform(make_settings(stream_engine="python", music_home=tmp_path / "local", **common), None)  # type: ignore[arg-type]
    now = datetime.now(UTC)
    moments = [(now - timedelta(minutes=minute)).isoformat() for minute in range(1, 600)]
    sent = [
        event(number, timestamp=moments[number % len(moments)], user_id=f"listener-{number % 500}")
        for number in range(EVENTS)
    ]
    local.put("events_listens", *sent, *sent[:100], b"{")
    with spark_cluster(tmp_path) as master:
        cluster = Platform(make_settings(spark_master=master, **common), None)  # type: ignore[arg-type]
        for job in (SILVER, BRONZE):
            drive(cluster.settings, "-m", "streaming.jobs", job, "--once")
        drive(cluster.settings, "-c", CHART, now.isoformat(), str(tmp_path / "chart"))
        for number in range(WORKERS):
            assert list((tmp_path / f"worker-{number}").glob("app-*/*")), "a worker had no executor"
    for job in (SILVER, BRONZE):
        local.run(job)
    assert cluster.problems() == []
    assert cluster.lake.count(tables()["silver/events_listens"]) == EVENTS
    for name in ("silver/events_listens", "deadletter/events_listens", "bronze/events_listens"):
        columns = [each for each in tables()[name].schema.names if each != "ingested_at"]
        mine, theirs = (
            sorted(map(repr, each.lake.read(tables()[name], columns).to_pylist())) for each in (cluster, local)
        )
        assert mine == theirs, name
    assert pq.read_table(tmp_path / "chart").equals(ArrowCharts(local.lake.storage).chart(WINDOWS["24h"], now))
