"""What the catalogue knows of an item without anybody having heard it: artists, genre, tags, audio features, name.

Read from the marts as rows of (item, group, feature, value) and kept as one sparse block for each group, because the
groups are of different kinds: how much each says is a setting of the content model, not of the data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, LiteralString

import numpy as np
import pyarrow as pa
from scipy import sparse

from music_assets.recommender.interactions import read_copy
from music_assets.recommender.models.base import selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import psycopg
    from numpy.typing import NDArray

ARTIST: Final = "artist"
GENRE: Final = "genre"
TAG: Final = "tag"
AUDIO: Final = "audio"
WORDS: Final = "words"
GROUPS: Final = (ARTIST, GENRE, TAG, AUDIO, WORDS)

RELEASED: Final = "released"
"""Group whose feature is the date of release, and which says that the catalogue has the item."""

_MIN_NAMES: Final = 2
"""Names that a word must be in: one that is in no other likens nothing."""

_COLUMNS: Final = {"item_id": pa.string(), "group": pa.string(), "feature": pa.string(), "value": pa.float32()}

_QUERY: Final[LiteralString] = """
copy (
    with
    artists as (select * from marts.dim_artist),
    albums as (select * from marts.dim_album),
    tracks as (select * from marts.dim_track),
    credits as (select track_id, artist_id from marts.bridge_track_artist),
    tags as (select artist_id, tag, coalesce(weight, 1) as weight from marts.bridge_artist_tag),
    akin as (select artist_id, other_id, max(score) as score from staging.stg_source__similar_artists group by 1, 2),
    made_by as (
        select artist_id as item_id, artist_id from artists
        union select album_id, artist_id from albums where artist_id is not null
        union select track_id, artist_id from credits
    ),
    audio as (
        select coalesce(canonical.canonical_id, sound.track_id) as item_id, sound.*
        from staging.stg_source__audio_features as sound
        left join intermediate.int_items_canonical as canonical on sound.track_id = canonical.item_id
    )
    select item_id, 'artist', artist_id, 1.0 from made_by
    union all
    select made_by.item_id, 'artist', akin.other_id, akin.score / 2
    from made_by join akin on made_by.artist_id = akin.artist_id
    union all
    select track_id, 'genre', lower(genre), 1 from tracks where genre is not null
    union all
    select made_by.item_id, 'genre', lower(artists.genre), 0.5
    from made_by join artists on made_by.artist_id = artists.artist_id where artists.genre is not null
    union all
    select track_id, 'tag', tag, coalesce(weight, 1) from marts.bridge_track_tag
    union all
    select made_by.item_id, 'tag', tags.tag, tags.weight / 2
    from made_by join tags on made_by.artist_id = tags.artist_id
    union all
    select audio.item_id, 'audio', feature.name, avg(feature.value)
    from audio cross join lateral (
        values
        ('acousticness', audio.acousticness), ('danceability', audio.danceability), ('energy', audio.energy),
        ('instrumentalness', audio.instrumentalness), ('liveness', audio.liveness), ('loudness', audio.loudness),
        ('speechiness', audio.speechiness), ('tempo', audio.tempo), ('valence', audio.valence)
    ) as feature (name, value)
    where feature.value is not null
    group by 1, 3
    union all
    select item_id, 'words', name, 1 from (
        select artist_id, artist_name from artists
        union all select album_id, album_name from albums
        union all select track_id, track_name from tracks
    ) as named (item_id, name) where name is not null
    union all
    select item_id, 'released', coalesce(release_date, ''), 1 from (
        select artist_id, null from artists where in_catalog
        union all select album_id, release_date from albums where in_catalog
        union all
        select tracks.track_id, albums.release_date
        from tracks left join albums on tracks.album_id = albums.album_id
        where tracks.in_catalog
    ) as listed (item_id, release_date)
) to stdout (format csv)
"""


@dataclass(frozen=True, kw_only=True)
class ItemFeatures:
    """Features of items, by group.

    Attributes:
        items: item ids, sorted.
        groups: group to CSR, float32, shape (items, features of the group); a row has the length 1, or is empty where
            nothing is known.
        released: date of release as in the catalogue, `YYYY[-MM[-DD]]`, empty where unknown; None: the catalogue does
            not have the item, an event named it.
    """

    items: tuple[str, ...] = ()
    groups: Mapping[str, Any]
    released: tuple[str | None, ...] = ()

    def of(self, items: tuple[str, ...], weights: Mapping[str, float]) -> Any:
        """Return the features of some items: CSR, float32, shape (items, features), rows of length 1 or empty.

        Args:
            items: item ids; of those that are not known nothing is.
            weights: group to how much it says.
        """
        blocks = [np.float32(weights[name]) * self.groups[name] for name in GROUPS if name in self.groups]
        if not blocks:
            return sparse.csr_matrix((len(items), 1), dtype=np.float32)
        return (selection(self.items, items) @ _unit(sparse.hstack(blocks, format="csr"))).tocsr()

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything but its name is known of each item, shape (items,)."""
        said = [np.diff(block.indptr) > 0 for name, block in self.groups.items() if name != WORDS]
        return np.any(said, axis=0) if said else np.zeros(len(self.items), dtype=bool)

    def save(self, folder: Path) -> None:
        """Write the features below a folder, which must exist."""
        for name, block in self.groups.items():
            sparse.save_npz(folder / f"{name}.npz", block)
        facts = {"items": self.items, "groups": list(self.groups), "released": self.released}
        (folder / "features.json").write_text(json.dumps(facts), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> ItemFeatures:
        """Read what `save` wrote; where nothing was saved, nothing is known of any item."""
        if not (folder / "features.json").exists():
            return cls(groups={})
        facts = json.loads((folder / "features.json").read_text("utf-8"))
        groups = {name: sparse.load_npz(folder / f"{name}.npz") for name in facts["groups"]}
        return cls(items=tuple(facts["items"]), groups=groups, released=tuple(facts["released"]))

    @classmethod
    def collect(cls, batches: Iterable[pa.RecordBatch]) -> ItemFeatures:
        """Build from batches of (item_id, group, feature, value): text, text, text, number."""
        table = pa.Table.from_batches(list(batches), pa.schema(list(_COLUMNS.items())))
        items = tuple(sorted(table["item_id"].unique().to_pylist()))
        row = _numbers(table["item_id"], items)
        group = table["group"].to_numpy()
        released: list[str | None] = [None] * len(items)
        groups = {}
        for name in (*GROUPS, RELEASED):
            of = group == name
            if not of.any():
                continue
            part = table.filter(pa.array(of))
            if name == RELEASED:
                for number, date in zip(row[of].tolist(), part["feature"].to_pylist(), strict=True):
                    released[number] = date or ""
            else:
                groups[name] = _block(name, row[of], part["feature"], part["value"].to_numpy(), len(items))
        return cls(items=items, groups=groups, released=tuple(released))


def read_features(connection: psycopg.Connection[Any]) -> Iterable[pa.RecordBatch]:
    """Stream what the marts know of items as (item_id, group, feature, value).

    What is known of an artist is said of the artist's albums and tracks as well, half as loudly as what is known of
    these themselves; so are artists that a source calls similar.
    """
    yield from read_copy(connection, _QUERY, _COLUMNS)


def _block(name: str, row: NDArray[np.int64], feature: pa.ChunkedArray, value: NDArray[Any], items: int) -> Any:
    """Return a group's features with unit rows: CSR, float32, shape (items, features)."""
    if name == WORDS:
        return _words(row, feature.to_pylist(), items)
    names = tuple(sorted(feature.unique().to_pylist()))
    found = sparse.coo_matrix((value.astype(np.float32), (row, _numbers(feature, names))), shape=(items, len(names)))
    block = found.tocsr()
    if name == AUDIO:
        return _unit(_standardised(block))
    # The import takes a second, and only training needs it.
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer().fit_transform(block).astype(np.float32)


def _words(row: NDArray[np.int64], names: list[str], items: int) -> Any:
    """Return TF-IDF of the words of names."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        said = TfidfVectorizer(min_df=_MIN_NAMES, dtype=np.float32).fit_transform(names)
    except ValueError:  # no word is in two names
        return sparse.csr_matrix((items, 1), dtype=np.float32)
    place = sparse.csr_matrix((np.ones(len(row), dtype=np.float32), (row, np.arange(len(row)))), (items, len(row)))
    return _unit((place @ said).tocsr())


def _standardised(block: Any) -> Any:
    """Bring each column to mean 0 and deviation 1 over the items that have it; an absent one is the mean, 0."""
    column = block.indices
    count = np.maximum(np.bincount(column, minlength=block.shape[1]), 1)
    mean = np.bincount(column, block.data, minlength=block.shape[1]) / count
    spread = np.sqrt(np.bincount(column, (block.data - mean[column]) ** 2, minlength=block.shape[1]) / count)
    standard = block.copy()
    standard.data = ((block.data - mean[column]) / np.maximum(spread[column], 1e-6)).astype(np.float32)
    return standard


def _unit(block: Any) -> Any:
    """Bring every row that is not empty to the length 1."""
    length = np.sqrt(np.asarray(block.multiply(block).sum(axis=1)).ravel())
    return (sparse.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ block).tocsr().astype(np.float32)


def _numbers(names: pa.ChunkedArray, vocabulary: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each name's place in a vocabulary that has them all."""
    place = {name: number for number, name in enumerate(vocabulary)}
    encoded = names.combine_chunks().dictionary_encode()
    of = np.asarray([place[name] for name in encoded.dictionary.to_pylist()], dtype=np.int64)
    return of[encoded.indices.to_numpy(zero_copy_only=False)] if len(of) else np.empty(0, dtype=np.int64)
