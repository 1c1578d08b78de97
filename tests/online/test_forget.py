"""Who is erased leaves Redis, and the snapshot that the embedded one has on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import redis

from music_assets.forget import STORES
from music_assets.recommender import features
from music_assets.stack import servers
from streaming.errors import UnavailableError
from tests.fixtures.servers import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from music_assets.settings import Settings
    from tests.conftest import MakeSettings


@pytest.fixture
def embedded(make_settings: MakeSettings, tmp_path: Path) -> Iterator[Settings]:
    settings = make_settings()
    with running(servers.redis_server(settings), tmp_path):
        yield settings


def test_the_snapshot_forgets_as_well(embedded: Settings) -> None:
    gone, stays = str(uuid4()), str(uuid4())
    snapshot = embedded.music_home / "redis" / "redis.rdb"
    with redis.Redis.from_url(embedded.redis) as client:
        for listener in (gone, stays):
            client.set(features.key(listener), features.encode({"track:1": 2.0}))
        client.save()
        assert gone.encode() in snapshot.read_bytes()
        STORES["histories"](embedded, [gone])
        assert client.get(features.key(gone)) is None
        assert client.get(features.key(stays)) is not None
    assert gone.encode() not in snapshot.read_bytes()
    assert stays.encode() in snapshot.read_bytes()


def test_a_snapshot_that_cannot_be_written_is_said_and_asked_for_again(embedded: Settings) -> None:
    folder, gone = embedded.music_home / "redis", str(uuid4())
    with redis.Redis.from_url(embedded.redis) as client:
        client.set(features.key(gone), features.encode({"track:1": 2.0}))
        client.save()
        # No file can take the place of a folder.
        client.config_set("dbfilename", "folder")
        (folder / "folder" / "full").mkdir(parents=True)
        with pytest.raises(UnavailableError, match="snapshot"):
            STORES["histories"](embedded, [gone])
        client.config_set("dbfilename", "redis.rdb")
        STORES["histories"](embedded, [gone])
    assert gone.encode() not in (folder / "redis.rdb").read_bytes()
