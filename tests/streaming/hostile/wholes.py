"""What is no message of a topic at all, what no model knows, and versions."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Final

from streaming.nesting import MAX_DEPTH
from streaming.parse import MAX_BYTES, Reason
from streaming.topics import topics
from tests.streaming.hostile.case import Case, base, cases_of, encode, spliced

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAVY: Final = frozenset({"events_listens", "catalog_songs", "music_recommendations"})
"""Topics that get the large ones: one of each family."""


def no_events() -> Iterator[Case]:
    """What is no event on any topic."""
    for topic in topics():
        good = encode(base(topic, "whole"))
        text = good.decode()
        bodies: dict[str, tuple[bytes, Reason]] = {
            "empty": (b"", Reason.EMPTY_MESSAGE),
            "large": (b'{"a":"' + b"x" * 1_000_000 + b'"}', Reason.TOO_LARGE),
            "one byte too large": (good + b" " * (MAX_BYTES + 1 - len(good)), Reason.TOO_LARGE),
            "random bytes": (bytes(range(255, 127, -1)), Reason.NOT_UTF8),
            "latin-1": ('{"user_id":"Björk"}'.encode("latin-1"), Reason.NOT_UTF8),
            "overlong slash": (good[:-1] + b',"x":"\xc0\xaf"}', Reason.NOT_UTF8),
            "surrogate bytes": (good[:-1] + b',"x":"\xed\xa0\x80"}', Reason.NOT_UTF8),
            "cut inside a character": (encode({"a": "ü"})[:-3], Reason.NOT_UTF8),
            "utf-16": (text.encode("utf-16"), Reason.NOT_UTF8),
            "utf-32": (text.encode("utf-32"), Reason.NOT_UTF8),
            "gzip": (gzip.compress(good, mtime=0), Reason.NOT_UTF8),
            "zlib": (zlib.compress(good), Reason.NOT_UTF8),
            "utf-16 without a mark": ('{"a":1}'.encode("utf-16-le"), Reason.MALFORMED_JSON),
            "byte order mark": (b"\xef\xbb\xbf" + good, Reason.MALFORMED_JSON),
            "cut": (good[: len(good) // 2].rstrip(b"\xc3"), Reason.MALFORMED_JSON),
            "last brace cut": (good[:-1], Reason.MALFORMED_JSON),
            "white space": (b" \t\r\n", Reason.MALFORMED_JSON),
            "NUL": (b"\x00", Reason.MALFORMED_JSON),
            "NUL behind": (good + b"\x00", Reason.MALFORMED_JSON),
            "form feed before": (b"\x0c" + good, Reason.MALFORMED_JSON),
            "no-break space before": ("\u00a0".encode() + good, Reason.MALFORMED_JSON),
            "two in one": (good + good, Reason.MALFORMED_JSON),
            "two lines": (good + b"\n" + good, Reason.MALFORMED_JSON),
            "one comma more": (good[:-1] + b",}", Reason.MALFORMED_JSON),
            "comment": (b"/* */" + good, Reason.MALFORMED_JSON),
            "single quotes": (b"{'user_id':'u'}", Reason.MALFORMED_JSON),
            "NaN": (b"NaN", Reason.MALFORMED_JSON),
            "cut array": (b'["listen"', Reason.MALFORMED_JSON),
            "open brackets": (b"[" * 200_000, Reason.MALFORMED_JSON),
            "open objects": (b'{"a":' * 40_000, Reason.MALFORMED_JSON),
            "quotes and backslashes": (b'{"a":"' + b"\\" * 200_000, Reason.MALFORMED_JSON),
            "escaped quotes without end": (b'{"a":' + b"[" * 65 + b'"' + b'\\"' * 100_000, Reason.MALFORMED_JSON),
            "null": (b"null", Reason.NOT_AN_OBJECT),
            "true": (b"true", Reason.NOT_AN_OBJECT),
            "number": (b"-0", Reason.NOT_AN_OBJECT),
            "huge number": (b"1e999", Reason.NOT_AN_OBJECT),
            "text": (b'"{}"', Reason.NOT_AN_OBJECT),
            "empty array": (b"[]", Reason.NOT_AN_OBJECT),
            "array of one": (b"[" + good + b"]", Reason.NOT_AN_OBJECT),
        }
        for name, (value, reason) in bodies.items():
            if len(value) < 10_000 or topic in _HEAVY:
                yield Case(name, topic, value, reason)
        yield Case("empty object", topic, b"{}", Reason.MISSING_FIELD, _first_required(topic))
        if not topics()[topic].compacted:
            yield Case("tombstone", topic, None, Reason.EMPTY_MESSAGE)


def _first_required(topic: str) -> str:
    return next(name for name, info in topics()[topic].model.model_fields.items() if info.is_required())


def unknown_fields() -> Iterator[Case]:
    """What no model knows is skipped, whatever it holds, as long as the whole is JSON."""
    for topic in topics():
        deepest = MAX_DEPTH - 1
        good: dict[str, bytes] = {
            "unknown null": b'"x":null',
            "unknown empty key": b'"":1',
            "unknown huge float": b'"x":1e999',
            "unknown 5000 digits": b'"x":' + b"9" * 5000,
            "unknown column of the lake": b'"kafka_offset":-1,"deleted":true,"ingested_at":"x","reason":7',
            "unknown key twice": b'"x":1,"x":{"x":1,"x":2}',
            "unknown as deep as may be": b'"x":' + b"[" * deepest + b"]" * deepest,
            "unknown brackets in text": b'"x":"' + b"[{" * 5000 + b'\\"]"',
            "unknown 20000 keys": b",".join(b'"k%d":1' % number for number in range(20_000)),
            "unknown 40000 floats": b'"x":[' + b",".join([b"1e308"] * 40_000) + b"]",
            "unknown case of a key": b'"USER_ID":7,"Item_Id":7,"NAME":7',
            "unknown dunder": b'"__class__":"os.system","__proto__":{},"constructor":1',
        }
        for name, fragment in good.items():
            if len(fragment) > 20_000 and topic not in _HEAVY:
                continue
            yield Case(name, topic, spliced(topic, name, fragment))
        bad: dict[str, bytes] = {
            "unknown one level too deep": b'"x":' + b"[" * (deepest + 1) + b"]" * (deepest + 1),
            "unknown far too deep": b'"x":' + b"[" * 50_000 + b"]" * 50_000,
            "unknown NaN": b'"x":NaN',
            "unknown Infinity": b'"x":[-Infinity]',
            "unknown lone surrogate": b'"x":"\\ud800"',
            "unknown lone surrogate key": b'"\\udfff":1',
            "unknown swapped surrogates": b'"x":"\\udc00\\ud800"',
            "unknown raw control": b'"x":"\x01"',
            "unknown raw NUL": b'"x":"\x00"',
            "unknown raw tab": b'"x":"\t"',
            "unknown bad escape": b'"x":"\\x41"',
            "unknown short escape": b'"x":"\\u12"',
            "unknown leading zero": b'"x":01',
            "unknown half a word": b'"x":tru',
            "unknown no value": b'"x"',
            "unknown number key": b"1:1",
        }
        for name, fragment in bad.items():
            if len(fragment) > 20_000 and topic not in _HEAVY:
                continue
            yield Case(name, topic, spliced(topic, name, fragment), Reason.MALFORMED_JSON)


def versions() -> Iterator[Case]:
    """The version is looked at before anything else."""
    unknown = Reason.UNKNOWN_SCHEMA_VERSION
    for text, reason in {
        "1": None, "2": unknown, "99": unknown, "2147483648": unknown, "9" * 30: unknown, "0": Reason.OUT_OF_RANGE,
        "-1": Reason.OUT_OF_RANGE, "1.0": Reason.WRONG_TYPE, "true": Reason.WRONG_TYPE, '"1"': Reason.WRONG_TYPE,
        "null": Reason.WRONG_TYPE, "[1]": Reason.WRONG_TYPE, "{}": Reason.WRONG_TYPE,
    }.items():  # fmt: skip
        for topic in topics():
            fragment = f'"schema_version":{text}'.encode()
            yield from cases_of(topic, {f"version {text}": (fragment, reason, "schema_version")})
    for topic in topics():
        wrong = b'"schema_version":2,"user_id":7,"name":7,"event_type":"skip","timestamp":0'
        yield from cases_of(topic, {"version 2 and all else wrong": (wrong, unknown, "schema_version")})
        yield from cases_of(topic, {"version twice": (b'"schema_version":2,"schema_version":1', None, None)})
