"""The data dictionary: every mart with its columns, as the dbt project describes them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD: Final = """\
# Data dictionary

The marts, made from the dbt project by `music warehouse dictionary`. Tests hold a column in every build, a contract
holds names and types.
"""


def render(manifest: Mapping[str, Any]) -> str:
    """Return the dictionary as Markdown.

    Args:
        manifest: dbt's own, parsed (schema v12).
    """
    tests = _tests(manifest)
    marts = [
        node for node in manifest["nodes"].values() if node["resource_type"] == "model" and node["schema"] == "marts"
    ]
    readers = _readers(manifest)
    parts = [_HEAD]
    for node in sorted(marts, key=lambda node: str(node["name"])):
        parts.append(f"\n## {node['name']}\n\n{node['description']}\n")
        if told := readers.get(node["unique_id"]):
            parts.append(f"\nRead by: {', '.join(sorted(told))}.\n")
        parts.append("\n| column | type | what it is | held by |\n|---|---|---|---|\n")
        for name, column in node["columns"].items():
            held = ", ".join(sorted(tests[node["unique_id"], name] | _constraints(column)))
            parts.append(f"| `{name}` | {column['data_type']} | {_cell(column['description'])} | {held} |\n")
    return "".join(parts)


def _tests(manifest: Mapping[str, Any]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("attached_node") and node.get("column_name"):
            metadata = node["test_metadata"]
            target = metadata["kwargs"].get("to", "").removeprefix("ref('").removesuffix("')")
            words = f"is in {target}" if target else metadata["name"].replace("_", " ")
            found[node["attached_node"], node["column_name"]].add(words)
    return found


def _constraints(column: Mapping[str, Any]) -> set[str]:
    return {str(each["type"]).replace("_", " ") for each in column.get("constraints", [])}


def _readers(manifest: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for exposure in manifest["exposures"].values():
        for node in exposure["depends_on"]["nodes"]:
            found[node].add(exposure["name"])
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
