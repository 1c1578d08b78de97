"""What the marts say of items, read on a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import psycopg
import pytest
from pydantic import SecretStr

from music_assets.defs.recommender.content import item_features
from music_assets.recommender.item_features import GROUPS, ItemFeatures
from music_assets.recommender.models.content import Content
from music_assets.recommender.training import Workshop
from music_assets.resources import PlatformResource
from tests.recommender.marts import create_marts
from tests.recommender.worlds import features

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from music_assets.settings import Settings

CATALOGUE = """
insert into marts.dim_artist values ('artist:a', 'Ada', 'Rock', true), ('artist:b', 'Bo', null, true);
insert into marts.dim_album values ('album:x', 'Night', 'artist:a', '2024-05', true);
insert into marts.dim_track values
    ('track:1', 'Night drive', 'artist:a', 'album:x', 'Rock', true),
    ('track:2', 'Night walk', 'artist:a', null, null, true),
    ('track:3', 'Dawn', 'artist:b', null, 'Jazz', true),
    ('track:4', null, null, null, null, false);
insert into marts.bridge_track_artist values
    ('track:1', 'artist:a', 1), ('track:2', 'artist:a', 1), ('track:3', 'artist:b', 1), ('track:3', 'artist:a', 2);
insert into marts.bridge_artist_tag values ('artist:a', 'loud', 100);
insert into marts.bridge_track_tag values ('track:3', 'quiet', null);
insert into staging.stg_source__similar_artists values ('lastfm', 'artist:b', 'artist:a', 0.8);
insert into staging.stg_source__audio_features (source, track_id, energy, tempo) values
    ('spotify', 'track:1', 0.9, 120), ('other', 'track:1', 0.7, null), ('spotify', 'spotify:3', 0.1, 80);
insert into intermediate.int_items_canonical values ('spotify:3', 'track:3');
"""


@pytest.fixture
def found(
    make_settings: Callable[..., Settings], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[ItemFeatures, dg.ExecuteInProcessResult]:
    settings = make_settings(database_url=SecretStr(database_url), mlflow_tracking_uri="off")
    monkeypatch.setattr("music_assets.resources.settings", lambda: settings)
    with psycopg.connect(database_url) as connection:
        create_marts(connection)
        connection.execute(CATALOGUE)
    result = dg.materialize([item_features], resources={"platform": PlatformResource()})
    return ItemFeatures.open(settings.model_root / "work" / "features"), result


def test_what_the_marts_know_of_an_item_is_known_and_of_its_artist_half_as_loudly(
    found: tuple[ItemFeatures, dg.ExecuteInProcessResult],
) -> None:
    known, result = found
    assert known.items == ("album:x", "artist:a", "artist:b", "track:1", "track:2", "track:3")
    assert known.released == ("2024-05", "", "", "2024-05", "", "")
    assert set(known.groups) == set(GROUPS)
    alike = {
        name: Content(**{group: float(group == name) for group in GROUPS}).features(known, known.items)
        for name in GROUPS
    }
    cosine = {name: (rows @ rows.T).toarray() for name, rows in alike.items()}
    album, a, b, one, two, three = range(6)
    assert cosine["artist"][one, two] == pytest.approx(1)
    assert 0 < cosine["artist"][one, three] < 1, "of three an artist is the second"
    assert 0 < cosine["artist"][a, b] < 1, "a source calls them similar"
    assert cosine["tag"][one, two] == pytest.approx(1), "by the same artist"
    assert cosine["tag"][one, three] > 0, "credited to the same artist, half as loudly"
    assert cosine["genre"][one, two] == pytest.approx(1), "a track without a genre has its artist's"
    assert cosine["genre"][b, one] == 0
    assert cosine["audio"][one, three] == pytest.approx(-1), "sources agree on the item, one of them by another id"
    assert cosine["words"][one, two] > 0.5 > cosine["words"][one, three] == 0
    assert cosine["words"][album, one] > 0.5
    [event] = result.asset_materializations_for_node("recommender__item_features")
    assert event.metadata["dagster/row_count"].value == 6
    assert event.metadata["catalogue"].value == 6


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = features([("a", "tag", "x", 1), ("a", "released", "", 1), ("b", "audio", "tempo", 90)])
    Workshop(tmp_path).describe(written)
    read = ItemFeatures.open(tmp_path / "work" / "features")
    assert (read.items, read.released) == (written.items, written.released) == (("a", "b"), ("", None))
    assert all((read.groups[name] != block).nnz == 0 for name, block in written.groups.items())
    assert ItemFeatures.open(tmp_path).items == ()


def test_groups_are_weighed_and_of_what_is_unknown_nothing_is() -> None:
    known = features([("a", "tag", "x", 1), ("b", "tag", "x", 1), ("a", "genre", "y", 1), ("b", "genre", "z", 1)])
    loud, soft = (Content(tag=tag, genre=1.0).features(known, ("a", "b", "c")) for tag in (3.0, 0.1))
    for rows in (loud, soft):
        np.testing.assert_allclose(np.linalg.norm(rows.toarray(), axis=1), [1, 1, 0], atol=1e-6)
    assert (loud @ loud.T)[0, 1] == pytest.approx(0.9)
    assert (soft @ soft.T)[0, 1] == pytest.approx(0.01 / 1.01, abs=1e-4)
