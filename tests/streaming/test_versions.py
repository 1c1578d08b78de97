"""Old readers read new messages and new readers old ones, and no contract changes behind its version's back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, ValidationError, create_model

from streaming import events
from streaming.claims import hashes
from streaming.errors import ContractError
from streaming.events import ArtistRecord, Identifier, ListenEvent, RatingEvent, Text
from streaming.parse import Reader, Reason, Rejection
from streaming.tables import arrow_schema
from streaming.topics import EXAMPLES, Topic, topics
from streaming.topics.contracts import SCHEMAS, freeze, path_of, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VERSIONS = [(topic, version) for topic in topics().values() for version in topic.versions]
WEEK_MS = 7 * 86_400_000


class ListenEventV2(ListenEvent):
    """A later version: a track may play for a week, and the device is told."""

    ms_played: Annotated[int, Field(ge=0, le=WEEK_MS)] | None = None
    device: Identifier | None = None


@pytest.fixture
def make_topic(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Topic]:
    """Build a topic like a registered one with other models."""

    def make(name: str, *models: type[events.Message]) -> Topic:
        for model in models:
            monkeypatch.setitem(events.MODELS, model.__name__, model)
        versions = {number: model.__name__ for number, model in enumerate(models, start=1)}
        return Topic(**{**topics()[name].model_dump(), "versions": versions})

    return make


def good(topic: str, version: int) -> list[bytes]:
    return [path.read_bytes() for path in sorted((EXAMPLES / topic / f"v{version}").glob("good-*.json"))]


def read(topic: Topic, value: bytes | dict[str, Any]) -> dict[str, Any] | Rejection:
    return Reader(topic).read(json.dumps(value).encode() if isinstance(value, dict) else value, NOW)


def listen(**fields: Any) -> dict[str, Any]:
    return {"user_id": "u", "event_type": "listen", "item_id": "i", "timestamp": "2026-01-01T00:00:00Z", **fields}


# What is promised


@pytest.mark.parametrize(("topic", "version"), VERSIONS, ids=lambda part: getattr(part, "name", part))
def test_models_are_what_was_frozen(topic: Topic, version: int) -> None:
    frozen = json.loads(path_of(topic, version).read_text("utf-8"))
    assert schema_of(topic, version) == frozen, "write it with `python -m streaming.topics.contracts`"


def test_every_frozen_schema_belongs_to_a_version() -> None:
    assert {path_of(topic, version) for topic, version in VERSIONS} == set(SCHEMAS.iterdir())


@pytest.mark.parametrize(("topic", "version"), VERSIONS, ids=lambda part: getattr(part, "name", part))
def test_examples_are_what_the_frozen_schema_says(topic: Topic, version: int) -> None:
    schema = json.loads(path_of(topic, version).read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    for value in good(topic.name, version):
        Draft202012Validator(schema).validate(json.loads(value))
    shape = {"missing_field", "wrong_type", "wrong_topic", "unknown_event_type", "unknown_schema_version"}
    bad = [path for path in (EXAMPLES / topic.name / f"v{version}").glob("bad-*") if path.stem.split("-")[1] in shape]
    assert bad
    for path in bad:
        assert not Draft202012Validator(schema).is_valid(json.loads(path.read_bytes())), path


def changed(model: type[events.Message], **fields: Any) -> type[events.Message]:
    return create_model(f"Changed{model.__name__}", __base__=model, __doc__=model.__doc__, **fields)


@pytest.mark.parametrize(
    ("name", "model", "sentence"),
    [
        ("events_listens", changed(ListenEvent, ms_played=(Annotated[int, Field(ge=0, le=1)] | None, None)),
         "ms_played was changed"),
        ("events_listens", changed(ListenEvent, ms_played=(Annotated[int, Field(ge=0)] | None, None)),
         "ms_played was changed"),
        ("events_listens", changed(ListenEvent, ms_played=(float | None, None)), "ms_played was changed"),
        ("events_listens", changed(ListenEvent, source=(Identifier, ...)), "source became required"),
        ("events_listens", changed(ListenEvent, device=(Identifier, ...)), "device became required"),
        ("events_ratings", changed(RatingEvent, rating=(float | None, None)), "rating became optional"),
        ("events_ratings", events.ViewEvent, "event_type was changed"),
        ("catalog_artists", create_model("Artist", __base__=events.CatalogRecord, __doc__="An artist."),
         "genre was removed; country was removed"),
        ("catalog_artists", changed(ArtistRecord, name=(Annotated[Text, Field(pattern="^[a-z]*$")], ...)),
         "name was changed"),
    ],
)  # fmt: skip
def test_a_break_is_not_frozen(
    make_topic: Callable[..., Topic], tmp_path: Path, name: str, model: type[events.Message], sentence: str
) -> None:
    freeze(topics()[name], tmp_path)
    before = path_of(topics()[name], 1, tmp_path).read_text("utf-8")
    with pytest.raises(ContractError, match=f"^{name}.v1: .*{sentence}.*; make it a new version$"):
        freeze(make_topic(name, model), tmp_path)
    assert path_of(topics()[name], 1, tmp_path).read_text("utf-8") == before


def test_an_optional_field_more_and_other_words_keep_the_version(
    make_topic: Callable[..., Topic], tmp_path: Path
) -> None:
    freeze(topics()["events_listens"], tmp_path)
    more = make_topic("events_listens", changed(
        ListenEvent, device=(Identifier | None, None), user_id=(Identifier, Field(description="Other words."))
    ))  # fmt: skip
    freeze(more, tmp_path)
    frozen = json.loads(path_of(more, 1, tmp_path).read_text("utf-8"))
    assert frozen["properties"].keys() - topics()["events_listens"].model.model_fields.keys() == {"device"}
    with pytest.raises(ContractError, match="device was removed"):
        freeze(topics()["events_listens"], tmp_path)


def test_a_new_version_is_frozen_beside_the_old_one_and_must_be_named(
    make_topic: Callable[..., Topic], tmp_path: Path
) -> None:
    topic = make_topic("events_listens", ListenEvent, ListenEventV2)
    freeze(topics()["events_listens"], tmp_path)
    freeze(topic, tmp_path)
    first, second = (json.loads(path_of(topic, number, tmp_path).read_text("utf-8")) for number in (1, 2))
    assert first == schema_of(topics()["events_listens"], 1)
    assert "schema_version" in second["required"]
    assert Draft202012Validator(second).is_valid(listen(schema_version=2, ms_played=WEEK_MS))
    assert not Draft202012Validator(second).is_valid(listen(ms_played=WEEK_MS))


# The same version: an optional field more


@pytest.mark.parametrize("name", topics())
def test_readers_of_before_and_after_an_optional_field_read_each_other(
    make_topic: Callable[..., Topic], name: str
) -> None:
    old = topics()[name]
    new = make_topic(name, changed(old.model, room=(Identifier | None, None)))
    for value in good(name, 1):
        plain, told = json.loads(value), {**json.loads(value), "room": "kitchen"}
        row = read(old, plain)
        assert isinstance(row, dict)
        assert read(old, told) == row
        assert read(new, plain) == {**row, "room": None}
        assert read(new, told) == {**row, "room": "kitchen"}
        if "event_id" in row:
            assert hashes({**row, "room": None}) == hashes(row), "sent again to a new reader, it is no conflict"


# Another version: each by its own contract


@pytest.fixture
def both(make_topic: Callable[..., Topic]) -> Topic:
    """`events_listens` with a second version."""
    return make_topic("events_listens", ListenEvent, ListenEventV2)


def test_a_new_reader_reads_every_example_of_the_old_version(both: Topic) -> None:
    old = topics()["events_listens"]
    for path in (EXAMPLES / "events_listens" / "v1").iterdir():
        was, now = read(old, path.read_bytes()), read(both, path.read_bytes())
        if isinstance(was, dict):
            assert now == {**was, "device": None}
            assert isinstance(now, dict)
            assert list(now) == list(ListenEventV2.model_fields)
            assert hashes(now) == hashes(was)
        elif was.reason is not Reason.UNKNOWN_SCHEMA_VERSION:
            assert now == was


@pytest.mark.parametrize(
    "message",
    [
        listen(schema_version=2, ms_played=WEEK_MS, device="car"),
        listen(schema_version=2),
        # Whatever else an old reader would find wrong with it, or misread: it is not its version.
        listen(schema_version=2, user_id=7, timestamp={"seconds": 1}, event_type="listened"),
    ],
)
def test_an_old_reader_sets_a_new_version_aside(message: dict[str, Any]) -> None:
    refused = read(topics()["events_listens"], message)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.field) == (Reason.UNKNOWN_SCHEMA_VERSION, "schema_version")
    assert refused.detail == "schema_version must be one of 1"


def test_what_an_old_reader_set_aside_is_read_after_the_update(both: Topic) -> None:
    value = json.dumps(listen(schema_version=2, ms_played=WEEK_MS, device="car")).encode()
    assert isinstance(read(topics()["events_listens"], value), Rejection)
    row = read(both, value)
    assert isinstance(row, dict)
    assert (row["schema_version"], row["ms_played"], row["device"]) == (2, WEEK_MS, "car")


@pytest.mark.parametrize("version", [{}, {"schema_version": 1}])
def test_an_old_message_is_held_to_the_old_contract(both: Topic, version: dict[str, int]) -> None:
    """What was refused stays refused: silver made again from bronze must be the silver that was."""
    refused = read(both, listen(ms_played=WEEK_MS, **version))
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.field) == (Reason.OUT_OF_RANGE, "ms_played")
    # `device` is a field of the second version only: to the first it is one that no reader knows.
    row = read(both, listen(device={"any": "thing"}, **version))
    assert isinstance(row, dict)
    assert (row["schema_version"], row["device"]) == (1, None)


def test_a_version_that_no_reader_knows_lists_those_it_knows(both: Topic) -> None:
    refused = read(both, listen(schema_version=3))
    assert isinstance(refused, Rejection)
    assert refused.detail == "schema_version must be one of 1, 2"


@pytest.mark.parametrize("topic", topics().values(), ids=lambda topic: topic.name)
def test_one_column_holds_every_version(topic: Topic) -> None:
    columns = arrow_schema(topic.model)
    for model in topic.models.values():
        for field in arrow_schema(model):
            assert columns.field(field.name).type == field.type


# What a topic's file may say


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ({2: "ListenEvent"}, "versions must count from 1 without a gap"),
        ({1: "ListenEvent", 3: "ListenEvent"}, "versions must count from 1 without a gap"),
        ({}, "versions"),
        ({1: "Listened"}, "no model Listened; valid: ViewEvent, "),
        ({1: "ArtistRecord"}, "key must be a field of ArtistRecord"),
        ({1: "RatingEvent", 2: "ListenEvent"}, None),
        ({1: "ListenEvent", 2: "RatingEvent"}, "RatingEvent requires rating, which version 1 does not"),
        ({1: "ListenEventV2", 2: "ListenEvent"}, "ListenEvent lacks device of version 1"),
    ],
)
def test_a_file_with_versions_that_cannot_share_a_table_is_refused(
    both: Topic, versions: dict[int, str], sentence: str | None
) -> None:
    declared = {**both.model_dump(), "versions": versions}
    if sentence is None:
        assert Topic(**declared).event == "ListenEvent"
        return
    with pytest.raises(ValidationError, match=sentence):
        Topic(**declared)
