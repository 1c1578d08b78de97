"""Who stands in for a source, and that what stands in says so."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

import pytest

from music_assets.sources.facts import ArtistRow, Fact, Origin, records
from music_assets.sources.fallback import (
    LASTFM_FIRST,
    SPOTIFY_FIRST,
    Ask,
    Provider,
    Resolver,
    Subject,
    choose,
    synthetic,
)
from music_assets.sources.http import FetchError, Outcome

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PASSING = [Outcome.LIMITED, Outcome.UNAVAILABLE, Outcome.MALFORMED]


@pytest.mark.parametrize("order", [LASTFM_FIRST, SPOTIFY_FIRST])
@pytest.mark.parametrize("outcome", PASSING)
def test_the_next_in_order_is_asked(order: tuple[Provider, ...], outcome: Outcome) -> None:
    for count in range(len(order)):
        for failed in combinations(order, count):
            chosen = choose(order, dict.fromkeys(failed, outcome))
            assert chosen == next(provider for provider in order if provider not in failed)
    assert choose(order, dict.fromkeys(order, outcome)) is None


def test_an_item_that_its_own_source_does_not_know_is_not_invented() -> None:
    assert choose(LASTFM_FIRST, {Provider.LASTFM: Outcome.REFUSED}) is None
    assert (
        choose(LASTFM_FIRST, {Provider.LASTFM: Outcome.LIMITED, Provider.SPOTIFY: Outcome.REFUSED}) is Provider.CACHED
    )


def tells(source: str, origin: Origin = Origin.LIVE) -> Ask:
    def ask(subject: Subject) -> list[Fact]:
        return [ArtistRow(source, subject.item_id, subject.artist, origin, NOW)]

    return ask


def fails(outcome: Outcome, status: int | None = None) -> Ask:
    def ask(_: Subject) -> list[Fact]:
        calls.append(1)
        raise FetchError(outcome, "away", status=status)

    calls: list[int] = []
    ask.calls = calls  # type: ignore[attr-defined]
    return ask


def test_a_source_that_is_away_is_asked_once_a_run() -> None:
    away = fails(Outcome.LIMITED)
    resolver = Resolver(LASTFM_FIRST, {Provider.LASTFM: away, Provider.SPOTIFY: tells("spotify")})
    found = [resolver.facts(Subject(f"Artist {number}"))[0] for number in range(3)]
    assert [fact.source for fact in found] == ["spotify"] * 3
    assert len(away.calls) == 1  # type: ignore[attr-defined]
    assert resolver.answered == {Provider.SPOTIFY: 3}


def test_a_locked_key_is_a_source_away_and_an_unknown_name_is_not() -> None:
    asks = {Provider.LASTFM: fails(Outcome.REFUSED, 403), Provider.SYNTHETIC: synthetic(NOW)}
    assert Resolver(LASTFM_FIRST, asks).facts(Subject("A"))
    asks[Provider.LASTFM] = fails(Outcome.REFUSED, 404)
    resolver = Resolver(LASTFM_FIRST, asks)
    assert resolver.facts(Subject("A")) == []
    assert resolver.unknown == [Subject("A")]


def test_an_invention_is_labelled_repeatable_and_no_record() -> None:
    first, second = (synthetic(NOW)(Subject("Nobody", "Nothing")) for _ in range(2))
    assert first == second
    assert [(fact.source, getattr(fact, "origin", None)) for fact in first] == [("synthetic", "synthetic")]
    assert list(records(first)) == []
