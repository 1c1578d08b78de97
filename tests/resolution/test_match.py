from __future__ import annotations

from hashlib import sha256
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from music_assets.resolution.match import ACTIVE, ArtistName, Match, TrackName, match_artists, match_tracks
from music_assets.resolution.names import artist_key, split_credit, title_key


def artist(name: str, *titles: str, weight: int = 1) -> ArtistName:
    return ArtistName(item_id=f"artist:{name}", name=name, weight=weight, titles=frozenset(map(title_key, titles)))


def led(matches: list[Match]) -> dict[str, str]:
    return {
        match.item_id.partition(":")[2]: match.canonical_id.partition(":")[2]
        for match in matches
        if match.confidence >= ACTIVE
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "Beatles"),
        ("Simon & Garfunkel", "SIMON AND GARFUNKEL"),
        ("Björk", "Bjork"),
        ("P!nk", "Pnk"),
        ("Gang Starr", "Gangstarr"),
        ("Kool & The Gang", "Kool + Gang"),
        ("Het Goede Doel", "Goede Doel"),
        ("Мумий Тролль", "Mumiy Troll"),
        ("Thirty Seconds to Mars", "30 Seconds To Mars"),
    ],
)
def test_spellings_of_one_name_are_one_artist(one: str, other: str) -> None:
    assert led(match_artists([artist(one, weight=9), artist(other)])) == {other: one}


def test_one_id_of_musicbrainz_is_one_item_under_any_name() -> None:
    names = ("The Artist Formerly Known As", "Prince")
    artists = [ArtistName(item_id=f"artist:{name}", name=name, mbid="070d193a") for name in names]
    assert led(match_artists([*artists, artist("Elvis")])) == {"Prince": names[0]}

    tracks = [
        TrackName(item_id=f"track:{title}", title=title, artist_id=title, duration_ms=length, mbid="5b11f4ce")
        for title, length in (("Low Tide", 200_000), ("Ebbe", 100_000))
    ]
    assert led(match_tracks(tracks, {})) == {"Ebbe": "Low Tide"}


def test_an_id_that_everybody_has_says_nothing() -> None:
    names = [letter * 8 for letter in "abcdefghijklm"]
    artists = [ArtistName(item_id=f"artist:{name}", name=name, mbid="89ad4ac3") for name in names]
    assert led(match_artists(artists)) == {}
    assert len(led(match_artists(artists[1:]))) == len(names) - 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Blink 182", "Blink 183"),
        ("Ryan Adams", "Bryan Adams"),
        ("Carl Douglas", "Carol Douglas"),
        ("X", "XX"),
        ("The The", "The Them"),
        ("Malcolm X", "Malcolm"),
        ("Marshmello & Khalid", "Marshmello & Anne-Marie"),
        ("!!!", "???"),
        ("The Ex", "Los Ex"),
    ],
)
def test_names_that_only_look_alike_stay_two(one: str, other: str) -> None:
    assert led(match_artists([artist(one), artist(other)])) == {}


def test_another_letter_counts_with_a_title_in_common_and_is_proposed_without() -> None:
    alone = match_artists([artist("Gipsy Kings", "Bamboleo", weight=9), artist("Gypsy Kings", "Volare")])
    assert [(match.method, match.confidence) for match in alone] == [("spelling", 0.75)]
    together = match_artists([artist("Gipsy Kings", "Bamboleo", weight=9), artist("Gypsy Kings", "Bamboléo")])
    assert led(together) == {"Gypsy Kings": "Gipsy Kings"}


def test_a_title_that_everybody_has_says_nothing() -> None:
    crowd = [artist(f"Somebody {letter * 9}", "Intro") for letter in "bcdfghjk"]
    pair = [artist("Gianna Nannini", "Intro", weight=9), artist("Giani Nannini", "Intro")]
    assert led(match_artists(pair)) == {"Giani Nannini": "Gianna Nannini"}
    assert led(match_artists([*pair, *crowd])) == {}


