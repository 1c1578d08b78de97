"""A lake on S3: the same rows as on a disk, whatever is killed meanwhile, with each engine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from music_assets.settings import child_environment
from music_assets.stack.process import wait_until
from streaming.control import StreamClient
from streaming.errors import MusicError
from streaming.jobs.erase import erase_once
from streaming.ledger import totals
from streaming.repair.rebuild import rebuild_silver
from streaming.topics import topics
from streaming.upkeep import tend_all
from tests.fixtures.s3 import s3_server
from tests.streaming.conftest import BRONZE, SILVER, TRENDING, Platform, event, recreate_topics
from tests.streaming.scanner import scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from serving.settings import Settings
    from tests.conftest import MakeSettings
    from tests.fixtures.s3 import S3Server

pytestmark = [pytest.mark.heavy, pytest.mark.spark]

DIE_BEFORE_THE_LEDGER = """
import os, signal
from streaming.jobs import intake
from streaming.jobs.__main__ import main
append = intake.append_arrow
def die(rows, table, storage, **how):
    if table.id == "lake/ledger":
        os.kill(os.getpid(), signal.SIGKILL)
    append(rows, table, storage, **how)
intake.append_arrow = die
main(["stream_kafka_to_silver", "--once"])
"""


def planted(half: int) -> list[tuple[str, Any]]:
    """A thousand messages: 850 events, 100 of them sent again (some of the other half), and 50 that are none."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    kinds = {"view": "events_views", "click": "events_clicks", "listen": "events_listens", "rating": "events_ratings"}

    def one(number: int) -> tuple[str, dict[str, Any]]:
        kind = [*kinds][number % 4]
        # So many listeners that none sends more a minute than a person does.
        fields = {"timestamp": now.isoformat(), "user_id": f"listener-{number % 500}"}
        return kinds[kind], event(number, kind=kind, **fields)

    sent: list[tuple[str, Any]] = [one(number) for number in range(half * 850, half * 850 + 850)]
    sent += [one(number) for number in range(0, 400, 4)]
    return sent + [("events_clicks", b"{ no event") for _ in range(50)]


def put(platform: Platform, messages: list[tuple[str, Any]]) -> None:
    for topic in dict(messages):
        platform.put(topic, *(message for name, message in messages if name == topic))


@contextmanager
def service(settings: Settings, log: Path) -> Iterator[None]:
    """The streams as their supervisor keeps them: started again when they end."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.is_set():
            with log.open("ab") as out:
                command = [sys.executable, "-m", "streaming.jobs", "all"]
                process = subprocess.Popen(command, env=child_environment(settings), stdout=out, stderr=out)
            while process.poll() is None and not ended.wait(0.2):
                pass
            process.kill()
            process.wait(10)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        assert wait_until(StreamClient(settings.stream_port).alive, seconds=150), log.read_text()[-3000:]
        yield
    finally:
        ended.set()
        keeper.join()


def current(settings: Settings, job: str) -> None:
    """Ask until the service answers: it may be starting again."""
    deadline = time.monotonic() + 200
    while True:
        try:
            StreamClient(settings.stream_port).run(job)
        except MusicError:
            assert time.monotonic() < deadline, job
            time.sleep(1)
        else:
            return


def content(platform: Platform, layer: str, columns: tuple[str, ...]) -> dict[str, list[tuple[Any, ...]]]:
    names = [topic.name if layer == "deadletter" else topic.table for topic in topics().values()]
    return {
        name: sorted(tuple(row[each] for each in columns) for row in platform.rows(f"{layer}/{name}"))
        for name in names
        if not name.startswith("catalog") and name != "recommendation_events"
    }


PLACE = ("kafka_topic_id", "kafka_partition", "kafka_offset")
SILVER_COLUMNS = (*PLACE, "event_id", "user_id", "item_id", "timestamp")


def test_rows_are_those_of_a_local_lake_after_kills_of_stream_and_store(
    broker: str, redis_url: str, spark: SparkSession, make_settings: MakeSettings, engine: str, tmp_path: Path
) -> None:
    recreate_topics(broker)
    common = {"kafka_bootstrap_servers": broker, "redis_url": redis_url, "silver_interval_seconds": 0.5}
    local = Platform(make_settings(stream_engine="python", music_home=tmp_path / "local", **common), spark)
    with s3_server(tmp_path) as server:
        lake = f"s3a://{server.make_bucket()}/lake"
        remote = Platform(make_settings(stream_engine=engine, lakehouse_path=lake, **server.settings, **common), spark)
        settings = remote.settings
        put(remote, planted(0))
        died = subprocess.run(
            [sys.executable, "-c", DIE_BEFORE_THE_LEDGER], env=child_environment(settings), check=False, timeout=200,
            capture_output=True,
        )  # fmt: skip
        assert died.returncode == -9, died.stderr[-3000:]
        assert len(remote.rows("silver/events_views")) > 0
        assert len(remote.rows("lake/ledger")) == 0
        with service(settings, tmp_path / "service.log"):
            put(remote, planted(1)[:500])
            current(settings, SILVER)
            put(remote, planted(1)[500:])
            server.kill()
            time.sleep(3)
            server.start()
            for job in (SILVER, BRONZE, TRENDING):
                current(settings, job)
        assert remote.problems() == []
        local.run(SILVER)
        local.run(BRONZE)
        for layer, columns in (
            ("silver", SILVER_COLUMNS), ("deadletter", (*PLACE, "reason", "value")), ("bronze", (*PLACE, "value")),
        ):  # fmt: skip
            assert content(remote, layer, columns) == content(local, layer, columns)
        assert sum(each.stored for each in totals(remote.lake).values()) == 1700
        assert {row["item_id"] for row in remote.rows("gold/trending_now_1h")} == {f"track:{n}" for n in range(7)}


def test_repair_erasure_and_upkeep_work_there(
    broker: str, redis_url: str, spark: SparkSession, make_settings: MakeSettings, s3: S3Server
) -> None:
    recreate_topics(broker)
    bucket = s3.make_bucket()
    settings = make_settings(
        kafka_bootstrap_servers=broker, redis_url=redis_url, stream_engine="python",
        lakehouse_path=f"s3a://{bucket}/lake", **s3.settings,
    )  # fmt: skip
    platform = Platform(settings, spark)
    for number in range(12):
        platform.put("events_listens", event(number), event(number + 50), b"{")
        platform.run(SILVER)
    platform.run(BRONZE)
    before = content(platform, "silver", SILVER_COLUMNS)
    assert rebuild_silver(settings).switched
    assert content(platform, "silver", SILVER_COLUMNS) == before
    data = s3.folder / "data" / bucket
    assert scan(data, [b"listener-3"])
    receipt = erase_once(["listener-3"], "request-1", settings, None)
    assert receipt.rows["silver/events_listens"] == 2
    assert scan(data, [b"listener-3"]) == {}
    assert scan(settings.checkpoint_root, [b"listener-3"]) == {}
    tend_all(platform.settings)
    assert platform.problems() == []
