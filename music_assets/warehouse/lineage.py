"""Which columns each column of a model is made of, read from the model's compiled SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Column = tuple[tuple[str, ...], str]
"""Path of an asset's key, and one of its columns."""


def column_lineage(
    manifest: Mapping[str, Any], unique_id: str, compiled: Path, kept: Path
) -> dict[str, Sequence[Column]]:
    """Return the columns that each column of a model is made of; none where it counts rows or is made of nothing.

    Args:
        manifest: of the dbt project, which names the columns of every model and source.
        unique_id: the model's.
        compiled: folder `compiled` of the build that has just compiled the model.
        kept: folder of answers for this state of the project; a model is read once and then known.
    """
    node = manifest["nodes"][unique_id]
    file = kept / f"{node['name']}.json"
    if not file.exists():
        query = (compiled / node["package_name"] / node["original_file_path"]).read_text(encoding="utf-8")
        found = _read(manifest, node, query)
        kept.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(file)
    return {
        column: [(tuple(path), name) for path, name in columns]
        for column, columns in json.loads(file.read_text()).items()
    }


def _read(manifest: Mapping[str, Any], node: Mapping[str, Any], query: str) -> dict[str, list[Column]]:
    from sqlglot import exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    dialect = manifest["metadata"]["adapter_type"]
    keys, columns = _relations(manifest)
    tree: Any = parse_one(query, dialect=dialect)
    for table in tree.find_all(exp.Table):
        table.set("catalog", None)  # one database: what is left is what `columns` knows
    tree = qualify(tree, schema=columns, dialect=dialect, validate_qualify_columns=False)
    scope = build_scope(tree)
    return {column.lower(): _sources(column, tree, scope, dialect, keys, node) for column in tree.named_selects}


def _sources(
    column: str, tree: Any, scope: Any, dialect: str, keys: Mapping[tuple[str, str], tuple[str, ...]],
    node: Mapping[str, Any],
) -> list[Column]:  # fmt: skip
    """The columns of other relations at the ends of a column's way; an incremental model also reads itself."""
    from sqlglot import exp
    from sqlglot.lineage import lineage

    ends = lineage(column, tree, schema={}, scope=scope, dialect=dialect, copy=False, trim_selects=False).walk()
    found = set()
    for end in ends:
        table = end.expression
        if end.downstream or not isinstance(table, exp.Table):
            continue
        relation = (table.db.lower(), table.name.lower())
        if relation in keys and relation != (node["schema"], node["name"]):
            found.add((keys[relation], end.name.rsplit(".", 1)[-1].strip('"').lower()))
    return sorted(found)


def _relations(manifest: Mapping[str, Any]) -> tuple[dict[tuple[str, str], tuple[str, ...]], dict[str, Any]]:
    """Asset key and columns of every model and source, by schema and name."""
    keys: dict[tuple[str, str], tuple[str, ...]] = {}
    columns: dict[str, Any] = {}
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    for node in [*models, *manifest["sources"].values()]:
        named = node["config"].get("meta", {}).get("dagster", {}).get("asset_key")
        keys[node["schema"], node["name"]] = tuple(named or (node["schema"], node["name"]))
        columns.setdefault(node["schema"], {})[node["name"]] = dict.fromkeys(node["columns"], "text")
    return keys, columns