def test_a_credit_leads_to_its_main_artist_if_that_is_met_alone() -> None:
    names = ["David Guetta", "David Guetta Ft. Akon", "DAVID GUETTA feat. Sia", "Mc 900 Ft. Jesus", "Akon"]
    found = led(match_artists([artist(name) for name in names]))
    assert found == {"David Guetta Ft. Akon": "David Guetta", "DAVID GUETTA feat. Sia": "David Guetta"}


def test_two_with_a_common_guest_do_not_become_one() -> None:
    names = ["Rihanna", "Rihanna Ft. Drake", "Drake", "Drake Ft. Rihanna"]
    found = led(match_artists([artist(name, weight=9 if " " not in name else 1) for name in names]))
    assert found.keys() == {"Rihanna Ft. Drake", "Drake Ft. Rihanna"}


def test_what_a_match_leads_to_leads_nowhere_else() -> None:
    names = ["Beatles", "The Beatles", "the BEATLES!", "The Beatles Ft. Billy Preston", "Beatles & Billy Preston"]
    found = match_artists([artist(name, weight=at) for at, name in enumerate(names)])
    assert {match.canonical_id for match in found}.isdisjoint(match.item_id for match in found)


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_names_give_links_without_chains_or_circles(names: list[str]) -> None:
    artists = [artist(name) for name in dict.fromkeys(names)]
    active = [match for match in match_artists(artists) if match.confidence >= ACTIVE]
    assert {match.canonical_id for match in active}.isdisjoint(match.item_id for match in active)
    assert len({match.item_id for match in active}) == len(active)


def test_names_are_not_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def distance(*args: str, **options: int) -> int:
        nonlocal compared
        compared += 1
        return OSA.distance(*args, **options)

    monkeypatch.setattr("music_assets.resolution.match.OSA", SimpleNamespace(distance=distance))
    match_artists([artist(sha256(str(at).encode()).hexdigest()[:12], f"t{at}") for at in range(4000)])
    assert compared < 4000, "each with each would be eight million"


def test_the_same_title_of_the_same_artist_is_one_recording() -> None:
    def track(item: str, title: str, by: str, weight: int = 1, duration_ms: int | None = None) -> TrackName:
        return TrackName(item_id=item, title=title, artist_id=by, weight=weight, duration_ms=duration_ms)

    tracks = [
        track("track:a", "Let It Be", "artist:1", weight=9, duration_ms=243_000),
        track("track:b", "Let it be - Remastered 2009", "artist:2", duration_ms=243_500),
        track("track:c", "LET IT BE", "artist:1"),
        track("track:d", "Let It Be (Live)", "artist:1", duration_ms=243_000),
        track("track:e", "Let It Be", "artist:3"),
        track("track:f", "Let It Be", "artist:1", duration_ms=180_000),
    ]
    found = {
        match.item_id: (match.canonical_id, match.method) for match in match_tracks(tracks, {"artist:2": "artist:1"})
    }
    assert found == {
        "track:b": ("track:a", "same_title_and_length"),
        "track:c": ("track:a", "same_title"),
        "track:f": ("track:a", "same_title_other_length"),
    }


@pytest.mark.parametrize(
    ("name", "main", "guests"),
    [
        ("Gotye Ft. Kimbra", "Gotye", "Kimbra"),
        ("Drake (feat. Wizkid & Kyla)", "Drake", "Wizkid & Kyla"),
        ("Iggy Pop Ft, Kate Pierson", "Iggy Pop", "Kate Pierson"),
        ("Simon & Garfunkel", "Simon & Garfunkel", ""),
        ("Feat", "Feat", ""),
        ("Ft. Nobody", "Ft. Nobody", ""),
    ],
)
def test_a_credit_is_split_at_its_guests(name: str, main: str, guests: str) -> None:
    assert split_credit(name) == (main, guests)


def test_a_key_is_never_empty() -> None:
    for name in ("The", "The The", "&", "x", "!!!", "de", "ツ", "and and"):
        assert artist_key(name)
