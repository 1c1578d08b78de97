"""The frozen contract of every version of every topic: a JSON Schema in `schemas/<topic>.v<version>.json`.

The models say what holds today, these files what was promised: a model may only add to them. They are what producers
in other languages validate with. Write them after a change with `python -m streaming.topics.contracts`, which refuses
one that needs a new version; the rule is in `docs/decisions/0020-versions-of-a-message.md`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from streaming.errors import ContractError
from streaming.events import FIRST_VERSION
from streaming.topics import FOLDER, Topic, topics

SCHEMAS: Final = FOLDER / "schemas"

_NOTES: Final = frozenset({"title", "description", "default", "examples"})
"""What a schema says for people; it refuses no message."""

Schema = dict[str, Any]


def path_of(topic: Topic, version: int, folder: Path = SCHEMAS) -> Path:
    """Return the file of a version's schema."""
    return folder / f"{topic.name}.v{version}.json"


def schema_of(topic: Topic, version: int) -> Schema:
    """Return the JSON Schema of a version's model, with the event type and the version that belong to the topic.

    It holds shape and limits. Rules between a message and its surroundings (times against the clock, lists of equal
    length, the kind of an item id) are in the model and in the examples.
    """
    schema = topic.models[version].model_json_schema()
    schema.pop("$defs", None)
    fields = schema["properties"]
    _pin(fields, "schema_version", version)
    if topic.event_type is not None:
        _pin(fields, "event_type", topic.event_type.value)
    required = set(schema["required"])
    if version > FIRST_VERSION:
        # Without it a message is one of the first version.
        required.add("schema_version")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"{topic.name} version {version}",
        "required": [name for name in fields if name in required],
        "additionalProperties": True,
    }


def _pin(fields: dict[str, Schema], name: str, value: object) -> None:
    fields[name] = {"const": value, "description": fields[name]["description"]}


def breaks(frozen: Schema, today: Schema) -> list[str]:
    """Return, by sentence, what of a frozen schema no longer holds; an optional field more is no break.

    A wider limit is one as well: readers of before would refuse what it lets through, under a wrong reason.
    """
    was, now = frozen["properties"], today["properties"]
    found = [f"{name} was removed" for name in was if name not in now]
    found += [f"{name} was changed" for name in was if name in now and _bare(was[name]) != _bare(now[name])]
    found += [f"{name} became required" for name in today["required"] if name not in frozen["required"]]
    found += [f"{name} became optional" for name in frozen["required"] if name in now and name not in today["required"]]
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(part) for key, part in value.items() if key not in _NOTES}
    return [_bare(part) for part in value] if isinstance(value, list) else value


def freeze(topic: Topic, folder: Path = SCHEMAS) -> None:
    """Write the schemas of a topic's versions.

    Raises:
        ContractError: a model breaks what a file says; it needs a new version, and nothing is written.
    """
    schemas = {path_of(topic, version, folder): schema_of(topic, version) for version in topic.versions}
    for path, schema in schemas.items():
        if path.exists() and (found := breaks(json.loads(path.read_text(encoding="utf-8")), schema)):
            raise ContractError("incompatible", None, f"{path.stem}: {'; '.join(found)}; make it a new version")
    for path, schema in schemas.items():
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in topics().values():
        freeze(each)
