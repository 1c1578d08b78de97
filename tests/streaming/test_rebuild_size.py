"""A rebuild's memory does not grow with bronze."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from music_assets.settings import child_environment
from tests.streaming.conftest import BRONZE, Platform, event

if TYPE_CHECKING:
    from streaming.settings import Settings

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.heavy]

ROWS = 300_000
MOST_MEGABYTES = 700
"""Measured: 500, of which libraries and a claim index take 350; a step and its files the rest."""

CHILD = """
import json, pathlib, re
from streaming.repair.rebuild import rebuild_silver
from streaming.settings import settings
done = rebuild_silver(settings())
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"seconds": done.seconds, "megabytes": peak, "positions": done.positions,
                  "differences": len(done.differences), "switched": done.switched}))
"""
"""The kernel's own figure and not `ru_maxrss`, which a new program takes over from the process that started it."""


@pytest.mark.parametrize("engine", ["python"])
def test_a_rebuild_of_300_000_rows_stays_within_bounded_memory(platform: Platform) -> None:
    fill(platform.settings)
    platform.run()
    platform.run(BRONZE)
    environment = child_environment(platform.settings)
    child = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=False, timeout=280
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout.splitlines()[-1])
    assert (said["positions"], said["differences"], said["switched"]) == (ROWS, 0, True)
    assert said["megabytes"] < MOST_MEGABYTES
    assert platform.problems() == []


def fill(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "queue.buffering.max.messages": ROWS})
    for number in range(ROWS):
        message = event(number, user_id=f"listener-{number % 5000}")
        producer.produce("events_listens", key=message["user_id"].encode(), value=json.dumps(message).encode())
        if number % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0
