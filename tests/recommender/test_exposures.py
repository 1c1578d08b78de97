"""What was shown, from the marts to what the trees learn: with nothing younger than the showing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from music_assets.defs.recommender import ranking
from music_assets.recommender.candidates import read
from music_assets.recommender.exposures import PLAYED_WITHIN, Exposures, read_exposures
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.names import EASE, POPULARITY, TWO_STAGE
from music_assets.recommender.ranking import second_stage
from music_assets.recommender.shown import LAST_PLACE, shown_examples
from music_assets.recommender.training import Workshop
from music_assets.recommender.two_stage import TwoStage, propose, rate
from music_assets.resources import PlatformResource
from tests.recommender.marts import create_marts
from tests.recommender.worlds import DAY, START, listens, tastes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from music_assets.recommender.candidates import Candidate
    from music_assets.recommender.interactions import Interactions
    from music_assets.settings import Settings

Row = tuple[str, str, str, int, int, bool]
"""Answer, listener, item, place, microseconds since START, played."""


def collected(rows: Iterable[Row]) -> Exposures:
    names = ("recommendation_id", "user_id", "item_id", "position", "shown_at", "played")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["shown_at"] = [at + START for at in columns["shown_at"]]
    columns["played"] = list(map(int, columns["played"]))
    return Exposures.collect([pa.record_batch(columns)])


def answers(world: Interactions, *, each: int, since: int, until: int, seed: int = 4) -> list[Row]:
    """Lists of ten by chance that listeners were shown; what is of their genre is played, less further down."""
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for user in world.users:
        for number in range(each):
            at = int(random.integers(since, until))
            for place, item in enumerate(random.permutation(60)[:10], start=1):
                played = int(user[1:]) % 3 == item % 3 and random.random() < 0.4 / place
                rows.append((f"{user}-{number}", user, f"track:{item:02d}", place, at, bool(played)))
    return rows


@pytest.fixture(scope="module")
def past() -> Interactions:
    """Two listeners and what they heard by the day, behind a crowd that heard it all before."""
    crowd = [(f"c{user}", f"i{item}", -DAY) for user in range(12) for item in range(8) if (user + item) % 3]
    return listens([*crowd, ("u", "i0", 0), ("u", "i1", DAY), ("u", "i2", 3 * DAY), ("v", "i3", 0)])


def models(world: Interactions) -> list[Any]:
    known = world.before(START)
    return [Ease(strength=1).fit(known), Popularity().fit(known)]


SHOWN: list[Row] = [
    ("a", "u", "i2", 1, 2 * DAY, True),
    ("a", "u", "i4", 2, 2 * DAY, False),
    ("a", "u", "i1", 3, 2 * DAY, False),
    ("b", "v", "i5", 90, 2 * DAY, True),
    ("b", "v", "i6", 91, 2 * DAY, False),
    ("c", "v", "i4", 1, 2 * DAY, True),
    ("c", "v", "unknown", 2, 2 * DAY, False),
    ("d", "nobody", "i4", 1, 2 * DAY, True),
    ("d", "nobody", "i5", 2, 2 * DAY, False),
]


def test_only_answers_that_tell_something_stay(past: Interactions) -> None:
    found = shown_examples(models(past), collected(SHOWN), past, ["x", "v"])
    assert found.answers == 2, "of c one item is left, and of d the listener is unknown"
    assert found.examples.group.tolist() == [2, 2], "what u had heard before is no candidate"
    assert found.examples.label.tolist() == [1, 0, 1, 0]
    assert found.examples.relevant.tolist() == [1, 1]
    assert found.place.tolist() == [1, 2, LAST_PLACE, LAST_PLACE]
    assert found.listener.tolist() == [-1, 1]


def test_features_are_those_of_serving_at_that_moment(past: Interactions) -> None:
    rating, found = models(past), None
    found = shown_examples(rating, collected(SHOWN[:3]), past, [])
    columns = np.asarray([rating[0].column[item] for item in ("i2", "i4")])
    history = past.before(START + 2 * DAY)
    row = history.users.index("u")
    heard = history.counts[[row]]
    assert history.items == rating[0].items
    served = propose(rate(rating, heard), heard, rating[0].popularity, per_model=60)
    at = [served.column.tolist().index(column) for column in columns]
    np.testing.assert_array_equal(found.examples.features, served.features[at])


def test_what_comes_after_a_showing_does_not_change_its_features(past: Interactions) -> None:
    later = ("u", "i4", 2 * DAY), ("u", "i5", 2 * DAY + 1), ("u", "i7", 9 * DAY)
    known = zip(past.user, past.item, past.time, strict=True)
    rows = [(past.users[user], past.items[item], int(time) - START) for user, item, time in known]
    planted = listens([*rows, *later, ("u", "i6", 2 * DAY - 1)])
    before, after, sooner = (
        shown_examples(models(past), collected(SHOWN[:3]), world, []).examples.features
        for world in (past, listens([*rows, *later]), planted)
    )
    np.testing.assert_array_equal(before, after)
    assert (before != sooner).any(), "what came before does"


def test_only_what_could_be_played_within_the_time_counts() -> None:
    rows = [row for day in (1, 5, 9) for row in (
        (f"a{day}", "u", "i1", 1, day * DAY, True), (f"a{day}", "u", "i2", 2, day * DAY, False),
    )]  # fmt: skip
    found = collected(rows)
    assert found.answers == 3
    window = found.between(START + 2 * DAY, START + 9 * DAY + PLAYED_WITHIN - 1)
    assert window.time.tolist() == [START + 5 * DAY] * 2
    assert window.answer.tolist() == [0, 0]


def test_files_hold_them(tmp_path: Path) -> None:
    found = collected(SHOWN)
    assert Exposures.open(tmp_path) is None
    found.save(tmp_path)
    again = Exposures.open(tmp_path)
    assert again is not None
    assert (again.users, again.items, again.plays) == (found.users, found.items, 4)
    np.testing.assert_array_equal(again.place, found.place)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop in which what the ranker needs of models is trained."""
    made = Workshop(tmp_path_factory.mktemp("models"))
    made.prepare(tastes(listeners=600))
    for name in (POPULARITY, EASE):
        made.train(name)
    return made


