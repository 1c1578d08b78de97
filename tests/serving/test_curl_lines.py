"""The lines that people copy from the documentation, asked of a real API in their order."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

import httpx
import psycopg
import pytest

from streaming.lake import Lake
from tests.conftest import ROOT
from tests.serving import marts, worlds
from tests.serving.conftest import Running, Start, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

HOST = "localhost:8000"


class Line(NamedTuple):
    """A call of curl."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None


def lines(text: str) -> Iterator[Line]:
    """Yield the calls of curl in the shell blocks of a page."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for command in block.replace("\\\n", " ").splitlines():
            if command.startswith("curl "):
                yield _read(shlex.split(command, comments=True)[1:])


def _read(words: list[str]) -> Line:
    method, url, headers, body = "", "", {}, None
    rest = iter(words)
    for word in rest:
        match word:
            case "-s" | "-N":
                continue
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-d":
                body = next(rest)
            case "-o":
                next(rest)
            case _ if word.startswith("-"):
                raise AssertionError(f"this test does not know {word}")
            case _:
                url = word
    assert url.startswith(HOST), url
    return Line(method or ("GET" if body is None else "POST"), url.removeprefix(HOST), headers, body)


@pytest.fixture
async def api(start: Start, database_url: str):  # type: ignore[no-untyped-def]
    with psycopg.connect(database_url) as connection:
        marts.plant(connection)
    async with start() as running:
        settings = running.parts.settings
        worlds.names(settings, {"track:1": "Song", "artist:04": "Four"})
        worlds.chart(settings, {"artist:04": 3.0})
        Lake(settings.storage).create_all()
        worlds.release(settings.model_root)
        await eventually(lambda: running.parts.models.current is not None and bool(running.parts.names.value))
        await eventually(lambda: running.parts.search.value is not None, seconds=15)
        yield running


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
async def test_every_line_is_answered_with_success(api: Running, page: str) -> None:
    found = list(lines((ROOT / page).read_text("utf-8")))
    assert len(found) >= 3
    # Whoever copies the pages' other lines has sent something before.
    first = next(line for line in lines((ROOT / "README.md").read_text("utf-8")) if line.body)
    for line in [first, *found]:
        answer = await _asked(api, line)
        assert answer.is_success, f"{line.method} {line.path}: {answer.status_code} {answer.text[:300]}"


async def _asked(api: Running, line: Line) -> httpx.Response:
    return await api.client.request(line.method, line.path, headers=line.headers, content=line.body)
