"""The topics' assets and checks under Dagster, on a broker that differs from the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from confluent_kafka.admin import AdminClient

from music_assets.defs.topic.assets import topic_assets
from music_assets.defs.topic.checks import topic_checks
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from streaming.topics import topics
from streaming.topics.admin import apply, compare
from tests.streaming.test_topics import configure, drop, held

if TYPE_CHECKING:
    from collections.abc import Iterator


class Parts(PlatformResource):
    """A broker and nothing else."""

    servers: str

    def settings(self) -> Settings:
        return Settings(_env_file=None, kafka_bootstrap_servers=self.servers)


@pytest.fixture
def client(broker: str) -> Iterator[AdminClient]:
    """A client of a broker that is brought back to the files afterwards."""
    apply(broker, shrink=topics())
    yield AdminClient({"bootstrap.servers": broker, "log_level": 0})
    apply(broker, shrink=topics())


def run(broker: str) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    resources = {"platform": Parts(servers=broker)}
    definitions = dg.Definitions.merge(topic_assets(), topic_checks(), dg.Definitions(resources=resources))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
    failed = {
        each.asset_key.path[-1]: each.metadata["differences"].value
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }
    return result, failed


def test_materialising_the_topics_mends_what_is_harmless_and_shrinks_nothing(broker: str, client: AdminClient) -> None:
    drop(client, "events_clicks")
    configure(client, "events_ratings", retention_ms="1000")
    configure(client, "events_views", retention_ms="-1")
    result, failed = run(broker)
    assert result.success
    made = {each.asset_key.path[-1] for each in result.asset_materializations_for_node("apply_topics")}
    assert made == set(topics())
    assert held(client, "events_views", "retention.ms") == "-1"
    assert [each.topic for each in compare(broker)] == ["events_views"]
    assert failed == {"events_views": ["shrink: retention.ms -1 (no limit) -> 604800000 (7 days)"]}
