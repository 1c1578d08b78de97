"""The topics as assets: materialising one makes the broker hold what its file says."""

from collections.abc import Iterator

import dagster as dg

from music_assets.resources import PlatformResource
from streaming.topics import Topic, topics


def _spec(topic: Topic) -> dg.AssetSpec:
    kept = "the last message of each key" if topic.compacted else f"messages of {topic.retention_days} days"
    return dg.AssetSpec(
        ["topic", topic.name],
        group_name="topic",
        description=(
            f"One message per event: {topic.description} Keeps {kept} in {topic.partitions} partitions, by {topic.key}."
        ),
        kinds={"kafka"},
        owners=[topic.owner],
        metadata={"producers": list(topic.producers), "consumers": list(topic.consumers), "event": topic.event},
    )


@dg.definitions
def topic_assets() -> dg.Definitions:
    """Derive the assets from the topics' files."""

    @dg.multi_asset(
        name="apply_topics", specs=[_spec(topic) for topic in topics().values()], can_subset=True,
        description="Creates the topics that are missing and sets what differs; deletes and shrinks nothing.",
    )  # fmt: skip
    def apply_topics(
        context: dg.AssetExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        from streaming.topics.admin import apply, compare, describe

        servers = platform.settings().bootstrap_servers
        for change in apply(servers, leave=True):
            context.log.info("%s %s: %s", change.action, change.topic, change.detail)
        for change in compare(servers):
            context.log.warning("left as it is, %s %s: %s", change.action, change.topic, change.detail)
        states = describe(servers)
        for key in sorted(context.selected_asset_keys):
            state = states[key.path[-1]]
            first, end = sum(state.first_offsets.values()), sum(state.end_offsets.values())
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={"dagster/row_count": end - first, "end_offsets": end, "partitions": state.partitions,
                          "topic_id": state.topic_id},
            )  # fmt: skip

    return dg.Definitions(assets=[apply_topics])
