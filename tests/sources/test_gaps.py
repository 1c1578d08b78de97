"""Times without a look: named where plays are known from them, or where they are long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from music_assets.sources.gaps import Look, gaps

KEY = ("spotify", "me")


def at(hour: float) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)


def look(begin: float | None, end: float | None, outcome: str = "ok", account: str = "me") -> Look:
    return Look(
        "spotify", account, None if begin is None else at(begin), None if end is None else at(end), outcome
    )  # fmt: skip


def spans(looks: list[Look], plays: list[float] = [], now: float = 20) -> list[tuple[datetime, datetime, int]]:  # noqa: B006
    found = gaps(looks, {KEY: [at(hour) for hour in plays]}, at(now))
    return [(gap.since, gap.until, gap.plays) for gap in found]


def test_looks_that_meet_leave_no_gap() -> None:
    assert spans([look(0, 10), look(9, 15), look(15, 20)], [3, 12]) == []


def test_a_look_inside_a_longer_one_takes_nothing_from_it() -> None:
    assert spans([look(0, 15), look(2, 4), look(14, 20)], [10]) == []


def test_an_afternoon_without_a_look_is_named_with_the_plays_known_from_it() -> None:
    assert spans([look(0, 14), look(18, 20)], [13, 15, 17.5, 19]) == [(at(14), at(18), 2)]


def test_a_short_pause_counts_only_if_plays_are_known_from_it() -> None:
    assert spans([look(0, 14), look(15, 20)]) == []
    assert spans([look(0, 14), look(15, 20)], [14.5]) == [(at(14), at(15), 1)]


def test_a_long_silence_is_named_without_a_play() -> None:
    assert spans([look(0, 10), look(16, 20)]) == [(at(10), at(16), 0)]


def test_what_was_not_looked_at_since_ends_now() -> None:
    assert spans([look(0, 12)]) == [(at(12), at(20), 0)]


def test_a_failed_look_covers_only_what_it_reached_and_gives_its_outcome() -> None:
    [gap] = gaps([look(0, 10), look(16, 20, "limited"), look(None, None, "unavailable")], {}, at(20))
    assert (gap.since, gap.until, gap.outcomes) == (at(10), at(16), ("limited", "unavailable"))


def test_a_backfill_closes_a_gap_and_accounts_are_apart() -> None:
    looks = [look(0, 10), look(16, 20), look(0, 20, account="you")]
    assert [gap.account for gap in gaps(looks, {}, at(20))] == ["me"]
    assert gaps([*looks, look(9, 17)], {}, at(20)) == []


def test_an_account_that_was_never_read_has_no_gap_yet() -> None:
    assert spans([look(None, None, "refused")]) == []
