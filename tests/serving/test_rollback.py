"""Rollback under load: the API as a process of its own, the command as a person types it, and no request that fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from music_assets.recommender import bundle
from music_assets.settings import child_environment
from tests.serving import worlds
from tests.serving.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.settings import Settings
    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio

CLIENTS = 8
BACK_SECONDS = 30.0


@dataclass
class Load:
    """What clients saw: when, status, version."""

    seen: list[tuple[float, int, str | None]] = field(default_factory=list)
    over: bool = False

    async def run(self, client: httpx.AsyncClient, number: int) -> None:
        while not self.over:
            try:
                answer = await client.get("/recommend", params={"user_id": f"u{number}", "k": 5})
                version = answer.json().get("model_version") if answer.status_code == 200 else None
                self.seen.append((time.monotonic(), answer.status_code, version))
            except httpx.HTTPError:
                self.seen.append((time.monotonic(), 0, None))

    async def first(self, version: str, *, after: float) -> float:
        """Return the seconds from a moment to the first answer of a version."""
        await eventually(lambda: any(at > after and shown == version for at, _, shown in self.seen), seconds=60)
        return min(at for at, _, shown in self.seen if at > after and shown == version) - after


@contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    api = subprocess.Popen(
        [sys.executable, "-m", "serving"], env=child_environment(settings), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield api
    finally:
        api.terminate()
        api.wait(20)


async def music(settings: Settings, *arguments: str) -> str:
    command = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("music"), "model", *arguments, env=child_environment(settings),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await command.communicate()
    assert command.returncode == 0, said.decode()
    return said.decode()


async def test_rollback_under_load_fails_no_request(
    make_settings: MakeSettings, broker: str, database_url: str, redis_url: str
) -> None:
    settings = make_settings(kafka_bootstrap_servers=broker, database_url=database_url, redis_url=redis_url)
    first, second = (worlds.release(settings.model_root) for _ in range(2))
    load, url = Load(), f"http://127.0.0.1:{settings.api_port}"
    with process(settings) as api:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            await eventually(lambda: _answers(client), seconds=60)
            clients = [asyncio.create_task(load.run(client, number)) for number in range(CLIENTS)]
            took = []
            for arguments, goal in [(["rollback"], first), (["promote", second], second)]:
                begin = time.monotonic()
                assert f"{goal} serves" in await music(settings, *arguments)
                took.append(await load.first(goal, after=begin))
            load.over = True
            await asyncio.gather(*clients)
        assert api.poll() is None, "the API is the process that was started"
    assert bundle.champion(settings.model_root) == second
    statuses = [status for _, status, _ in load.seen]
    assert len(statuses) >= 300, "too few to say anything"
    assert {*statuses} == {200}, f"{sum(status != 200 for status in statuses)} of {len(statuses)} requests failed"
    assert max(took) < BACK_SECONDS, took


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/recommend", params={"user_id": "a"})).status_code == 200
    except httpx.HTTPError:
        return False
