"""Names of items, and what filters ask of them, from the catalogue tables of the lake."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.views import Source, View
from streaming.tables import silver
from streaming.topics import catalog_topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from streaming.lake import Lake

Names = View["Mapping[str, str]"]


class Detail(NamedTuple):
    """What is known of an item: its genre, or its artist's; the year of it, or of its album; its artist."""

    genre: str | None
    year: int | None
    artist_id: str | None


Details = View["Mapping[str, Detail]"]


def names_view(lake: Lake) -> Names:
    """Return the view of item id to name."""
    sources = [Source(silver(topic.table), ("item_id", "name")) for topic in catalog_topics()]
    return View(lake, sources, build=_names, empty=MappingProxyType({}))


def _names(tables: list[pa.Table]) -> Mapping[str, str]:
    return MappingProxyType(
        {
            item_id: name
            for table in tables
            for item_id, name in zip(table["item_id"].to_pylist(), table["name"].to_pylist(), strict=True)
        }
    )


def details_view(lake: Lake) -> Details:
    """Return the view of item id to what filters ask."""
    sources = [
        Source(silver("catalog_artists"), ("item_id", "genre")),
        Source(silver("catalog_albums"), ("item_id", "release_date", "artist_id")),
        Source(silver("catalog_songs"), ("item_id", "genre", "album_id", "artist_id")),
    ]
    return View(lake, sources, build=_details, empty=MappingProxyType({}))


def _details(tables: list[pa.Table]) -> Mapping[str, Detail]:
    artists, albums, songs = tables
    genres = {item_id: genre for item_id, genre in _rows(artists) if genre}
    found = {item_id: Detail(genre, None, item_id) for item_id, genre in genres.items()}
    for item_id, date, artist_id in _rows(albums):
        found[item_id] = Detail(genres.get(artist_id), _year(date), artist_id)
    for item_id, genre, album_id, artist_id in _rows(songs):
        album = found.get(album_id)
        found[item_id] = Detail(genre or genres.get(artist_id), album.year if album else None, artist_id)
    return MappingProxyType(found)


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


def _year(date: str | None) -> int | None:
    return int(date[:4]) if date and date[:4].isdecimal() else None
