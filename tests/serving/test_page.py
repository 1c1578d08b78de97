"""The built page's files and what a browser may keep of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serving import page

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving.conftest import Start

pytestmark = pytest.mark.anyio


async def test_the_built_page_is_served_to_everybody(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dist = tmp_path / "dist"
    monkeypatch.setattr(page, "DIST", dist)
    async with start(api_auth="keys") as api:
        missing = await api.get("/app/")
        (dist / "assets").mkdir(parents=True)
        (dist / "index.html").write_text("<title>Page</title>", encoding="utf-8")
        (dist / "assets" / "index-1a2b.js").write_text("1", encoding="utf-8")
        home = await api.get("/")
        index, route = await api.get("/app/"), await api.get("/app/operator/topics")
        script = await api.get("/app/assets/index-1a2b.js")
        nothing, outside = await api.get("/app/assets/none.js"), await api.get("/app/..%2f..%2fpyproject.toml")
        etag = {"if-none-match": index.headers["etag"]}
        again = await api.client.get("/app/", headers=etag)
    assert (missing.status_code, "`make web`" in missing.json()["detail"]) == (404, True)
    assert (home.status_code, home.headers["location"]) == (307, "/app/")
    assert index.text == route.text == "<title>Page</title>"
    assert index.headers["cache-control"] == route.headers["cache-control"] == "no-cache"
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "script-src 'self';" in index.headers["content-security-policy"]
    assert [nothing.status_code, outside.status_code, again.status_code] == [404, 404, 304]
    assert nothing.headers["content-type"] == "application/problem+json"
