"""Single fields with values that are nearly, or only seem to be, what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.parse import Reason
from tests.streaming.hostile.case import MARK, Case, base, cases_of, encode

if TYPE_CHECKING:
    from collections.abc import Iterator


def numbers() -> Iterator[Case]:
    """Whole numbers, fractions and what looks like them."""
    far, kind = Reason.OUT_OF_RANGE, Reason.WRONG_TYPE
    whole: dict[str, Reason | None] = {
        "0": None, "-0": None, "86400000": None, "86400001": far, "-1": far, "9223372036854775807": far,
        "9223372036854775808": far, "-9223372036854775809": far, "18446744073709551616": far, "9" * 400: far,
        "9" * 5000: far, "9" * 200_000: far, "1.0": kind, "1e3": kind, "-0.0": kind, "1.5": kind, "1e308": kind,
        '"5"': kind, "true": kind, "false": kind, "[]": kind, "[5]": kind, "{}": kind, '""': kind, "null": None,
    }  # fmt: skip
    for text, reason in whole.items():
        name = f"ms_played {text[:25]} of {len(text)}"
        yield from cases_of("events_listens", {name: (f'"ms_played":{text}'.encode(), reason, "ms_played")})
    fractions: dict[str, Reason | None] = {
        "0": None, "-0": None, "-0.0": None, "5": None, "5.0": None, "4.999999999999999999999": None, "1e-400": None,
        "5.000000000000001": far, "-1e-300": far, "1e308": far, "1e309": far, "-1e309": far, "9" * 400: far,
        "0." + "3" * 5000: None, '"5"': kind, "true": kind, "null": kind, "[5]": kind, '"NaN"': kind,
        "5e0": None, "50e-1": None,
    }  # fmt: skip
    for text, reason in fractions.items():
        name = f"rating {text[:25]} of {len(text)}"
        yield from cases_of("events_ratings", {name: (f'"rating":{text}'.encode(), reason, "rating")})
    for text in ("NaN", "-Infinity", "+1", ".5", "1.", "1e", "0x10", "1_000", "01", "--1", "\u0661"):
        name = f"rating {text}"
        yield from cases_of("events_ratings", {name: (f'"rating":{text}'.encode(), Reason.MALFORMED_JSON, None)})
    for topic, name in (("events_listens", "ms_played"), ("events_listens", "context"), ("catalog_songs", "artist_id"),
                        ("events_views", "timestamp"), ("music_recommendations", "sources")):  # fmt: skip
        yield from cases_of(topic, {f"{name} 1e999": (f'"{name}":1e999'.encode(), kind, name)})
    # A number that no decoder would write; a wrong one does not hide that another field is to blame.
    yield from cases_of("events_listens", {"huge and wrong": (b'"x":1e999,"user_id":7', kind, "user_id")})


def texts() -> Iterator[Case]:
    """Strings: lengths, control characters, every plane of Unicode."""
    form, far, kind = Reason.BAD_FORMAT, Reason.OUT_OF_RANGE, Reason.WRONG_TYPE
    yield from cases_of("events_listens", {
        "text empty": (b'"user_id":""', far, "user_id"),
        "text 128 of four bytes": (('"user_id":"' + "😀" * 128 + '"').encode(), None, None),
        "text 129 of four bytes": (('"user_id":"' + "😀" * 129 + '"').encode(), far, "user_id"),
        "text 128 escaped pairs": (b'"user_id":"' + b"\\ud83d\\ude00" * 128 + b'"', None, None),
        "text long": (b'"user_id":"' + b"x" * 200_000 + b'"', far, "user_id"),
        "text escaped NUL": (b'"user_id":"a\\u0000b"', form, "user_id"),
        "text escaped line break": (b'"user_id":"a\\n"', form, "user_id"),
        "text escaped DEL": (b'"user_id":"\\u007f"', form, "user_id"),
        "text raw DEL": (b'"user_id":"\x7f"', form, "user_id"),
        "text long with NUL": (b'"user_id":"' + b"x" * 129 + b'\\u0000"', far, "user_id"),
        "text escaped solidus": (b'"context":"a\\/b\\"\\\\c"', None, None),
        "text lone surrogate": (b'"user_id":"\\ud800"', Reason.MALFORMED_JSON, None),
        "text of a byte order mark": (b'"context":"\\ufeff"', None, None),
        "text right to left": ('"context":"\u202e\u2066abc"'.encode(), None, None),
        "text line separator": ('"context":"a\u2028b\u0085"'.encode(), None, None),
        "text not a character": ('"context":"\uffff\U0010ffff"'.encode(), None, None),
        "text combining": (('"context":"e' + "\u0301" * 500 + '"').encode(), None, None),
        "text sql": (b"\"context\":\"'; DROP TABLE silver.events_listens; --\"", None, None),
        "text template": (b'"context":"${jndi:ldap://x}{{7*7}}%s%n"', None, None),
        "text path": (b'"source":"../../../../etc/passwd"', None, None),
        "text 513": (b'"context":"' + b"x" * 513 + b'"', far, "context"),
        "text number": (b'"context":7', kind, "context"),
        "text list": (b'"context":["a"]', kind, "context"),
        "text object": (b'"source":{"a":1}', kind, "source"),
        "text null": (b'"context":null,"source":null,"recommendation_id":null', None, None),
        "text empty optional": (b'"recommendation_id":""', far, "recommendation_id"),
        "key with escapes": (b'"user\\u005fid":"%b"' % MARK.encode(), None, None),
        "key twice, the last is wrong": (b'"user_id":7', kind, "user_id"),
        "key twice, the last is right": (b'"ms_played":"x","ms_played":5', None, None),
        "key 15000 times": (b",".join([b'"ms_played":"x"'] * 15_000), kind, "ms_played"),
        "id null": (b'"event_id":null,"user_id":"of nobody else"', None, None),
        "id empty": (b'"event_id":""', far, "event_id"),
        "id number": (b'"event_id":7', kind, "event_id"),
        "id 129": (b'"event_id":"' + b"x" * 129 + b'"', far, "event_id"),
        "who is missing as null": (b'"user_id":null', kind, "user_id"),
    })  # fmt: skip


def items() -> Iterator[Case]:
    """Item ids: kinds, blanks and lengths."""
    form, far = Reason.BAD_FORMAT, Reason.OUT_OF_RANGE
    for item, becomes in {
        "1": "track:1", "track:1": "track:1", "artist:a:b": "artist:a:b", "album: a": "album: a", "é": "track:é",
        "x" * 194: "track:" + "x" * 194, "track:" + "x" * 194: "track:" + "x" * 194, "\u200b": "track:\u200b",
    }.items():  # fmt: skip
        name = f"item {item[:12]} of {len(item)}"
        value = encode({**base("events_views", name), "item_id": item})
        yield Case(name, "events_views", value, holds={"item_id": becomes})
    refused: dict[str, Reason] = {
        "": far, " ": form, "\u3000": form, "track:": form, "track: ": form, "track:\u00a0": form, ":1": form,
        "Track:1": form, "podcast:1": form, "track\n": form, "x" * 195: far, "x" * 201: far,
        "track:" + "x" * 195: far, "http://x/track:1": form,
    }  # fmt: skip
    for item, reason in refused.items():
        name = f"item {item[:12]!r} of {len(item)}"
        message = {**base("events_views", name), "item_id": item}
        yield Case(name, "events_views", encode(message), reason, "item_id")
        yield Case(f"{name} without an id", "events_views", encode({**message, "event_id": None}), reason, "item_id")


def types() -> Iterator[Case]:
    """Event types: another topic's, nobody's, none."""
    for text, reason in {
        '"click"': Reason.WRONG_TOPIC, '"view"': Reason.WRONG_TOPIC, '"LISTEN"': Reason.UNKNOWN_EVENT_TYPE,
        '"listen "': Reason.UNKNOWN_EVENT_TYPE, '"skip"': Reason.UNKNOWN_EVENT_TYPE, '""': Reason.UNKNOWN_EVENT_TYPE,
        '"lis\\u0074en"': None, "null": Reason.WRONG_TYPE, "1": Reason.WRONG_TYPE, '["listen"]': Reason.WRONG_TYPE,
        '{"listen":1}': Reason.WRONG_TYPE, "true": Reason.WRONG_TYPE,
    }.items():  # fmt: skip
        fragment = f'"event_type":{text}'.encode()
        yield from cases_of("events_listens", {f"type {text}": (fragment, reason, "event_type")})
    wrong = b'"event_type":"rating","user_id":7'
    yield from cases_of("events_listens", {"type before the rest": (wrong, Reason.WRONG_TOPIC, "event_type")})


def times() -> Iterator[Case]:
    """Times: the ends of the calendar, zones, leap seconds, other ways to write them."""
    form, far, future, kind = Reason.BAD_FORMAT, Reason.OUT_OF_RANGE, Reason.FUTURE_TIME, Reason.WRONG_TYPE
    good = {
        "2026-01-01T00:00:00Z": "2026-01-01T00:00:00", "2026-01-01t00:00:00z": "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z": "2026-01-01T00:00:00", "2026-01-01T00:00:00-00:00": "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+23:59": "2025-12-31T00:01:00", "2026-01-01T00:00:00-23:59": "2026-01-01T23:59:00",
        "2026-01-01T00:00:00+0545": "2025-12-31T18:15:00", "2026-01-01T00:00:00.1Z": "2026-01-01T00:00:00.100000",
        "2026-01-01T00:00:00.123456789Z": "2026-01-01T00:00:00.123457", "2024-02-29T23:59:59Z": "2024-02-29T23:59:59",
        "1970-01-01T00:00:00Z": "1970-01-01T00:00:00", "1970-01-01T01:00:00+01:00": "1970-01-01T00:00:00",
        "2026-06-01T00:05:00Z": "2026-06-01T00:05:00", "2026-06-01T14:05:00+14:00": "2026-06-01T00:05:00",
        "2026-01-01T00:00:00." + "9" * 100_000 + "Z": "2026-01-01T00:00:01",
    }  # fmt: skip
    for text, moment in good.items():
        name = f"time {text[:40]}"
        value = encode({**base("events_listens", name), "timestamp": text})
        yield Case(name, "events_listens", value, holds={"timestamp": f"{moment}+00:00"})
    bad: dict[Reason, tuple[str, ...]] = {
        far: ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00", "1969-12-31T23:59:59Z",
              "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01", "1900-01-01T00:00:00Z"),
        future: ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-23:59", "9999-12-31T23:59:59+14:00",
                 "2026-06-01T00:05:00.000001Z", "2026-06-01T00:05:01Z", "2262-04-11T23:47:17Z", "2038-01-19T03:14:08Z"),
        form: ("", " ", "now", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00Z", "2026-01-01T00Z",
               "20260101T000000Z", "2026-1-1T00:00:00Z", "2026-01-01_00:00:00Z", "1767225600", "1767225600.5", "-1",
               "1767225600000", "2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
               "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z",
               "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "+2026-01-01T00:00:00Z", "-2026-01-01T00:00:00Z",
               "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+14:60", "2026-01-01T00:00:00+01",
               "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00 +01:00", "2026-01-01T00:00:00Z ",
               "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+01:00:30",
               "2026-W01-1T00:00:00Z", " 2026-01-01T00:00:00Z",
               "2026-01-01T00:00:00UTC", "2026-01-01T00:00:00CET", "2026-01-01T00:00:00[Europe/Berlin]",
               "2026-001T00:00:00Z", "2026-01-01T00:00:00\u221201:00", "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
               "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00Z\u0000", "Thu, 01 Jan 2026 00:00:00 GMT"),
    }  # fmt: skip
    for reason, moments in bad.items():
        for text in moments:
            name = f"time {text!r}"
            value = encode({**base("events_listens", name), "timestamp": text})
            by_clock = reason is future and text.startswith("2026")
            yield Case(name, "events_listens", value, reason, "timestamp", by_clock=by_clock)
    for value in (1767225600, 1767225600.5, 1e308, True, None, [], {}, ["2026-01-01T00:00:00Z"]):
        name = f"time as {value}"
        message = encode({**base("events_listens", name), "timestamp": value})
        yield Case(name, "events_listens", message, kind, "timestamp")
    for topic in ("catalog_artists", "music_recommendations"):
        name = "updated_at" if topic == "catalog_artists" else "timestamp"
        yield from cases_of(topic, {
            "time 9999": (f'"{name}":"9999-12-31T23:59:59-23:59"'.encode(), future, name),
            "time 0001": (f'"{name}":"0001-01-01T00:00:00+23:59"'.encode(), far, name),
            "time without zone": (f'"{name}":"2026-01-01T00:00:00"'.encode(), form, name),
            "time leap second": (f'"{name}":"2016-12-31T23:59:60Z"'.encode(), form, name),
        })  # fmt: skip
