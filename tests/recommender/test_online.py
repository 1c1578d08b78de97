"""Online metrics: by model, arm and place, and one arm against another, in a log whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from music_assets.defs.recommender import assets
from music_assets.recommender.exploration import DRAWN, Pool, explore
from music_assets.recommender.online import comparisons, lines, lines_table
from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from collections.abc import Callable

    from music_assets.settings import Settings

RANKED, POOL, NEW = ["r0", "r1", "r2"], [f"p{number}" for number in range(6)], [f"n{number}" for number in range(3)]
GAIN = 0.08


def shown(listeners: int = 300, *, share: float = 0.2, gain: float = GAIN, seed: int = 5) -> pa.Table:
    """Answers to two arms; a place is clicked less the further down, in the challenger's arm more by `gain`."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for listener in range(listeners):
        arm, taste = ("champion", "challenger")[listener % 2], random.normal(0, 0.03)
        for answer in range(10):
            name = f"{listener}-{answer}"
            for number, place in enumerate(explore(RANKED, [Pool(POOL, share / 2), Pool(NEW, share / 2)], seed=name)):
                chance = 0.3 - 0.1 * number + taste + gain * (arm == "challenger")
                rows.append(
                    {
                        "recommendation_id": name, "user_id": f"u{listener}", "model_version": f"v-{arm}",
                        "experiment": "bolder", "arm": arm, "position": number + 1,
                        "source": "ease" if place.pool is None else DRAWN[place.pool], "propensity": place.propensity,
                        "clicked": int(random.random() < (chance if place.pool is None else 0.02)), "played": 0,
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows)


def test_a_line_tells_what_the_ranking_earns_whatever_was_explored() -> None:
    challenger, champion = sorted(lines(shown()), key=lambda line: line.arm)[:2]
    assert (challenger.arm, champion.arm) == ("challenger", "champion")
    assert champion.answers == 1500
    for line, truth in ((champion, 0.2), (challenger, 0.2 + GAIN)):
        assert line.ranked.lower < truth < line.ranked.upper
        assert line.clicked.mean < 0.95 * line.ranked.mean, "places that were given away earn less"
        assert line.explored.lower < 0.02 < line.explored.upper
        assert line.by_place[1] > line.by_place[2] > line.by_place[3]
        assert line.played.mean == 0
    assert lines_table([champion]).count("\n") == 2


def test_without_exploration_ranked_is_what_was_clicked() -> None:
    [one, *_] = lines(shown(40, share=0))
    assert one.ranked == one.clicked
    assert "nothing seen" in lines_table([one])


def test_arms_are_compared_by_listener() -> None:
    [found] = comparisons(shown())
    assert (found.experiment, found.arm, found.listeners) == ("bolder", "challenger", 300)
    assert 0 < found.clicked.lower < GAIN * 0.8 < found.clicked.upper
    [same] = comparisons(shown(gain=0, seed=6))
    assert same.clicked.lower < 0 < same.clicked.upper


def test_who_takes_part_in_none_is_compared_with_nobody() -> None:
    rows = shown(20).to_pylist()
    nobody = pa.Table.from_pylist([row | {"experiment": "none", "arm": "none"} for row in rows])
    alone = pa.Table.from_pylist([row for row in rows if row["arm"] == "challenger"])
    assert comparisons(nobody) == comparisons(alone) == []
    assert comparisons(alone.slice(0, 0)) == lines(alone.slice(0, 0)) == []


def test_the_asset_reads_the_mart(
    make_settings: Callable[..., Settings], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(database_url=SecretStr(database_url))
    monkeypatch.setattr("music_assets.resources.settings", lambda: settings)
    table = shown(40)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "create schema if not exists marts;"
            "create table marts.fct_recommendations (recommendation_id text, user_id text, model_version text,"
            " experiment text, arm text, position integer, source text, propensity double precision,"
            " is_clicked boolean, listened_within_day boolean, shown_at timestamptz)"
        )
        insert = "insert into marts.fct_recommendations values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        rows = [list(row.values()) for row in table.to_pylist()]
        fresh = [[*row[:8], bool(row[8]), bool(row[9]), "2026-01-30T00:00:00Z"] for row in rows]
        stale = [["old", "u", "v-old", None, None, 1, None, None, False, False, "2026-01-01T00:00:00Z"]]
        none = [["new", "u", "v-none", None, None, 1, None, None, True, False, "2026-01-29T00:00:00Z"]]
        connection.cursor().executemany(insert, [*fresh, *stale, *none])
    result = dg.materialize([assets.online_metrics], resources={"platform": PlatformResource()})
    [event] = result.asset_materializations_for_node("recommender__online_metrics")
    metadata = {key: value.value for key, value in event.metadata.items()}
    assert metadata["dagster/row_count"] == 3
    assert metadata["places"] == table.num_rows + 1
    assert "| v-none | none | none | 1 | 1.0000 [1.0000, 1.0000] |" in metadata["by_model"]
    assert "v-old" not in metadata["by_model"]
    assert "| bolder | challenger | 40 |" in metadata["arms"]
