"""What must hold of the topics."""

import dagster as dg

from music_assets.resources import PlatformResource
from streaming.topics import Topic, topics


def _check(topic: Topic) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["topic", topic.name],
        name="broker_agrees_with_the_file",
        description="The topic exists with the partitions and settings of its file.",
    )
    def broker_agrees_with_the_file(platform: PlatformResource) -> dg.AssetCheckResult:
        from streaming.topics.admin import compare

        changes = compare(platform.settings().bootstrap_servers)
        mine = [f"{change.action}: {change.detail}" for change in changes if change.topic == topic.name]
        return dg.AssetCheckResult(passed=not mine, metadata={"differences": mine})

    return broker_agrees_with_the_file


@dg.definitions
def topic_checks() -> dg.Definitions:
    """Derive a check from each topic's file."""
    return dg.Definitions(asset_checks=[_check(topic) for topic in topics().values()])
