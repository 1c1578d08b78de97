"""The job `redrive_dead_letters`: after a fix every fixable dead letter comes in once, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from music_assets.defs.lake.redrive import redrive_dead_letters
from music_assets.settings import child_environment
from streaming.errors import ConfigurationError
from streaming.jobs import python_engine
from tests.lake.test_assets import parts
from tests.streaming.conftest import Platform, event, recreate_topics
from tests.streaming.test_silver import ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeSettings

KILLED = """
import os, signal
from streaming.repair import redrive
from streaming.repair.letters import Wanted
from streaming.repair.record import Record
from streaming.settings import settings

real, lots = Record.note, []

def note(record, rows):
    lots.extend([1] if rows else [])
    if len(lots) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(record, rows)

Record.note = note
redrive._AT_ONCE = 7
redrive.redrive(settings(), Wanted())
"""
"""Dies between the broker's acknowledgement of the second seven messages and their record."""


@pytest.fixture
def platform(broker: str, make_settings: MakeSettings) -> Platform:
    recreate_topics(broker)
    return Platform(make_settings(kafka_bootstrap_servers=broker, stream_engine="python"), None)  # type: ignore[arg-type]


def run(platform: Platform, **config: str) -> dict[str, Any]:
    """Run the job and return what it says."""
    done = redrive_dead_letters.execute_in_process(
        run_config={"ops": {"redrive": {"config": config}}}, resources={"platform": parts(platform)}
    )
    [said] = [each.event_specific_data.metadata for each in done.all_events if each.is_successful_output]  # type: ignore[union-attr]
    return {name: value.value for name, value in said.items()}


def unwrapping(batches: Any, **options: Any) -> Iterator[Any]:
    """A release that reads an event in a list."""
    from streaming import columns
    from streaming.staging import stage

    real = columns.parse
    columns.parse = lambda topic, value, *, now: real(topic, value.strip(b"[]"), now=now)
    try:
        yield from stage(batches, **options)
    finally:
        columns.parse = real


def test_every_fixable_dead_letter_comes_in_once_after_a_kill(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = [str(event(number)).replace("'", '"').encode() for number in range(1, 31)]
    platform.put("events_listens", event(0), *(b"[" + each + b"]" for each in wrapped), b"{")
    platform.run(halt_dead_letter_share=1)
    assert ids(platform) == ["event-0"]
    child = subprocess.run([sys.executable, "-c", KILLED], env=child_environment(platform.settings), check=False)
    assert child.returncode == -signal.SIGKILL

    said = run(platform, topic="events_listens", reason="not_an_object", since="2026-01-01T00:00:00Z")

    assert said["recovered"] == 7
    assert said["skipped"]["redriven"] + said["sent"] == 30
    monkeypatch.setattr(python_engine, "stage", unwrapping)
    platform.run(halt_dead_letter_share=1)
    assert sorted(ids(platform)) == sorted(f"event-{number}" for number in range(31))
    assert platform.problems() == []
    assert run(platform, reason="not_an_object")["sent"] == 0


def test_a_condition_that_cannot_be_is_refused(platform: Platform) -> None:
    for config, said in (({"topic": "nothing"}, "there is no topic"), ({"since": "now"}, "since must be ISO 8601")):
        with pytest.raises(ConfigurationError, match=said):
            run(platform, **config)


def test_the_job_is_among_the_definitions() -> None:
    from music_assets.definitions import defs

    assert isinstance(defs().resolve_job_def("redrive_dead_letters"), dg.JobDefinition)
