"""Charts and items of the marts, with the last good page of each chart."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec

from serving.charts.schemas import ChartAnswer, ChartItem, ItemAnswer
from serving.lately import keep
from streaming.errors import ContractError, UnavailableError
from streaming.events import NO_CONTROL

if TYPE_CHECKING:
    from serving.charts.schemas import ChartKind
    from serving.database import Database

_REMEMBERED: Final = 500
"""Pages kept for when the warehouse is away, some 10 KB each."""

_PAGE: Final = """
with newest as (
    select coalesce(%(week)s::date, max(week_start)) as week_start from marts.mart_charts_weekly
    where item_kind = %(kind)s
),
page as (
    select charts.*
    from marts.mart_charts_weekly as charts inner join newest using (week_start)
    where charts.item_kind = %(kind)s and (charts.rank, charts.item_id) > (%(rank)s, %(item_id)s)
    order by charts.rank, charts.item_id
    limit %(limit)s
)
select page.rank, page.previous_rank, page.item_id, page.listens, page.listeners, page.week_start as week,
    coalesce(tracks.track_name, artists.artist_name) as name, tracks.artist_id, track_artists.artist_name,
    (select max(touched_at) from marts.mart_charts_weekly) as as_of
from page
left join marts.dim_track as tracks on page.item_id = tracks.track_id
left join marts.dim_artist as artists on page.item_id = artists.artist_id
left join marts.dim_artist as track_artists on tracks.artist_id = track_artists.artist_id
order by page.rank, page.item_id
"""
_ITEMS: Final = {
    "track": """
        select tracks.track_name as name, tracks.artist_id, artists.artist_name, tracks.album_id, albums.album_name,
            coalesce(tracks.genre, artists.genre) as genre, albums.release_date, tracks.duration_ms,
            tracks.popularity_band
        from marts.dim_track as tracks
        left join marts.dim_artist as artists using (artist_id)
        left join marts.dim_album as albums using (album_id)
        where tracks.track_id = %(item_id)s
    """,
    "artist": """
        select artist_name as name, genre, country, popularity_band from marts.dim_artist
        where artist_id = %(item_id)s
    """,
    "album": """
        select albums.album_name as name, albums.artist_id, artists.artist_name, artists.genre, albums.release_date
        from marts.dim_album as albums
        left join marts.dim_artist as artists using (artist_id)
        where albums.album_id = %(item_id)s
    """,
}
_cursor: Final = msgspec.json.Decoder(
    tuple[date, Annotated[int, msgspec.Meta(ge=0, lt=2**31)], Annotated[str, msgspec.Meta(pattern=NO_CONTROL)]]
)
_PATIENCE_SECONDS: Final = 0.08
_AS_OF: Final = "select max(touched_at) as as_of from marts.fct_listens"


class Place(NamedTuple):
    """Where a page begins: behind an item of a week; an empty one is the beginning of the newest week."""

    week: date | None = None
    rank: int = 0
    item_id: str = ""

    def encode(self) -> str:
        """Return it as a cursor."""
        text = msgspec.json.encode([self.week, self.rank, self.item_id])
        return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Return where a cursor points to.

    Raises:
        ContractError: it is none of ours.
    """
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        week, rank, item_id = _cursor.decode(text)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        message = "cursor is none that this API gave: leave it out for the first page"
        raise ContractError("bad_format", "cursor", message) from error
    return Place(week, rank, item_id)


class Charts:
    """Reads charts and items."""

    def __init__(self, warehouse: Database) -> None:
        self._warehouse = warehouse
        self._last: OrderedDict[tuple[Any, ...], ChartAnswer] = OrderedDict()

    async def page(self, kind: ChartKind, place: Place, limit: int) -> ChartAnswer | None:
        """Return a page of a week's chart, the last good one while the warehouse is away; None: no such week or page.

        Raises:
            UnavailableError: the warehouse does not answer and never did to this.
        """
        asked = (kind, place, limit)
        values = {"kind": kind, "limit": limit + 1, **place._asdict()}
        last = self._last.get(asked)
        reading = asyncio.create_task(self._read(asked, values))
        # Who has an earlier answer does not wait for a warehouse that stands still: the read goes on without them.
        await asyncio.wait({reading}, timeout=None if last is None else _PATIENCE_SECONDS)
        try:
            if last is None or reading.done():
                return reading.result()
        except UnavailableError:
            if last is None:
                raise
        reading.add_done_callback(lambda done: done.exception())
        return last.model_copy(update={"degraded": True})

    async def _read(self, asked: tuple[ChartKind, Place, int], values: dict[str, Any]) -> ChartAnswer | None:
        rows = await self._warehouse.rows(_PAGE, values)
        if not rows:
            return None
        answer = _page(asked[0], rows, asked[2])
        keep(self._last, asked, answer, most=_REMEMBERED)
        return answer

    async def item(self, item_id: str) -> ItemAnswer | None:
        """Return what the warehouse knows of an item; None: nothing.

        Raises:
            UnavailableError: it does not answer.
        """
        kind = item_id.partition(":")[0]
        rows = await self._warehouse.rows(_ITEMS[kind], {"item_id": item_id})
        if not rows:
            return None
        [newest] = await self._warehouse.rows(_AS_OF)
        return ItemAnswer(item_id=item_id, kind=kind, degraded=False, **rows[0], **newest)


def _page(kind: ChartKind, rows: list[dict[str, Any]], limit: int) -> ChartAnswer:
    shown, first = rows[:limit], rows[0]
    last = shown[-1]
    more = Place(last["week"], last["rank"], last["item_id"]).encode() if len(rows) > limit else None
    items = [ChartItem.model_validate(row) for row in shown]
    return ChartAnswer(kind=kind, week=first["week"], as_of=first["as_of"], degraded=False, items=items, next=more)
