"""A collector whose process is killed with SIGKILL between pages: the next one goes on, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests.sources.services import Played, World, serving
from tests.sources.test_collectors import NOW, history, keyed

if TYPE_CHECKING:
    from tests.conftest import MakeSettings

ROOT: Final = Path(__file__).parents[2]

CHILD: Final = """
import json, os, sys
from datetime import datetime
import psycopg
from music_assets.settings import Settings
from music_assets.sources.books import Books
from music_assets.sources.collect import collect, opened
from music_assets.sources.listens import milliseconds

given = json.loads(sys.argv[1])
file = open(given["file"], "a")

class Topic:
    def send(self, plays):
        for play in plays:
            file.write(json.dumps([milliseconds(play.played_at), play.artist, play.title]) + "\\n")
        file.flush()
        os.fsync(file.fileno())
        return len(plays)

settings = Settings(_env_file=None, **given["settings"])
with psycopg.connect(given["database"], autocommit=True) as conn, opened(given["source"], settings) as found:
    collected = collect(found, Books(conn), Topic(), datetime.fromisoformat(given["now"]))
sys.exit(len(collected.errors))
"""


@pytest.mark.slow
@pytest.mark.parametrize("source", ["lastfm", "listenbrainz"])
@pytest.mark.parametrize("request_number", [1, 3])
def test_a_killed_process_loses_nothing(
    source: str, request_number: int, database_url: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    world = World(history(340))
    running: list[subprocess.Popen[bytes]] = []

    def kill(number: int) -> None:
        if number == request_number:
            running[0].kill()

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate source.cursors, source.fetches")
    with serving(world) as url:
        chosen = keyed(make_settings, url)
        names = ("lastfm_users", "lastfm_url", "listenbrainz_users", "listenbrainz_url")
        given: dict[str, Any] = {
            "file": str(tmp_path / "topic"), "source": source, "database": database_url, "now": NOW.isoformat(),
            "settings": {"lastfm_api_key": "key"} | {name: getattr(chosen, name) for name in names},
        }  # fmt: skip
        command = [sys.executable, "-c", CHILD, json.dumps(given)]
        world.before = kill
        running.append(subprocess.Popen(command, cwd=ROOT))
        assert running[0].wait(60) == -9
        before = (tmp_path / "topic").read_text().count("\n")
        assert 0 < before < len(world.plays)
        world.before = lambda _: None
        assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 0
    sent = Counter(Played(*json.loads(line)) for line in (tmp_path / "topic").read_text().splitlines())
    assert sent.keys() == set(world.plays)
    assert sum(sent.values()) - len(sent) <= 100
