"""A platform that took a world all the way and goes on: what comes late is everywhere soon, who leaves is nowhere."""

from __future__ import annotations

import csv
import subprocess
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
import redis

from music_assets.recommender.interactions import Interactions
from music_assets.settings import child_environment
from music_assets.stack import Stack
from music_assets.stack.process import wait_until
from serving.settings import Settings
from streaming.errors import UnavailableError
from tests.conftest import JARS, ROOT
from tests.e2e.test_demo import MUSIC
from tests.fixtures.ports import free_ports
from tests.serving.test_privacy import dump
from tests.streaming.scanner import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.alone, pytest.mark.stack, pytest.mark.slow, pytest.mark.heavy, pytest.mark.timeout(1800)
]  # fmt: skip

LISTENERS = 50
PLAYS_EACH = 2000
PLAYS = LISTENERS * PLAYS_EACH
WITHIN_SECONDS = 600
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3 * 365)
LASTED = timedelta(days=280)

OURS = "user_id in (select listener_id::text from identity.listener where user_id like 'archive-%%')"
THEN = "week_start between %(first)s and %(last)s"
COUNTS = {
    "fct_listens": f"select count(*) from marts.fct_listens where {OURS}",
    "fct_interactions": f"select sum(plays) from marts.fct_interactions where {OURS}",
    "mart_charts_weekly": f"select sum(listens) from marts.mart_charts_weekly where item_kind = 'track' and {THEN}",
    "mart_artist_growth": f"select sum(listens) from marts.mart_artist_growth where {THEN}",
    "mart_listener_profile": f"select sum(listens) from marts.mart_listener_profile where {OURS}",
    "mart_listener_artists": f"select sum(listens) from marts.mart_listener_artists where {OURS}",
    "mart_recap_facts": f"select sum(listens) from marts.mart_recap_facts where {OURS} and {THEN}",
}
"""Where each of the plays must count once; nothing else lies in those weeks."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A platform that has taken a world all the way and goes on."""
    home = tmp_path_factory.mktemp("old")
    settings = Settings(_env_file=None, music_home=home, jars_path=JARS, **free_ports())
    log = home / "demo.log"
    with log.open("w") as out:
        demo = subprocess.Popen(
            [MUSIC, "demo"], env=child_environment(settings), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            wait_until(lambda: "Serving until" in log.read_text() or demo.poll() is not None, seconds=600, pause=2)
            assert demo.poll() is None, log.read_text()[-4000:]
            yield settings
        finally:
            demo.terminate()
            demo.wait(120)
            Stack(settings).down()


def write(path: Path) -> None:
    draw = Random(5)
    step = LASTED / PLAYS_EACH
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "played_at", "artist", "title", "ms_played"])
        for listener in range(LISTENERS):
            for number in range(PLAYS_EACH):
                track = int(draw.paretovariate(0.7)) % 3000
                at = BEGAN + number * step + timedelta(seconds=listener)
                row = [f"archive-{listener:02d}", at.isoformat(), f"Old Band {track // 10}", f"Song {track}", 180_000]
                rows.writerow(row)


def counted(settings: Settings) -> dict[str, int]:
    weeks = {"first": (BEGAN - timedelta(days=7)).date(), "last": (BEGAN + LASTED).date()}
    found = {}
    with psycopg.connect(settings.database) as connection:
        for name, query in COUNTS.items():
            row: Any = connection.execute(query, weeks).fetchone()
            found[name] = int(row[0] or 0)
    return {**found, "training": learnt(settings), "stats": told(settings)}


def found_of(settings: Settings, needles: list[bytes]) -> dict[str, Any]:
    """Where a person still is, beside the broker, whose retention the receipt names, and PostgreSQL's own files."""
    found: dict[str, Any] = {
        path.name: hits
        for path in settings.music_home.iterdir()
        if path.is_dir() and path.name not in {"kafka", "postgres"} and (hits := scan(path, needles))
    }
    told = dump(settings.database)
    found |= {f"postgres {needle!r}": True for needle in needles if needle.decode() in told}
    with redis.Redis.from_url(settings.redis) as client:
        names = [name for name in client.scan_iter() if any(needle in name for needle in needles)]
    return {**found, **({"redis": names} if names else {})}


def learnt(settings: Settings) -> int:
    """Of these plays, those in what the models learn from."""
    until_then = (BEGAN + LASTED + timedelta(days=1)).timestamp() * 1e6
    try:
        times = Interactions.open(settings.model_root / "work" / "interactions").time
    except (UnavailableError, OSError):
        return 0
    return int((times < until_then).sum())


def told(settings: Settings) -> int:
    """What the API tells all listeners of how much they heard, beside what it does not know yet."""
    total = 0
    for listener in range(LISTENERS):
        answer = httpx.get(
            f"{settings.api_url}/users/archive-{listener:02d}/stats", params={"range": "all"}, timeout=10
        )
        total += answer.json().get("listens", 0) if answer.is_success else 0
    return total


def test_old_plays_are_everywhere_in_ten_minutes(
    stack: Settings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "archive.csv"
    write(path)
    begun = time.monotonic()
    done = subprocess.run(
        [MUSIC, "import", "csv", path],
        env=child_environment(stack),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record_property("imported after seconds", round(time.monotonic() - begun, 1))
    after: dict[str, float] = {}

    def all_there() -> bool:
        found = counted(stack)
        for name, count in found.items():
            if count == PLAYS:
                after.setdefault(name, round(time.monotonic() - begun, 1))
        return len(after) == len(COUNTS) + 2

    held = wait_until(all_there, seconds=WITHIN_SECONDS + 60, pause=2)
    record_property("seconds", after)
    assert held, (counted(stack), after)
    assert max(after.values()) < WITHIN_SECONDS, after


def test_who_is_erased_is_nowhere_within_the_hour_and_stays_out(
    stack: Settings, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    user = "archive-00"
    with psycopg.connect(stack.database) as connection:
        row: Any = connection.execute(
            "select listener_id::text from identity.listener where user_id = %s", [user]
        ).fetchone()
    needles = [user.encode(), row[0].encode()]
    assert found_of(stack, needles).keys() >= {"lake", "redis"}
    begun = time.monotonic()
    asked = httpx.delete(f"{stack.api_url}/users/{user}", timeout=10)
    assert asked.status_code == 202, asked.text
    receipt: dict[str, Any] = {}

    def done() -> bool:
        receipt.update(httpx.get(f"{stack.api_url}{asked.headers['location']}", timeout=10).json())
        return receipt["status"] == "done"

    assert wait_until(done, seconds=1200, pause=2), receipt
    record_property("erased after seconds", round(time.monotonic() - begun, 1))
    assert receipt["rows"]["silver/events_listens"] == PLAYS_EACH
    assert wait_until(lambda: not found_of(stack, needles), seconds=600, pause=2), found_of(stack, needles)
    record_property("nowhere after seconds", round(time.monotonic() - begun, 1))
    path = tmp_path / "archive.csv"
    write(path)
    again = subprocess.run(
        [MUSIC, "import", "csv", path, "--user", user],
        env=child_environment(stack), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode != 0
    assert "erased" in again.stdout + again.stderr
