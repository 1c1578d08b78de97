"""Assets `staging/stg_*`, `intermediate/*` and `marts/*`: the models of the dbt project, its tests as their checks."""

import json
import tempfile
from collections.abc import Iterator, Mapping
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

FULL: Final = "warehouse/full"
"""Tag of a run that builds the incremental models from nothing and lets every test see every row."""

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

    @dbt_assets(
        manifest=dbt.manifest(settings()),
        project=DbtProject(dbt.PROJECT),
        name="warehouse",
        pool="warehouse",  # two builds at once would swap each other's tables away
        dagster_dbt_translator=translator,
    )
    def models(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        """Build the selected models and test them, all in one dbt run."""
        with tempfile.TemporaryDirectory(prefix="dbt-") as target:
            for event in _build(context, platform, Path(target)).stream():
                if isinstance(event, dg.Output):
                    _add_row_count(context, platform, event.output_name)
                yield event

    return dg.Definitions(assets=[models, *_collected(dbt.manifest(settings()))])


def _collected(manifest: Path) -> list[dg.AssetSpec]:
    """Describe the tables of schema `source`: collectors fill them at moments of their own. One has an asset itself."""
    sources = json.loads(manifest.read_text())["sources"].values()
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
    return ["--full-refresh"] if full else ["--vars", "{every_row: false}"]


def _add_row_count(context: dg.AssetExecutionContext, platform: PlatformResource, output: str) -> None:
    """Add the number of rows of what was just built, if that is a table: counting a view would run it again."""
    key = context.asset_key_for_output(output)
    relation = sql.Identifier(*key.path)
    with platform.connect() as connection:
        is_table = connection.execute(
            "select relkind = 'r' from pg_class where oid = to_regclass(%s)", (relation.as_string(connection),)
        ).fetchone()
        if is_table is None or not is_table[0]:
            return
        row = connection.execute(sql.SQL("select count(*) from {}").format(relation)).fetchone()
    assert row is not None
    context.add_output_metadata({"dagster/row_count": row[0]}, output_name=output)
