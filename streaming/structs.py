"""The decoders' types, made from the pydantic models, so that a field and its limits are declared once."""

from __future__ import annotations

import re
import types
import typing
from datetime import datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import annotated_types
import msgspec
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from streaming.events import Message


def struct_of(model: type[Message], *, ignore: str | None = None, exact: bool = False) -> type[msgspec.Struct]:
    """Return a msgspec struct with the fields, types and limits of a pydantic model.

    Args:
        model: what to take them from.
        ignore: a pattern not to hold, for texts of which it is known beforehand.
        exact: refuse fields that the model does not have, and write each default but None.

    Raises:
        TypeError: the model has a type or a limit that msgspec would not hold.
    """
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, info in model.model_fields.items():
        kind = _limited(_type_of(info.annotation, ignore), info.metadata, ignore)
        default = info.default
        if exact and default is not None:
            # msgspec leaves out what equals a default, but not what a function made.
            default = msgspec.field(default_factory=partial(_same, default))
        fields.append((name, kind) if info.is_required() else (name, kind, default))
    # Left out where they have their defaults when a struct is encoded: an optional field added later changes no hash.
    return msgspec.defstruct(
        model.__name__, fields, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=exact
    )


def _same(value: Any) -> Any:
    return value


def times_of(model: type[Message]) -> list[str]:
    """Return the fields that hold a time."""
    return [name for name, info in model.model_fields.items() if _is_time(info.annotation)]


def _is_time(annotation: Any) -> bool:
    return annotation is AwareDatetime or any(_is_time(part) for part in typing.get_args(annotation))


def _type_of(annotation: Any, ignore: str | None) -> Any:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        kind, *extra = typing.get_args(annotation)
        metadata = [item for part in extra for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _limited(_type_of(kind, ignore), metadata, ignore)
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[tuple(_type_of(part, ignore) for part in typing.get_args(annotation))]  # noqa: UP007
    if origin is list:
        return list[_type_of(typing.get_args(annotation)[0], ignore)]  # type: ignore[misc]
    if annotation is AwareDatetime:
        return _TIME
    if annotation in {str, int, float, types.NoneType} or issubclass(annotation, Enum):
        return annotation
    raise TypeError(f"the parser has no type for {annotation!r}")


_TIME = Annotated[datetime, msgspec.Meta(tz=True)]


def _limited(kind: Any, metadata: list[Any], ignore: str | None) -> Any:
    if kind is _TIME:
        # msgspec reads RFC 3339 and nothing else, which is what the model's own validator asks for.
        return kind
    limits: dict[str, Any] = {}
    for item in metadata:
        if ignore is None or getattr(item, "pattern", None) != ignore:
            limits.update(_limit(item))
    return Annotated[kind, msgspec.Meta(**limits)] if limits else kind


def _limit(item: Any) -> dict[str, Any]:
    match item:
        case annotated_types.Ge(ge):
            return {"ge": ge}
        case annotated_types.Gt(gt):
            return {"gt": gt}
        case annotated_types.Le(le):
            return {"le": le}
        case annotated_types.MinLen(least):
            return {"min_length": least}
        case annotated_types.MaxLen(most):
            return {"max_length": most}
    pattern = getattr(item, "pattern", None)
    if isinstance(pattern, str):
        # Python's `$` also matches before a final line break; pydantic's does not.
        return {"pattern": re.sub(r"\$$", r"\\Z", pattern)}
    raise TypeError(f"the parser cannot hold the limit {item!r}")
