"""Files that come through the API: on disk, queued under a listener id, carried out once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

from music_assets.sources import imports
from serving.imports.schemas import Kind
from tests.serving.conftest import Running, Start, messages
from tests.sources import samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.anyio


def history(artist: str, count: int = 10) -> bytes:
    return json.dumps(
        [
            samples.spotify(
                ts=f"2024-01-01T12:00:{n:02}Z", master_metadata_album_artist_name=artist, spotify_track_uri=None
            )
            for n in range(count)
        ]
    ).encode()


async def send(api: Running, content: Any, **query: str) -> httpx.Response:
    return await api.client.post("/imports", content=content, params={"kind": "spotify", "user_id": "me"} | query)


def carry_out(api: Running) -> None:
    imports.carry_out_waiting(api.parts.settings, progress=lambda _: None)


def files(api: Running) -> list[str]:
    return sorted(file.name for file in api.parts.settings.upload_root.glob("*"))


async def test_a_file_is_queued_carried_out_and_known_afterwards(start: Start, broker: str, database_url: str) -> None:
    content, person = history(artist := f"Artist {uuid4().hex}"), f"person-{uuid4().hex}"
    async with start() as api:
        answer = await send(api, content, user_id=person, file_name="my data.json")
        assert answer.status_code == 202
        found = answer.json()
        assert (found["status"], found["position"], found["file_name"]) == ("queued", 0, "my data.json")
        assert files(api) == [found["import_id"]]
        carry_out(api)
        done = (await api.get(f"/imports/{found['import_id']}")).json()
        assert (done["status"], done["position"], done["accepted"], done["rejected"]) == ("done", 10, 10, 0)
        assert files(api) == []
        again = await send(api, content, user_id=person, file_name="other name")
        assert (again.status_code, again.json()) == (200, done)
        assert files(api) == []
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select listener_id from source.imports where import_id = %s", (found["import_id"],)
        ).fetchone()
        listener = connection.execute(
            "select listener_id::text from identity.listener where user_id = %s", (person,)
        ).fetchone()
        everything = connection.execute("select array_agg(i::text) from source.imports i").fetchone()
    assert row == listener
    assert person not in str(everything)
    slug = artist.lower().replace(" ", "-")
    sent = [key for key, value in messages(broker, "events_listens") if f"track:{slug}" in str(value.get("item_id"))]
    assert sent == [listener[0]] * 10  # type: ignore[index]
    assert listener[0] not in str(done)  # type: ignore[index]


async def test_the_same_file_before_it_is_done_is_the_same_import(start: Start) -> None:
    content = history(f"Artist {uuid4().hex}")
    async with start() as api:
        first, second = await send(api, content), await send(api, content)
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json()["import_id"] == second.json()["import_id"]
        other = await send(api, content, user_id="somebody else")
        assert other.json()["import_id"] != first.json()["import_id"]
        assert len(files(api)) == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "tidal"}, "kind"), ({"zone": "Mars/Olympus"}, "zone"), ({"zone": "../../etc/passwd"}, "zone"),
        ({"file_name": "a\nb"}, "file_name"), ({"user_id": ""}, "user_id"), ({"user_id": "x" * 129}, "user_id"),
    ],
)  # fmt: skip
async def test_wrong_parameters_are_named(start: Start, query: dict[str, str], field: str) -> None:
    async with start() as api:
        answer = await send(api, b"[]", **query)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert files(api) == []


async def test_plays_of_nobody_are_refused_and_tables_of_tracks_need_nobody(start: Start) -> None:
    async with start() as api:
        answer = await api.client.post("/imports", content=b"x", params={"kind": "csv"})
        assert (answer.status_code, answer.json()["field"]) == (422, "user_id")
        answer = await api.client.post("/imports", content=uuid4().bytes, params={"kind": "kaggle_tracks"})
        assert answer.status_code == 202


async def in_pieces(size: int, piece: bytes = b" " * 65_536) -> AsyncIterator[bytes]:
    for _ in range(size // len(piece)):
        yield piece


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(start: Start) -> None:
    async with start(import_limit_mb=1) as api:
        for content in (b" " * ((1 << 20) + 1), in_pieces(8 << 20)):
            answer = await send(api, content)
            assert answer.status_code == 413
            assert "at most 1 MiB" in answer.json()["detail"]
        assert (await send(api, b"")).status_code == 422
        assert files(api) == []


async def test_an_upload_is_not_held_in_memory(start: Start) -> None:
    async with start() as api:
        tracemalloc.start()
        answer = await send(api, in_pieces(64 << 20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert answer.status_code == 202
        assert peak < 16 << 20
        assert (api.parts.settings.upload_root / answer.json()["import_id"]).stat().st_size == 64 << 20


class Usage(NamedTuple):
    total: int
    used: int
    free: int


async def test_a_full_disk_is_507_before_and_while_the_file_comes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    async with start() as api:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, 100 << 20))
            assert (await send(api, b"[]")).status_code == 507
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            assert (await send(api, b"[]")).status_code == 507
        assert files(api) == []
        assert (await send(api, b"[]")).status_code == 202


async def test_an_import_that_failed_says_why_and_can_be_resumed(start: Start) -> None:
    async with start() as api:
        import_id = (await send(api, f"no JSON {uuid4()}".encode())).json()["import_id"]
        carry_out(api)
        failed = (await api.get(f"/imports/{import_id}")).json()
        assert failed["status"] == "failed"
        assert "no Spotify export" in failed["error"]
        answer = await api.client.post(f"/imports/{import_id}/resume")
        assert (answer.status_code, answer.json()["status"]) == (200, "queued")
        assert "error" not in answer.json()
        carry_out(api)
        (api.parts.settings.upload_root / import_id).unlink()
        assert (await api.client.post(f"/imports/{import_id}/resume")).status_code == 409


async def test_an_unknown_import_is_404(start: Start) -> None:
    async with start() as api:
        assert (await api.get(f"/imports/{uuid4()}")).status_code == 404
        assert (await api.client.post(f"/imports/{uuid4()}/resume")).status_code == 404
        assert (await api.get("/imports/x")).status_code == 422


async def test_without_postgresql_it_is_503(start: Start) -> None:
    async with start(database_url="postgresql://music@127.0.0.1:1/music") as api:
        assert (await send(api, b"[]")).status_code == 503
        assert (await api.get(f"/imports/{uuid4()}")).status_code == 503


async def test_what_a_killed_upload_left_goes_after_a_day(start: Start) -> None:
    async with start() as api:
        root = api.parts.settings.upload_root
        root.mkdir(parents=True)
        for name, age in (("old.part", 90_000), ("new.part", 60)):
            (root / name).write_bytes(b"x")
            os.utime(root / name, (time.time() - age,) * 2)
        await send(api, b"[]")
        assert "old.part" not in files(api)
        assert "new.part" in files(api)


def test_the_api_has_every_kind() -> None:
    assert [kind.value for kind in Kind] == list(imports.ALL_KINDS)
