"""A million plays and a full table of tracks, from file to acknowledgement: seconds and memory of a fresh process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psycopg
import pytest

from music_assets.settings import Settings, child_environment
from tests.conftest import ROOT, MakeSettings
from tests.sources import samples, tracks

PLAYS = 1_000_000
TRACKS = 232_725

COMMAND = """
import re, resource, sys, time
from pathlib import Path
from music_assets.cli import main
began = time.perf_counter()
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss: a process inherits that of the one that started it.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
    took = time.perf_counter() - began
    print(f"seconds {took:.1f} cpu {used.ru_utime + used.ru_stime:.1f} peak {peak}")
"""


@pytest.fixture
def settings(make_settings: MakeSettings, broker: str, database_url: str) -> Settings:
    return make_settings(kafka_bootstrap_servers=broker, database_url=database_url)


def run(settings: Settings, *words: str) -> dict[str, float]:
    """Run `music` and return its seconds and its peak of memory in MB."""
    environment = {**child_environment(settings), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], env=environment, capture_output=True, text=True, check=True
    )
    print(done.stdout)  # noqa: T201 - the figures are what it is for
    found = re.search(r"seconds ([\d.]+) cpu ([\d.]+) peak (\d+)", done.stdout)
    assert found is not None, done.stderr
    return dict(zip(("seconds", "cpu", "peak"), map(float, found.groups()), strict=True))


def history(path: Path, count: int) -> None:
    """Write a zip of Spotify histories of 16,000 records each, over 20,000 tracks of 2,000 artists."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for first in range(0, count, 16_000):
            rows = []
            for n in range(first, min(first + 16_000, count)):
                track = n * 7919 % 20_000
                when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_500_000_000 + 60 * n))
                rows.append(
                    samples.spotify(
                        ts=when, master_metadata_track_name=f"Track {track}", ms_played=n % 300_000,
                        master_metadata_album_artist_name=f"Artist {track % 2_000}",
                        master_metadata_album_album_name=f"Album {track % 4_000}",
                        spotify_track_uri=f"spotify:track:{track:022}",
                    )
                )  # fmt: skip
            archive.writestr(f"Streaming_History_Audio_{first:08}.json", json.dumps(rows))


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_million_plays_reach_the_broker_in_bounded_memory(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "my_spotify_data.zip"
    history(path, PLAYS)
    measured = run(settings, "import", "spotify", str(path), "--user", "somebody")
    print(f"{PLAYS / measured['seconds']:,.0f} plays a second")  # noqa: T201 - the figure is what it is for
    assert measured["peak"] < 400
    with psycopg.connect(settings.database) as connection:
        found = connection.execute("select status, accepted, rejected, skipped from source.imports").fetchall()
    assert found == [("done", PLAYS, 0, 0)]


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_full_table_of_tracks_lands_in_bounded_memory(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "SpotifyFeatures.csv"
    expected = tracks.features(path, TRACKS)
    measured = run(settings, "import", "kaggle_tracks", str(path))
    assert measured["peak"] < 300
    with psycopg.connect(settings.database) as connection:
        found = connection.execute(
            "select position, accepted, rejected from source.imports where kind = 'kaggle_tracks'"
        ).fetchall()
        rows = connection.execute("select count(*) from source.tracks where source = 'kaggle_tracks'").fetchone()
        reasons = connection.execute(
            "select coalesce(field, ''), count(*) from source.rejected where source = 'kaggle_tracks' group by 1"
        ).fetchall()
    assert found == [(TRACKS, TRACKS - expected.rejected.total(), expected.rejected.total())]
    assert rows == (expected.tracks,)
    assert dict(reasons) == dict(expected.rejected)
