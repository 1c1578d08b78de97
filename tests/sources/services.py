"""Last.fm, Spotify and ListenBrainz on this machine: they know a true list of plays, and fail as they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fault = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True, order=True)
class Played:
    """A true play: milliseconds, artist, title."""

    at: int
    artist: str
    title: str


@dataclass
class World:
    """What the services know.

    Attributes:
        plays: of the one account.
        page: plays they give at once at most.
        faults: what goes wrong, by the number of the request from 0 on.
        before: called with the number of the request before it is answered.
        requests: paths with queries, as asked.
        others: answers to any other path or method of Last.fm: (status, value).
    """

    plays: list[Played]
    page: int = 50
    faults: dict[int, Fault] = field(default_factory=dict)
    before: Callable[[int], None] = lambda _: None
    requests: list[str] = field(default_factory=list)
    others: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def newest(self, since: int, before: int) -> list[Played]:
        return sorted((play for play in self.plays if since <= play.at < before), reverse=True)


def send(handler: BaseHTTPRequestHandler, value: Any, status: int = 200, **headers: str) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    given = {"content-type": "application/json", "content-length": str(len(body))}
    given |= {name.replace("_", "-"): text for name, text in headers.items()}
    handler.send_response(status)
    for name, text in given.items():
        handler.send_header(name, text)
    handler.end_headers()
    handler.wfile.write(body)


def limited(handler: BaseHTTPRequestHandler) -> None:
    send(handler, {"error": 29, "message": "Rate limit exceeded"}, 429, retry_after="0")


def broken(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"<html>oops</html>", 500, content_type="text/html")


def half(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b'{"recenttracks": {"tra', content_length="4000")
    handler.close_connection = True


def wrong_type(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"<html>log in</html>", content_type="text/html")


def wrong_shape(handler: BaseHTTPRequestHandler) -> None:
    send(handler, {"something": "else"})


def nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(2)


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)
    nothing(handler)


def refused(handler: BaseHTTPRequestHandler) -> None:
    send(handler, {"error": 6, "message": "no such user"}, 404)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Serve the world and give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            send(self, {"access_token": "fresh", "expires_in": 3600})

        def do_GET(self) -> None:
            number = len(world.requests)
            world.requests.append(self.path)
            world.before(number)
            fault = world.faults.pop(number, None)
            if fault is not None:
                fault(self)
            else:
                answer(self, world)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, world: World) -> None:
    parts = urlsplit(handler.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    asked = query.get("method", parts.path)
    if asked in world.others:
        status, value = world.others[asked]
        send(handler, value, status)
    elif asked == "user.getrecenttracks":
        send(handler, _lastfm(world, query))
    elif asked.endswith("/listens"):
        send(handler, _listenbrainz(world, query))
    elif asked == "/v1/me":
        send(handler, {"id": "me"})
    elif asked == "/v1/me/player/recently-played":
        send(handler, _spotify(world, query))
    else:
        send(handler, {"error": 6, "message": "unknown"}, 404)


def _lastfm(world: World, query: dict[str, str]) -> Any:
    # `from` counts in and `to` does not, as Last.fm was seen to do.
    found = world.newest(int(query["from"]) * 1000, int(query["to"]) * 1000)
    size, page = min(world.page, int(query["limit"])), int(query["page"])
    pages = -(-len(found) // size)
    if not found:
        return {"recenttracks": {"#text": "\n", "user": "me", "page": "0", "perPage": "50", "totalPages": "0"}}
    tracks: list[Any] = [
        {"artist": {"#text": play.artist, "mbid": ""}, "name": play.title, "mbid": "", "album": {"#text": ""},
         "date": {"uts": str(play.at // 1000), "#text": "some day"}}
        for play in found[(page - 1) * size : page * size]
    ]  # fmt: skip
    playing = {"artist": {"#text": "Now"}, "name": "Playing", "@attr": {"nowplaying": "true"}}
    return {
        "recenttracks": {
            "track": [playing, *tracks] if len(tracks) > 1 else tracks[0],
            "@attr": {"user": "me", "page": str(page), "totalPages": str(pages), "total": str(len(found))},
        }
    }


def _listenbrainz(world: World, query: dict[str, str]) -> Any:
    found = world.newest((int(query["min_ts"]) + 1) * 1000, int(query["max_ts"]) * 1000)[: world.page]
    listens = [
        {"listened_at": play.at // 1000, "track_metadata": {"artist_name": play.artist, "track_name": play.title}}
        for play in found
    ]
    return {"payload": {"count": len(listens), "listens": listens}}


def _spotify(world: World, query: dict[str, str]) -> Any:
    found = world.newest(int(query["after"]) + 1, 2**60)[:50]
    plays = [
        {"played_at": datetime.fromtimestamp(play.at / 1000, UTC).isoformat(timespec="milliseconds"),
         "track": {"id": spotify_id(play), "name": play.title, "artists": [{"id": "a" * 22, "name": play.artist}]}}
        for play in found
    ]  # fmt: skip
    return {"items": plays, "next": None, "cursors": None}


def spotify_id(play: Played) -> str:
    return f"{hash((play.artist, play.title)) % 10**20:022d}"
