"""What the broker still holds of a forgotten listener is gone with the topic's retention, from its files too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from music_assets.stack import servers
from music_assets.stack.process import wait_until
from streaming.jobs.erase import erase_once
from streaming.topics import topics
from streaming.topics.admin import apply
from tests.fixtures.servers import running
from tests.streaming.conftest import BRONZE, SILVER, Platform, event
from tests.streaming.scanner import Findings, scan
from tests.streaming.test_erase import NEEDLES, PERSON, plant

if TYPE_CHECKING:
    from pathlib import Path

    from music_assets.stack.parts import Part
    from tests.conftest import MakeSettings

pytestmark = pytest.mark.slow

_EAGER = "\nlog.retention.check.interval.ms=500\n"


def eager(part: Part, home: Path) -> Part:
    """The same broker, which looks for what is due twice a second instead of every five minutes."""

    def prepare() -> None:
        assert part.prepare is not None
        part.prepare()
        with (home / "kafka" / "server.properties").open("a", encoding="utf-8") as file:
            file.write(_EAGER)

    return replace(part, prepare=prepare)


def retain(bootstrap_servers: str, milliseconds: int) -> None:
    """Let the log topics keep what is in them for so long, and delete files without delay."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    values = {"retention.ms": str(milliseconds), "file.delete.delay.ms": "100"}
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in values.items()]
    changes = [
        ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)
        for topic in topics().values()
        if not topic.compacted
    ]
    for future in client.incremental_alter_configs(changes).values():
        future.result()


def logs(home: Path) -> Findings:
    """Findings in the segments of the log topics."""
    found = scan(home / "kafka" / "data", NEEDLES)
    return {name: held for name, held in found.items() if not name.startswith("catalog_")}


def forgotten(home: Path) -> bool:
    """Whether the segments hold nothing any more; a file that goes while it is read asks for another look."""
    try:
        return logs(home) == {}
    except FileNotFoundError:
        return False


def test_the_broker_forgets_with_its_retention(make_settings: MakeSettings, redis_url: str, tmp_path: Path) -> None:
    settings = make_settings(redis_url=redis_url, stream_engine="python", silver_interval_seconds=0.5)
    with running(eager(servers.kafka(settings), settings.music_home), tmp_path):
        apply(settings.bootstrap_servers)
        platform = Platform(settings, None)  # type: ignore[arg-type]
        plant(platform)
        platform.run(SILVER)
        platform.run(BRONZE)
        erase_once([PERSON], "request", settings, None)
        assert set().union(*logs(settings.music_home).values()) == set(NEEDLES), "the broker still has it, compressed"
        retain(settings.bootstrap_servers, 1_000)
        assert wait_until(lambda: forgotten(settings.music_home), seconds=60)
        assert scan(settings.storage.folder, NEEDLES) == {}
        retain(settings.bootstrap_servers, 86_400_000)
        platform.put("events_listens", event(90))
        platform.run(SILVER)
        platform.run(BRONZE)
        assert platform.problems() == []