def test_the_ranker_learns_from_what_was_shown_and_keeps_what_it_learnt(workshop: Workshop) -> None:
    shown = collected(answers(workshop.listens(), each=4, since=65 * DAY, until=78 * DAY))
    workshop.show(shown)
    ranked = workshop.rank()
    assert not isinstance(ranked, str), ranked
    told = ranked.settings["shown"]
    assert told["learnt"], told
    assert told["plays"] >= 500
    assert told["answers"] <= shown.answers
    assert told["odds"]["1"] == 1 > told["odds"]["2"] > told["odds"]["5"] > 0
    assert ranked.settings["trees"]["objective"] == "lambdarank"
    kept = read(workshop.root / "work" / TWO_STAGE, TWO_STAGE)
    assert kept.settings["shown"] == told, "a release writes these settings into its manifest"
    seen = ranking.shown_metadata(told)
    assert seen["odds_by_place"].value.count("\n") == 11
    assert "data:image/svg+xml" in seen["worth_of_places"].value


def test_with_few_or_no_showings_the_trees_are_those_of_the_listens(workshop: Workshop) -> None:
    rows = answers(workshop.listens(), each=1, since=65 * DAY, until=78 * DAY)
    split = workshop.split()
    stages = {EASE: read(workshop.root / "work" / EASE, EASE)}
    late = [(*row[:4], row[4] + 20 * DAY, row[5]) for row in rows]
    none, few, later = (second_stage(split, stages, shown) for shown in (None, collected(rows[:1000]), collected(late)))
    assert not isinstance(none, str)
    assert not isinstance(few, str)
    assert not isinstance(later, str)
    assert few.settings["shown"]["learnt"] is later.settings["shown"]["learnt"] is False
    assert "500 are needed" in few.settings["shown"]["reason"]
    assert later.settings["shown"]["plays"] == 0, "what is played of it is not known at the cut-off"
    assert "shown" not in none.settings
    assert forest(none) == forest(few) == forest(later)


def forest(candidate: Candidate) -> str:
    """The trees of a candidate, as text."""
    assert isinstance(candidate.holdout, TwoStage)
    return candidate.holdout.trees


def test_the_asset_reads_what_was_shown_in_the_time_that_the_ranker_learns_from(
    make_settings: Callable[..., Settings], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(database_url=SecretStr(database_url))
    monkeypatch.setattr("music_assets.resources.settings", lambda: settings)
    world = tastes()
    workshop = Workshop(settings.model_root)
    workshop.prepare(world)
    rows = answers(world, each=1, since=50 * DAY, until=90 * DAY)
    with psycopg.connect(database_url) as connection:
        create_marts(connection)
        connection.cursor().executemany(
            "insert into marts.fct_recommendations values (%s, %s, %s, %s, %s, %s)",
            [(*row[:4], datetime.fromtimestamp((row[4] + START) / 1e6, UTC), row[5]) for row in rows],
        )
        since, until = workshop.teaching_time()
        few = Exposures.collect(read_exposures(connection, since=since, until=until, most=5))
    result = dg.materialize([ranking.exposures], resources={"platform": PlatformResource()})
    [event] = result.asset_materializations_for_node("recommender__exposures")
    expected = collected(rows).between(since, until)
    assert 20 < expected.answers < 100
    assert event.metadata["answers"].value == expected.answers
    assert event.metadata["plays"].value == expected.plays
    assert few.answers == 5
    kept = Exposures.open(settings.model_root / "work" / "exposures")
    assert kept is not None
    for name in ("answer", "place", "time", "played"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(expected, name))
    assert [kept.users[user] for user in kept.user] == [expected.users[user] for user in expected.user]
