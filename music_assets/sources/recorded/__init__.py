"""Recorded answers of an invented world, for who has no key: the collectors' whole way without a network.

A file is found by what is asked: `lastfm/<method>.<artist>.<track>.json`, `spotify/<path with dashes>.json`,
`listenbrainz/<last part of the path>.json`. What is not recorded is the source's own 404.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx

from music_assets.sources import items

_ROOT: Final = Path(__file__).parent
ACCOUNT: Final = "recorded"
"""The account whose plays are recorded."""

_JSON: Final = {"content-type": "application/json"}


class RecordedTransport(httpx.BaseTransport):
    """Answers requests from the files of one source."""

    def __init__(self, source: str) -> None:
        self._folder = _ROOT / source

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        file = self._folder / f"{_name(request.url)}.json"
        if not file.is_file():
            return httpx.Response(404, headers=_JSON, content=b'{"error": 6, "message": "not recorded"}')
        return httpx.Response(200, headers=_JSON, content=file.read_bytes())


def _name(url: httpx.URL) -> str:
    method = url.params.get("method")
    if method is not None:
        subject = [items.normal(url.params[part]) for part in ("artist", "track") if part in url.params]
        return ".".join([str(method), *(part.replace(" ", "-") for part in subject)])
    parts = [part for part in url.path.split("/") if part not in {"", "1", "v1"}]
    return parts[-1] if parts[0] == "user" else "-".join(parts)
