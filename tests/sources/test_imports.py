"""Imports: every record counted once, however often the process dies and the file is handed in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from music_assets.settings import Settings, child_environment
from music_assets.sources import import_table, imports
from music_assets.sources.import_table import Import
from streaming.errors import ConfigurationError, UnavailableError
from tests.conftest import ROOT, MakeSettings
from tests.serving.conftest import messages
from tests.sources import samples


@pytest.fixture
def settings(make_settings: MakeSettings, broker: str, database_url: str) -> Settings:
    return make_settings(kafka_bootstrap_servers=broker, database_url=database_url)


def history(path: Path, count: int, *, artist: str | None = None) -> str:
    """Write a Spotify history of `count` records, every tenth a podcast, every hundredth broken; return its artist."""
    name = artist or f"Artist {uuid4().hex}"
    with path.open("w") as file:
        file.write("[")
        for n in range(count):
            overrides: dict[str, Any] = {
                "ts": f"2024-01-{1 + n // 86_400:02}T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z",
                "master_metadata_album_artist_name": name, "master_metadata_track_name": f"T{n % 50}",
                "spotify_track_uri": None,
            }  # fmt: skip
            if n % 100 == 99:
                overrides["ms_played"] = -1
            elif n % 10 == 9:
                overrides |= {"master_metadata_track_name": None, "spotify_episode_uri": "spotify:episode:x"}
            file.write(("," if n else "") + json.dumps(samples.spotify(**overrides)))
        file.write("]")
    return name


def quiet(_: Import) -> None:
    """Nobody looks."""


def listens(broker: str, artist: str) -> list[dict[str, Any]]:
    from music_assets.sources.items import normal

    slug = normal(artist).replace(" ", "-")
    return [
        value
        for _, value in messages(broker, "events_listens")
        if str(value.get("item_id")).startswith(f"track:{slug}")
    ]


def rejected(database_url: str, record: Import) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "select position, field, reason, raw from source.rejected where source = %s and batch = %s order by 1",
            (record.kind, str(record.import_id)),
        ).fetchall()


def test_every_record_of_a_file_is_counted_and_every_play_sent(
    settings: Settings, broker: str, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    artist = history(path, 1000)
    record = imports.hand_in(settings, "spotify", path, user="somebody@example.org", zone="UTC")
    done = imports.carry_out(settings, record, path, progress=quiet)
    assert (done.status, done.position, done.accepted, done.rejected, done.skipped) == ("done", 1000, 900, 10, 90)
    sent = listens(broker, artist)
    assert len(sent) == len({each["event_id"] for each in sent}) == 900
    assert {each["user_id"] for each in sent} == {done.listener_id}
    kept = rejected(database_url, done)
    assert [row[:2] for row in kept] == [(n, "ms_played") for n in range(99, 1000, 100)]
    assert all('"ms_played": -1' in row[3] for row in kept)
    assert "example.org" not in str((sent, kept, done))


def test_of_a_file_that_is_none_of_its_kind_not_every_record_is_kept(
    settings: Settings, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_table, "KEPT", 3)
    monkeypatch.setattr(imports, "BATCH", 200)
    path = tmp_path / "a.json"
    history(path, 1000)
    record = imports.hand_in(settings, "spotify", path, user="capped", zone="UTC")
    done = imports.carry_out(settings, record, path, progress=quiet)
    assert (done.position, done.rejected) == (1000, 10)
    assert [row[0] for row in rejected(database_url, done)] == [99, 199, 299]


def test_a_file_that_was_imported_is_not_imported_again(settings: Settings, broker: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artist = history(path, 50)
    first = imports.hand_in(settings, "spotify", path, user="one", zone="UTC")
    done = imports.carry_out(settings, first, path, progress=quiet)
    again = imports.hand_in(settings, "spotify", path.rename(tmp_path / "other.json"), user="one", zone="UTC")
    assert again == done
    assert imports.carry_out(settings, again, tmp_path / "other.json", progress=quiet) == done
    assert len(listens(broker, artist)) == 45
    other = imports.hand_in(settings, "spotify", tmp_path / "other.json", user="two", zone="UTC")
    assert other.import_id != done.import_id


SCRIPT = """
import sys
from pathlib import Path
from music_assets.settings import settings
from music_assets.sources import imports
imports.BATCH = 500
path = Path(sys.argv[1])
record = imports.hand_in(settings(), "spotify", path, user="killed", zone="UTC")
imports.carry_out(settings(), record, path, progress=lambda row: print(row.position, flush=True))
"""


def test_an_import_that_is_killed_goes_on_and_loses_nothing(
    settings: Settings, broker: str, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    artist = history(path, 20_000)
    environment = {**child_environment(settings), "PYTHONPATH": str(ROOT)}
    positions = []
    for kill_after in (2, 5, 1):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path)], env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(kill_after)]
        time.sleep(0.01 * kill_after)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        positions.append(seen[-1])
    assert positions == sorted(positions)
    assert positions[-1] < 20_000
    record = imports.hand_in(settings, "spotify", path, user="killed", zone="UTC")
    assert record.status == "running"
    assert record.position >= positions[-1]
    done = _when_free(settings, record, path)
    assert (done.position, done.accepted, done.rejected, done.skipped) == (20_000, 18_000, 200, 1_800)
    sent = Counter(each["event_id"] for each in listens(broker, artist))
    assert len(sent) == 18_000
    assert sent.total() <= 18_000 + 3 * 500
    assert len(rejected(database_url, done)) == 200


def _when_free(settings: Settings, record: Import, path: Path) -> Import:
    """PostgreSQL notices in its own time that a process is gone."""
    for _ in range(100):
        try:
            return imports.carry_out(settings, record, path, progress=quiet)
        except UnavailableError:
            time.sleep(0.1)
    raise AssertionError("the lock of a killed process was not given back")


def test_one_import_is_carried_out_by_one_process(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    history(path, 10)
    record = imports.hand_in(settings, "spotify", path, user="both", zone="UTC")
    with (
        imports.connect(settings) as connection,
        import_table.claimed(connection, record.import_id),
        pytest.raises(UnavailableError, match="another process"),
    ):
        imports.carry_out(settings, record, path, progress=quiet)
    assert imports.carry_out(settings, record, path, progress=quiet).status == "done"


def test_a_file_of_another_kind_fails_and_says_so(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]')
    record = imports.hand_in(settings, "spotify", path, user="one", zone="UTC")
    with pytest.raises(ConfigurationError, match="no Spotify export"):
        imports.carry_out(settings, record, path, progress=quiet)
    with imports.connect(settings) as connection:
        found = import_table.get(connection, record.import_id)
    assert (found.status, "no Spotify export" in str(found.error)) == ("failed", True)


def test_the_zone_is_the_imports(settings: Settings, broker: str, tmp_path: Path) -> None:
    path, artist = tmp_path / "a.csv", f"Artist {uuid4().hex}"
    path.write_text(f"time,artist,title\n2020-07-01 12:00,{artist},T\n")
    record = imports.hand_in(settings, "csv", path, user="one", zone="Asia/Tokyo")
    imports.carry_out(settings, record, path, progress=quiet)
    assert [each["timestamp"] for each in listens(broker, artist)] == ["2020-07-01T03:00:00Z"]
    with pytest.raises(ConfigurationError, match="no time zone"):
        imports.hand_in(settings, "csv", path, user="one", zone="Mars/Olympus")


def test_the_recordings_that_a_file_names_are_kept_for_identity(
    settings: Settings, broker: str, database_url: str, tmp_path: Path
) -> None:
    path, artist, mbid = tmp_path / "a.csv", f"Artist {uuid4().hex}", str(uuid4())
    rows = (f"{artist},T,{mbid.upper()}", f"{artist},T,", f"{artist},Other,unknown")
    path.write_text("time,artist,title,mbid\n" + "".join(f"2020-07-01 12:0{at},{row}\n" for at, row in enumerate(rows)))
    record = imports.hand_in(settings, "csv", path, user="named", zone="UTC")
    assert imports.carry_out(settings, record, path, progress=quiet).accepted == 3
    with psycopg.connect(database_url) as connection:
        kept = connection.execute(
            "select name, mbid, origin, source from source.tracks where artist_name = %s", (artist,)
        ).fetchall()
    assert kept == [("T", mbid, "file", "csv")]


def test_stations_and_users_of_a_file_become_listeners(settings: Settings, broker: str, tmp_path: Path) -> None:
    path, artist = tmp_path / "a.csv", f"Artist {uuid4().hex}"
    path.write_text(f"radio,date,time,title,artist\none,2018-01-01,12:00,T,{artist}\ntwo,2018-01-01,12:00,T,{artist}\n")
    record = imports.hand_in(settings, "radio", path, user=None, zone="UTC")
    assert imports.carry_out(settings, record, path, progress=quiet).accepted == 2
    sent = listens(broker, artist)
    assert len({each["user_id"] for each in sent}) == 2
    assert not {each["user_id"] for each in sent} & {"one", "two"}


def test_a_preview_sends_nothing(settings: Settings, broker: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artist = history(path, 100)
    found = imports.preview("spotify", path, user="one", zone="UTC")
    assert (found.plays, found.skipped.total(), found.rejected.total()) == (90, 9, 1)
    assert found.first is not None
    assert found.last is not None
    assert found.first < found.last
    assert listens(broker, artist) == []


def test_uploads_that_wait_are_carried_out_and_removed(settings: Settings, broker: str, tmp_path: Path) -> None:
    from music_assets.identity import ensure_listeners

    settings.upload_root.mkdir(parents=True)
    with imports.connect(settings) as connection:
        listener = ensure_listeners(connection, ["uploader"])["uploader"]
        made = [
            import_table.register(
                connection, kind="spotify", file_name=f"{n}.json", sha256=uuid4().hex, listener_id=listener,
                time_zone="UTC", status=status,
            )[0]
            for n, status in enumerate(("queued", "running", "failed", "queued"))
        ]  # fmt: skip
    artists = [history(imports.upload_path(settings, record), 10) for record in made[:3]]
    imports.upload_path(settings, made[3]).write_text("no JSON")
    assert [record.import_id for record in imports.waiting(settings)] == [made[n].import_id for n in (0, 1, 3)]
    ended = imports.carry_out_waiting(settings, progress=quiet)
    assert [record.status for record in ended] == ["done", "done", "failed"]
    assert [len(listens(broker, artist)) for artist in artists] == [9, 9, 0]
    assert [imports.upload_path(settings, record).exists() for record in made] == [False, False, True, True]
    assert imports.waiting(settings) == []
