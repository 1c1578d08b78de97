"""Assets `staging/stg_*`, `intermediate/*` and `marts/*`: the models of the dbt project, its tests as their checks."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtProject, dbt_assets
from dagster_dbt.asset_utils import get_updated_cli_invocation_params_for_context
from packaging.version import Version
from psycopg import sql

from music_assets.automation import EVERY_HOUR, ON_CRON_HOURLY
from music_assets.resources import PlatformResource
from music_assets.settings import settings
from music_assets.warehouse import dbt
from music_assets.warehouse.lineage import Column, column_lineage

FULL: Final = "warehouse/full"
"""Tag of a run that builds the incremental models from nothing and lets every test see every row."""

_COUNTED: Final = 1_000_000
"""Rows up to which a table is counted row by row."""

_STALE: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3))


class Translator(DagsterDbtTranslator):
    """Gives models what they have in common. Keys stay dbt's own, `[schema, name]`, as the lake's are."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the spec of a model or source."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] != "model":
            return spec
        return spec.replace_attributes(
            # The page prefers these descriptions to those of the newest build, which say where a column comes from.
            metadata={**spec.metadata, "dagster/column_schema": dg.MetadataValue.table_schema(_schema(node, {}))},
            group_name=node["schema"],
            description=node["description"],
            owners=["team:platform"],
            # What collectors bring comes when it comes: nothing waits for it.
            automation_condition=EVERY_HOUR if node["name"].startswith("stg_source__") else ON_CRON_HOURLY,
            freshness_policy=_STALE,
        )


@dg.definitions
def warehouse() -> dg.Definitions:
    """Make an asset of every model; dbt parses the project first if it changed."""
    translator = Translator()
    manifest: dict[str, Any] = json.loads(dbt.manifest(settings()).read_text(encoding="utf-8"))

    @dbt_assets(
        manifest=manifest,
        project=DbtProject(dbt.PROJECT),
        name="warehouse",
        pool="warehouse",  # two builds at once would swap each other's tables away
        dagster_dbt_translator=translator,
    )
    def models(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        """Build the selected models and test them, all in one dbt run."""
        with tempfile.TemporaryDirectory(prefix="dbt-") as target:
            dbt.hand_parsed(platform.settings(), Path(target))
            for event in _build(context, platform, Path(target)).stream():
                if isinstance(event, dg.Output):
                    key = context.asset_key_for_output(event.output_name)
                    kept = dbt.kept_lineage(platform.settings())
                    known = {**_row_count(platform, key), **_columns(manifest, key, Path(target), kept)}
                    context.add_output_metadata(known, output_name=event.output_name)
                yield event

    return dg.Definitions(assets=[models, *_collected(manifest)])


def _collected(manifest: Mapping[str, Any]) -> list[dg.AssetSpec]:
    """Describe the tables of schema `source`: collectors fill them at moments of their own. One has an asset itself."""
    sources = manifest["sources"].values()
    return [
        dg.AssetSpec(
            ["source", source["name"]],
            description=source["description"],
            group_name="source",
            kinds={"postgres"},
            owners=["team:platform"],
        )
        for source in sources
        if source["source_name"] == "source" and source["name"] != "item_links"
    ]


def _build(context: dg.AssetExecutionContext, platform: PlatformResource, target: Path) -> DbtCliInvocation:
    """Start `dbt build` for what the run selects.

    Not through dbt's resource: that asks dbt for its version and opens a second connection first, six
    seconds in which nothing is built.
    """
    selected = get_updated_cli_invocation_params_for_context(context, {}, DagsterDbtTranslator())
    assert selected.dbt_project is not None
    project, indirect = selected.dbt_project.project_dir, selected.indirect_selection
    return DbtCliInvocation.run(
        args=[
            str(dbt.EXECUTABLE), "--log-format", "json", "build",
            "--exclude-resource-type", "unit_test", *_extent(context), *selected.selection_args,
        ],
        env={
            **dbt.environment(platform.settings()),
            **({"DBT_INDIRECT_SELECTION": indirect} if indirect else {}),
            "DBT_PROJECT_DIR": str(project),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
        },
        manifest=selected.manifest,
        dagster_dbt_translator=selected.dagster_dbt_translator,
        project_dir=project,
        target_path=target,
        raise_on_error=True,
        context=context,
        adapter=None,
        cli_version=Version(version("dbt-core")),
        dbt_project=selected.dbt_project,
    )  # fmt: skip


def _extent(context: dg.AssetExecutionContext) -> list[str]:
    """Return what makes a build one of everything, or one of what is new with tests of what is new."""
    full = context.run.tags.get(FULL) == "true"
    return ["--full-refresh"] if full else list(dbt.NEWEST_ALONE)


def _row_count(platform: PlatformResource, key: dg.AssetKey) -> dict[str, Any]:
    """Return the number of rows of what was just built, if that is a table: counting a view would run it again.

    A long table is not read for it: what the hook after its build has estimated says as much.
    """
    if key.path[0] == "staging":
        return {}
    if platform.settings().warehouse_target == "snowflake":
        from music_assets.warehouse import snowflake

        return {"dagster/row_count": snowflake.count(platform.settings(), ".".join(key.path))}
    relation = sql.Identifier(*key.path)
    with platform.connect() as connection:
        found = connection.execute(
            "select reltuples::bigint from pg_class where oid = to_regclass(%s)", (relation.as_string(connection),)
        ).fetchone()
        if found and found[0] > _COUNTED:
            return {"dagster/row_count": found[0], "row_count_is_estimated": True}
        row = connection.execute(sql.SQL("select count(*) from {}").format(relation)).fetchone()
    assert row is not None
    return {"dagster/row_count": row[0]}


def _columns(manifest: Mapping[str, Any], key: dg.AssetKey, target: Path, kept: Path) -> dict[str, Any]:
    """Return the columns that each column is made of: for programs, and in words, because the page draws no lineage."""
    unique_id = f"model.{manifest['metadata']['project_name']}.{key.path[-1]}"
    lineage = column_lineage(manifest, unique_id, target / "compiled", kept)
    deps = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(path), column_name=name) for path, name in sources]
        for column, sources in lineage.items()
    }
    return {
        "dagster/column_lineage": dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps)),
        "dagster/column_schema": dg.MetadataValue.table_schema(_schema(manifest["nodes"][unique_id], lineage)),
    }


def _schema(node: Mapping[str, Any], lineage: Mapping[str, Sequence[Column]]) -> dg.TableSchema:
    """Return the columns of a model; described, once it is known where they come from."""
    return dg.TableSchema([
        dg.TableColumn(
            name=name,
            type=column["data_type"] or "?",
            description=_described(column["description"], lineage.get(name, ())) if lineage else None,
        )
        for name, column in node["columns"].items()
    ])  # fmt: skip


def _described(description: str, sources: Sequence[Column]) -> str:
    """Add to what a column says where it comes from."""
    named = ", ".join(f"`{'.'.join((*path, name))}`" for path, name in sources)
    return f"{description} From {named}." if named else description
