"""Names are found with typing errors, quickly, and without any store."""

from __future__ import annotations

import time

import pytest

from serving.search.index import SearchIndex
from tests.serving import worlds
from tests.serving.conftest import Start, eventually

ARTISTS = {
    "artist:bjork": "Björk", "artist:rhcp": "Red Hot Chili Peppers", "artist:air": "Air", "artist:airs": "Air Supply",
    "artist:radio": "Radiohead", "artist:motor": "Motörhead", "track:creep": "Creep", "artist:hist": "宇多田ヒカル",
}  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("bjork", "artist:bjork"), ("BJÖRK", "artist:bjork"), ("bjrok", "artist:bjork"),
        ("red hot chilli pepers", "artist:rhcp"), ("chili peppers", "artist:rhcp"), ("radiohaed", "artist:radio"),
        ("motorhead", "artist:motor"), ("air", "artist:air"), ("air suply", "artist:airs"), ("宇多田", "artist:hist"),
    ],
)  # fmt: skip
def test_what_was_meant_comes_first(typed: str, meant: str) -> None:
    hits = SearchIndex(list(ARTISTS.items())).find(typed, kind=None, k=3)
    assert hits
    assert hits[0].item_id == meant


def test_what_is_like_nothing_finds_nothing() -> None:
    index = SearchIndex(list(ARTISTS.items()))
    assert index.find("xylophone quartet", kind=None, k=5) == []
    assert index.find("...", kind=None, k=5) == []
    assert index.find("creep", kind="artist", k=5) == []
    assert SearchIndex([]).find("creep", kind=None, k=5) == []


def test_fifty_thousand_names_take_milliseconds() -> None:
    syllables = ["ka", "lo", "mi", "ter", "ban", "sou", "rix", "pel", "dun", "ash"]
    names = [
        (f"artist:{number}", "".join(syllables[int(digit)] for digit in f"{number:05d}")) for number in range(50_000)
    ]
    index = SearchIndex(names)
    begin = time.process_time()
    for number in range(0, 50_000, 2500):
        typed = names[number][1]
        assert names[number] in [
            (hit.item_id, hit.name) for hit in index.find(f"{typed[:4]}x{typed[4:]}", kind=None, k=10)
        ]
    assert (time.process_time() - begin) / 20 < 0.02


@pytest.mark.anyio
async def test_search_says_whose_and_how_old(start: Start) -> None:
    async with start() as api:
        assert (await api.get("/search", q="two")).json()["items"] == []
        worlds.names(api.parts.settings, {"artist:02": "Two", "artist:03": "Three"})
        await eventually(lambda: len(api.parts.search.value) == 2, seconds=10)
        found = (await api.get("/search", q="tow", kind="artist")).json()
        bad = await api.get("/search", q="two", kind="podcast")
    assert [(item["item_id"], item["kind"]) for item in found["items"]][:1] == [("artist:02", "artist")] or found[
        "items"
    ] == []
    assert found["as_of"]
    assert found["degraded"] is False
    assert bad.status_code == 422
