"""The lake's tables as assets.

The stream service fills them without a run and reports what it wrote. Materialising one means "be current as of now":
the service does it when it is alive, otherwise the run does the same job itself.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from music_assets.automation import EVERY_HOUR
from music_assets.resources import PlatformResource
from music_assets.settings import Settings
from streaming.control import JOBS, tables_of
from streaming.tables import LEDGER, Table, tables
from streaming.topics import event_topics, topics
from streaming.trending import WEIGHTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_POOL = "spark"
"""Runs that may start a JVM wait for each other: two would not fit beside the stack."""


def _deps(table: Table) -> list[list[str]]:
    if table.topic is not None:
        return [["topic", table.topic]]
    if table == LEDGER:
        counted = ("bronze", "silver", "deadletter")
        return [[other.layer, other.name] for other in tables().values() if other.layer in counted]
    charted = [topic.table for topic in event_topics() if topic.event_type in WEIGHTS]
    return [["silver", name] for name in [*charted, "catalog_songs", "catalog_albums"]]


def _spec(table: Table) -> dg.AssetSpec:
    owner = topics()[table.topic].owner if table.topic else "team:platform"
    return dg.AssetSpec(
        [table.layer, table.name],
        deps=_deps(table),
        group_name=table.layer,
        description=table.grain,
        kinds={"deltalake"} if table == LEDGER else {"spark", "deltalake"},
        owners=[owner],
        automation_condition=EVERY_HOUR,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=table.stale_after_minutes)),
        metadata={
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(
                        field.name,
                        str(field.type),
                        constraints=dg.TableColumnConstraints(
                            nullable=field.nullable, unique=(field.name,) == table.key
                        ),
                    )
                    for field in table.schema
                ]
            ),
            "key": list(table.key),
        },
    )


def _job(name: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=name, specs=[_spec(table) for table in tables_of(name)], can_subset=True, pool=_POOL,
        description="Waits until the stream service is current as of now; without the service the run does the work.",
    )  # fmt: skip
    def advance(
        context: dg.AssetExecutionContext, platform: PlatformResource, pyspark: LazyPySparkResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        from streaming.control import StreamClient
        from streaming.jobs import run_once

        settings = platform.settings()
        client = StreamClient(settings.stream_port)
        alive = client.alive()
        done = client.run(name).tables if alive else run_once(name, settings, _session(settings, pyspark))
        # The ledger counts what the other tables of its step hold, and Dagster wants it after them.
        for key in sorted(context.selected_asset_keys, key=lambda key: (key.path[0] == "lake", key)):
            table = tables()["/".join(key.path)]
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    "dagster/row_count": done[table.id].rows_total,
                    "rows_added": done[table.id].rows_added,
                    "dagster/uri": settings.storage.uri(table),
                },
            )

    return advance


def _session(settings: Settings, pyspark: LazyPySparkResource) -> "SparkSession | None":
    """The session of the Spark engine, started on first use; the other engine needs none."""
    return pyspark.spark_session if settings.stream_engine == "spark" else None


@dg.definitions
def lake_assets() -> dg.Definitions:
    """Derive the assets from the registry of tables: one step per job, because one job fills many tables."""
    return dg.Definitions(assets=[_job(name) for name in JOBS])
