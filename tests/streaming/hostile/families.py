"""What only a catalogue or a recommendation can get wrong, and what Kafka gives besides the value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.parse import Reason
from streaming.topics import topics
from tests.streaming.hostile.case import MARK, Case, base, cases_of, encode

if TYPE_CHECKING:
    from collections.abc import Iterator


def catalogue() -> Iterator[Case]:
    """Records of the wrong kind, and references to it."""
    form, kind, far = Reason.BAD_FORMAT, Reason.WRONG_TYPE, Reason.OUT_OF_RANGE
    for topic, wrong in {
        "catalog_artists": (
            "track:1",
            "album:1",
            "1",
            "artist:",
            "artist: ",
            "Artist:1",
            "label:1",
            ":1",
            "artist:1\\n",
        ),
        "catalog_albums": ("track:1", "artist:1", "1", "album:", "album:\u3000", "label:1", "album:\\u0000"),
        "catalog_songs": ("artist:1", "album:1", "track:", "track: ", "a:b", ":1", "1\\u001f"),
    }.items():
        yield from cases_of(
            topic, {f"item {item}": (f'"item_id":"{item}"'.encode(), form, "item_id") for item in wrong}
        )
        long = f'"item_id":"{"x" * 201}"'.encode()
        yield from cases_of(
            topic, {"item too long": (long, far, "item_id"), "item 7": (b'"item_id":7', kind, "item_id")}
        )
        yield from cases_of(
            topic, {"name empty": (b'"name":""', far, "name"), "name list": (b'"name":[]', kind, "name")}
        )
    yield Case("bare", "catalog_songs", encode({"item_id": "bare", "name": "x"}), holds={"item_id": "track:bare"})
    yield Case("bare blank", "catalog_songs", encode({"item_id": " ", "name": "x"}), form, "item_id")
    yield Case("bare long", "catalog_songs", encode({"item_id": "x" * 195, "name": "x"}), far, "item_id")
    yield from cases_of("catalog_songs", {
        "artist bare": (b'"artist_id":"1"', form, "artist_id"),
        "artist an album": (b'"artist_id":"album:1"', form, "artist_id"),
        "album an artist": (b'"album_id":"artist:1"', form, "album_id"),
        "artist empty": (b'"artist_id":""', form, "artist_id"),
        "artist none": (b'"artist_id":null', None, None),
        "duration a fraction": (b'"duration_ms":1.5', kind, "duration_ms"),
        "duration a day": (b'"duration_ms":86400000', None, None),
    })  # fmt: skip


def recommendations() -> Iterator[Case]:
    """Lists that do not belong together."""
    topic, form, far, kind = "music_recommendations", Reason.BAD_FORMAT, Reason.OUT_OF_RANGE, Reason.WRONG_TYPE

    def of(name: str, reason: Reason | None, blamed: str | None, **fields: object) -> Case:
        return Case(name, topic, encode({**base(topic, name), **fields}), reason, blamed)

    yield of("no items", far, "item_ids", item_ids=[], sources=[], reasons=[])
    yield of("items with a null", kind, "item_ids", item_ids=["track:1", None])
    yield of("items nested", kind, "item_ids", item_ids=[["track:1"], ["2"]])
    yield of("items as text", kind, "item_ids", item_ids="track:1")
    yield of("items as object", kind, "item_ids", item_ids={"0": "track:1", "1": "track:2"})
    yield of("items null", kind, "item_ids", item_ids=None)
    yield of("second item blank", form, "item_ids", item_ids=["track:1", " "])
    yield of("second item a podcast", form, "item_ids", item_ids=["track:1", "podcast:2"])
    yield of("second item too long", far, "item_ids", item_ids=["track:1", "x" * 195])
    yield of("same item twice", None, None, item_ids=["1", "track:1"])
    yield of("fewer sources", far, "sources", sources=["a"])
    yield of("more sources", far, "sources", sources=["a", "b", "c"])
    yield of("no reasons", far, "reasons", reasons=[])
    yield of("both short", far, "sources", sources=[], reasons=[])
    yield of("empty source", far, "sources", sources=["a", ""])
    yield of("null reason", kind, "reasons", reasons=["a", None])
    yield of("reason with a line break", form, "reasons", reasons=["a", "b\n"])
    yield of("propensities", None, None, propensities=[1, 0.05], experiment="e", arm="champion")
    yield of("propensities null", None, None, propensities=None, experiment=None, arm=None)
    yield of("fewer propensities", far, "propensities", propensities=[0.5])
    yield of("no propensities", far, "propensities", propensities=[])
    yield of("propensity of nothing", far, "propensities", propensities=[0.5, 0])
    yield of("propensity above one", far, "propensities", propensities=[0.5, 1.1])
    yield of("propensity null", kind, "propensities", propensities=[0.5, None])
    yield of("propensity as text", kind, "propensities", propensities=["0.5", "0.5"])
    yield of("arm empty", far, "arm", arm="")
    yield of("200 items", None, None, item_ids=["1"] * 200, sources=["a"] * 200, reasons=["r" * 512] * 200)
    yield of("201 items", far, "item_ids", item_ids=["1"] * 201, sources=["a"] * 201, reasons=["r"] * 201)
    yield of("large items", Reason.TOO_LARGE, None, item_ids=["1"] * 200, sources=["a"] * 200,
             reasons=["😀" * 512] * 200)  # fmt: skip
    yield of("id null", kind, "event_id", event_id=None)
    yield of("anonymous", None, None, user_id="anonymous")


def identities() -> Iterator[Case]:
    """The same event id again: what the parser takes, silver counts."""
    for topic in ("events_listens", "events_ratings", "music_recommendations"):
        first = base(topic, "owned")
        yield Case("owned", topic, encode(first), key=b"one")
        yield Case("owned again", topic, encode(first), key=b"one", fate="duplicate")
        other = encode({**first, "user_id": "a thief"})
        yield Case("owned by another", topic, other, key=b"one", fate=Reason.EVENT_ID_OF_ANOTHER_LISTENER)
        # Another spelling of what is already there is no conflict, but a duplicate all the same.
        spelled = encode(dict(reversed(first.items()))).replace(MARK.encode(), b"\\u0073" + MARK[1:].encode())
        yield Case("owned spelled otherwise", topic, spelled, key=b"one", fate="duplicate")


def keys() -> Iterator[Case]:
    """Kafka's key only chooses the partition, the value says whose event it is; but a tombstone has only its key."""
    for name, key in {
        "none": None,
        "empty": b"",
        "binary": b"\xff\x00",
        "long": b"k" * 10_000,
        "liar": b"a thief",
    }.items():
        for topic in ("events_clicks", "music_recommendations"):
            yield Case(f"key {name}", topic, encode(base(topic, f"key {name}")), key=key)
    for topic in (name for name, each in topics().items() if each.compacted):
        kind = topic.removeprefix("catalog_").removesuffix("s").replace("song", "track")
        gone = {**base(topic, "gone"), "item_id": f"{kind}:gone"}
        yield Case("gone", topic, encode(gone), key=f"{kind}:gone".encode(), fate="deleted")
        yield Case("tombstone", topic, None, key=f"{kind}:gone".encode(), fate="deleted")
        yield Case("tombstone of nothing", topic, None, key=f"{kind}:never".encode(), fate="deleted")
        for name, key in {"no key": b"", "blank key": b" ", "binary key": b"\xff", "kind only": b"track:"}.items():
            yield Case(f"tombstone with {name}", topic, None, Reason.EMPTY_MESSAGE, key=key)
