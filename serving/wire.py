"""Requests and answers as they lie on the wire, for the busiest routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a name, in lower case; Starlette's mapping decodes them all to find one."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def written(model: type[BaseModel]) -> Any:
    """Return a struct with the fields of a model: made and encoded in a fifth of the time, None left out.

    The pydantic model still says what is in an answer, to the documentation and to programs; nothing checks it here,
    because nobody else made it.
    """
    fields: list[Any] = [
        (name, Any) if info.is_required() else (name, Any, info.default) for name, info in model.model_fields.items()
    ]
    return msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False, omit_defaults=True)


encode = msgspec.json.Encoder().encode
"""Return an answer as JSON."""
