"""The stack as a person has it: a supervisor with real servers that survives whatever is killed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from music_assets.stack import Stack, servers
from music_assets.stack.health import Watch
from music_assets.stack.process import MARKER, marked, wait_until
from streaming.errors import StackError
from streaming.topics import topics
from streaming.topics.admin import describe
from tests.fixtures.servers import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from serving.settings import Settings

SERVERS = ("kafka", "postgres", "redis")

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(make_settings, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Settings:
    # The stack's processes read `.env` of the folder they start in.
    monkeypatch.chdir(tmp_path)
    return make_settings()


@pytest.fixture
def stack(settings: Settings) -> Iterator[Stack]:
    stack = Stack(settings)
    yield stack
    stack.down()


@pytest.fixture
def up(stack: Stack) -> Stack:
    stack.up(SERVERS)
    return stack


def _pid(stack: Stack, name: str) -> int:
    return stack.supervisor.states()[name].pid


def _soon(check: Callable[[], bool], seconds: float = 60) -> bool:
    return wait_until(check, seconds=seconds, pause=0.2)


def test_a_killed_part_comes_back_with_its_data_and_down_leaves_nothing(up: Stack, settings: Settings) -> None:
    before = describe(settings.bootstrap_servers)
    assert set(before) == set(topics())
    with psycopg.connect(settings.database) as connection:
        connection.execute("insert into identity.listener (user_id) values ('a')")
    for name in SERVERS:
        old = _pid(up, name)
        psutil.Process(old).kill()
        assert _soon(lambda old=old, name=name: _pid(up, name) not in {0, old})
    assert _soon(up.ready)

    assert describe(settings.bootstrap_servers) == before
    with psycopg.connect(settings.database) as connection:
        assert connection.execute("select count(*) from identity.listener").fetchone() == (1,)

    up.down()

    assert marked(up.home) == []
    assert {part.state for part in up.status()} == {"down"}


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_up_heals(up: Stack, settings: Settings) -> None:
    psutil.Process(up.supervisor.pid()).kill()
    assert _soon(lambda: marked(up.home) == [], seconds=30)

    up.ensure()

    assert up.ready()
    assert set(describe(settings.bootstrap_servers)) == set(topics())


def test_up_ends_what_a_killed_run_left(stack: Stack, settings: Settings) -> None:
    part = servers.redis_server(settings)
    part.prepare()
    left = subprocess.Popen(part.command, env={MARKER: str(stack.home)}, stdout=subprocess.DEVNULL)
    assert _soon(part.ready)

    stack.up(["redis"])

    assert left.poll() is not None
    assert stack.ready()


def test_up_does_not_take_a_port_from_somebody_else(stack: Stack, settings: Settings) -> None:
    with running(servers.redis_server(settings), settings.music_home.parent) as theirs:
        with pytest.raises(
            StackError, match=rf"port {settings.redis_port}, wanted for redis, is taken by redis-server"
        ):
            stack.up(["redis"])
        assert theirs.poll() is None


def test_what_hangs_is_restarted(stack: Stack) -> None:
    stack.up(["redis"])
    assert _soon(lambda: stack.supervisor.states()["redis"].state == "RUNNING")
    watch = Watch(next(part for part in stack.parts if part.name == "redis"), stack.supervisor)
    watch.look(stack.supervisor.states()["redis"])
    old = _pid(stack, "redis")
    psutil.Process(old).suspend()

    for _ in range(5):
        watch.look(stack.supervisor.states()["redis"])
    assert _pid(stack, "redis") == old
    watch.look(stack.supervisor.states()["redis"])

    assert _soon(lambda: _pid(stack, "redis") not in {0, old})
    assert _soon(stack.ready)


def test_a_part_that_cannot_start_says_why(make_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = make_settings()
    (settings.music_home / "postgres" / "data").mkdir(parents=True)
    stack = Stack(settings)
    try:
        with pytest.raises(StackError, match=r"^postgres does not get ready, see .*postgres\.log: .+"):
            stack.up(["postgres"])
    finally:
        stack.down()


def test_an_interrupted_start_ends_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    starting = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    never = [dataclasses.replace(part, ready=lambda: False) for part in stack.parts if part.name == "redis"]
    monkeypatch.setattr(stack, "parts", never)
    starting.start()
    before = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        stack.up(["redis"])

    assert time.monotonic() - before < 30
    stack.down()
    assert marked(stack.home) == []


def test_servers_of_ones_own_are_not_started(
    make_settings, broker: str, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"kafka_bootstrap_servers": broker, "database_url": postgres_url, "redis_url": redis_url}
    stack = Stack(make_settings(**own))
    try:
        stack.up(SERVERS)
        assert {part.name: part.state for part in stack.status() if part.name in SERVERS} == dict.fromkeys(
            SERVERS, "external"
        )
        assert {each.name() for each in marked(stack.home)} <= {"python", "python3", "python3.11"}
    finally:
        stack.down()


def test_a_server_of_ones_own_that_is_away_is_named(
    make_settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("music_assets.stack._EXTERNAL_SECONDS", 1)
    stack = Stack(make_settings(redis_url="redis://127.0.0.1:1/0"))
    try:
        with pytest.raises(StackError, match=r"^redis at redis://127\.0\.0\.1:1/0 does not answer: .* REDIS_URL"):
            stack.up(["redis"])
    finally:
        stack.down()


def test_the_configuration_holds_no_secret_and_notices_a_change(make_settings, tmp_path: Path) -> None:
    settings = make_settings(s3_secret_key="hunter2")
    stack = Stack(settings)

    assert stack.supervisor.configure(stack.parts, stack.environment)
    assert not stack.supervisor.configure(stack.parts, stack.environment)
    assert stack.supervisor.configure(stack.parts, {**stack.environment, "S3_SECRET_KEY": "other"})
    written = (settings.music_home / "stack" / "supervisord.conf").read_text(encoding="utf-8")
    assert "hunter2" not in written
    assert written.count("[program:") == len(stack.parts) + 1
    assert written.count("--pdeathsig KILL") == len(stack.parts)
