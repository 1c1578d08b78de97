"""Items as they are named in an address."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from streaming.errors import ContractError
from streaming.events import ItemId, normalise_item_id

ItemPath = Annotated[ItemId, Path(description="`track:ID`, `artist:ID`, `album:ID`; a bare ID is a track.")]


def wanted_item(item_id: str) -> str:
    """Return an item id with its kind.

    Raises:
        ContractError: it is none.
    """
    try:
        return normalise_item_id(item_id)
    except ValueError as error:
        raise ContractError("bad_format", "item_id", str(error)) from error
