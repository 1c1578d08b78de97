from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from music_assets.stack import preflight, servers
from music_assets.stack.parts import Part
from music_assets.stack.process import free_port
from streaming.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match=r"^Java is missing: install Java 17"):
        preflight.check_java()


@pytest.mark.parametrize(
    ("said", "version"), [('openjdk version "11.0.2" 2019-01-15', "11"), ('java version "1.8.0_401"', "8")]
)
def test_an_old_java_is_named(said: str, version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")  # noqa: TID251 - shadows the real one

    with pytest.raises(StackError, match=rf"^Java {version} at .*java is too old: put Java 17 or newer"):
        preflight.check_java()


def test_the_java_of_this_machine_will_do() -> None:
    preflight.check_java()


def test_a_taken_port_names_who_has_it_and_what_moves_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        part = Part(name="api", command=("true",), ready=lambda: True, port=port, setting="API_PORT", address="")

        with pytest.raises(StackError) as caught:
            preflight.check_port(part)

    assert f"port {port}, wanted for api, is taken by" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "set API_PORT to a free port" in str(caught.value)
    preflight.check_port(part)


def test_a_port_given_to_two_parts_names_both() -> None:
    port = free_port()
    parts = [
        Part(name=name, command=("true",), ready=lambda: True, port=port, setting=f"{name.upper()}_PORT", address="")
        for name in ("kafka", "redis")
    ]

    with pytest.raises(StackError, match=f"^KAFKA_PORT and REDIS_PORT are both {port}: give each a port of its own$"):
        preflight.check(parts)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    preflight.check_disk(tmp_path / "not" / "yet", free_bytes=1)

    with pytest.raises(StackError, match=rf"GB are free at {tmp_path}: the stack needs .* MUSIC_HOME"):
        preflight.check_disk(tmp_path / "not" / "yet", free_bytes=10**18)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lend PostgreSQL a user")
def test_postgres_as_root_without_setpriv_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_settings
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match="setpriv is missing"):
        servers.postgres(make_settings())
