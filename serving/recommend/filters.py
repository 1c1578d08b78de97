"""What kind of items somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Query

from streaming.errors import ContractError
from streaming.events import ItemKind

if TYPE_CHECKING:
    from serving.catalog import Detail


@dataclass(frozen=True)
class Wanted:
    """Conditions on an item, all of which hold; of an item without the fact, a condition on it does not."""

    genre: str | None = None
    year_from: int | None = None
    year_to: int | None = None
    kind: ItemKind | None = None

    def takes(self, item_id: str, detail: Detail | None) -> bool:
        """Whether an item is wanted."""
        if self.kind is not None and item_id.partition(":")[0] != self.kind:
            return False
        if self.genre is None and self.year_from is None and self.year_to is None:
            return True
        if detail is None:
            return False
        if self.genre is not None and (detail.genre is None or detail.genre.casefold() != self.genre):
            return False
        if self.year_from is None and self.year_to is None:
            return True
        return detail.year is not None and (self.year_from or 0) <= detail.year <= (self.year_to or 9999)


ANYTHING: Final = Wanted()


async def read_wanted(
    genre: Annotated[
        str | None, Query(min_length=1, max_length=100, description="Only items of this genre, or of an artist of it.")
    ] = None,
    year_from: Annotated[int | None, Query(ge=0, le=9999, description="Only items of this year and later.")] = None,
    year_to: Annotated[int | None, Query(ge=0, le=9999, description="Only items of this year and before.")] = None,
    kind: Annotated[ItemKind | None, Query(description="Only tracks, artists or albums; absent: all.")] = None,
) -> Wanted:
    """Return the conditions of a request.

    Raises:
        ContractError: the years are the wrong way round.
    """
    if (genre, year_from, year_to, kind) == (None, None, None, None):
        return ANYTHING
    if year_from is not None and year_to is not None and year_from > year_to:
        raise ContractError("out_of_range", "year_to", f"year_to: {year_to} lies before year_from, {year_from}")
    return Wanted(genre.casefold() if genre else None, year_from, year_to, kind)
