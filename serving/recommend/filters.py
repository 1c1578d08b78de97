"""What kind of items somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, Field

from streaming.errors import ContractError
from streaming.events import Identifier, ItemKind, Text

if TYPE_CHECKING:
    from serving.catalog import Detail


@dataclass(frozen=True)
class Wanted:
    """Conditions on an item, all of which hold; of an item without the fact, a condition on it does not.

    Where it is heard and whether the listener knows it are no facts of an item: `takes` does not look at them.
    """

    genre: str | None = None
    year_from: int | None = None
    year_to: int | None = None
    kind: ItemKind | None = None
    context: str | None = None
    heard: bool = False

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


class Conditions(BaseModel):
    """What a request asks of its answer, as its parameters say it."""

    genre: str | None = Field(
        None, min_length=1, max_length=100, description="Only items of this genre, or of an artist of it."
    )
    year_from: int | None = Field(None, ge=0, le=9999, description="Only items of this year and later.")
    year_to: int | None = Field(None, ge=0, le=9999, description="Only items of this year and before.")
    kind: ItemKind | None = Field(None, description="Only tracks, artists or albums; absent: all.")
    context: Text | None = Field(
        None,
        description="Only what three listeners or more lately heard there, such as `radio`: the `context` of listens.",
    )
    exclude_heard: bool = Field(default=True, description="False: what the user knows takes turns with what is new.")
    k: int = Field(20, ge=1, le=100, description="How many items, 1 to 100.")

    def wanted(self) -> Wanted:
        """Return the conditions on an item.

        Raises:
            ContractError: the years are the wrong way round.
        """
        if self.year_from is not None and self.year_to is not None and self.year_from > self.year_to:
            raise ContractError(
                "out_of_range", "year_to", f"year_to: {self.year_to} lies before year_from, {self.year_from}"
            )
        genre = self.genre.casefold() if self.genre else None
        wanted = Wanted(genre, self.year_from, self.year_to, self.kind, self.context, not self.exclude_heard)
        return ANYTHING if wanted == ANYTHING else wanted


class Asked(Conditions):
    """The same, and for whom."""

    user_id: Identifier = Field(description="The user, as in the events; an unknown one gets what is popular.")


class AskedPlaylist(Conditions):
    """The same, and in which form."""

    format: Literal["jspf", "m3u"] = Field("jspf", description="JSPF, or extended M3U.")
