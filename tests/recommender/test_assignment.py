"""Arms of an experiment: sticky, of the right size, independent of each other."""

from __future__ import annotations

import numpy as np
import pytest

from music_assets.recommender.assignment import Experiment, parse_experiment, position
from streaming.errors import ConfigurationError

LISTENERS = [f"listener-{number}" for number in range(20_000)]


def test_an_arm_is_what_it_was_on_every_machine() -> None:
    experiment = Experiment(name="bolder", arms=(("champion", 0.5), ("challenger", 0.5)))
    arms = [experiment.arm(f"listener-{number}") for number in range(8)]
    assert arms == [experiment.arm(f"listener-{number}") for number in range(8)]
    # Written down: a change of the hash would deal every running experiment anew.
    assert position("bolder", "listener-0") == pytest.approx(KNOWN, abs=1e-12)


KNOWN = 0.6784224370961336


def test_shares_are_kept_and_the_rest_takes_no_part() -> None:
    experiment = Experiment(name="bolder", arms=(("champion", 0.2), ("challenger", 0.1), ("shadow", 0.3)))
    arms = [experiment.arm(each) for each in LISTENERS]
    for arm, share in [("champion", 0.2), ("challenger", 0.1), ("shadow", 0.3), (None, 0.4)]:
        assert arms.count(arm) / len(arms) == pytest.approx(share, abs=4 * np.sqrt(share / len(arms)))


def test_positions_are_uniform_and_another_experiment_deals_anew() -> None:
    one, other = (np.array([position(name, each) for each in LISTENERS]) for name in ("one", "other"))
    for places in (one, other):
        counts, _ = np.histogram(places, bins=20, range=(0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8, "chi-squared, 19 degrees, 0.1 %"
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(LISTENERS))


def test_more_of_the_last_arm_moves_nobody_else() -> None:
    small = Experiment(name="bolder", arms=(("champion", 0.5), ("challenger", 0.1)))
    large = Experiment(name="bolder", arms=(("champion", 0.5), ("challenger", 0.5)))
    for listener in LISTENERS[:2000]:
        if small.arm(listener) is not None:
            assert small.arm(listener) == large.arm(listener)


def test_an_experiment_is_read_from_a_setting() -> None:
    assert parse_experiment("") is None
    assert parse_experiment("bolder:champion=0.5,challenger=0.5") == Experiment(
        name="bolder", arms=(("champion", 0.5), ("challenger", 0.5))
    )
    assert parse_experiment("a:challenger=1") == Experiment(name="a", arms=(("challenger", 1.0),))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bolder", "valid: NAME:ARM=SHARE"),
        ("bolder:", "valid: NAME:ARM=SHARE"),
        (":champion=1", "valid: NAME:ARM=SHARE"),
        ("a b:champion=1", "valid: NAME:ARM=SHARE"),
        ("a:best=0.5", "valid: champion, challenger, shadow"),
        ("a:champion", "valid: above 0, 1 at most"),
        ("a:champion=0", "valid: above 0, 1 at most"),
        ("a:champion=nan", "valid: above 0, 1 at most"),
        ("a:champion=2", "valid: above 0, 1 at most"),
        ("a:champion=0.5,champion=0.1", "once"),
        ("a:champion=0.6,shadow=0.5", "shares above 1"),
    ],
)
def test_what_is_no_experiment_is_named(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse_experiment(text)
