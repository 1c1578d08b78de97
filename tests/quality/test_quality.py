from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest

from music_assets.defs.quality.sensors import quality_results
from music_assets.quality import results
from music_assets.quality.alerts import channels, tell
from music_assets.quality.results import Result
from music_assets.resources import PlatformResource
from music_assets.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Connection = psycopg.Connection[tuple[Any, ...]]

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("truncate ops.quality_results cascade")
        yield connection


def result(event_id: int, *, passed: bool, check: str = "rows_are_whole", **values: Any) -> Result:
    known = {"severity": "error", "is_blocking": True, "owner": "team:platform", "run_id": "r", "evaluated_at": NOW}
    return Result(event_id=event_id, asset="marts/fct_listens", check_name=check, passed=passed, **{**known, **values})


def test_only_what_turned_is_news(conn: Connection) -> None:
    def turned(*new: Result) -> list[int]:
        return [each.event_id for each in results.record(conn, new)]

    assert turned(result(1, passed=True)) == [], "a first good result is none"
    assert turned(result(2, passed=False)) == [2]
    assert turned(result(3, passed=False)) == [], "it is known to fail"
    assert turned(result(4, passed=True), result(5, passed=False)) == [4, 5]
    assert turned(result(6, passed=False, check="other")) == [6], "a first bad result is"
    assert turned(result(5, passed=False)) == [5], "read again after a crash it is told again"
    assert [each.event_id for each in results.history(conn, "marts/fct_listens", "rows_are_whole", limit=3)] == [
        5,
        4,
        3,
    ]
    assert [each.event_id for each in results.latest(conn)] == [6, 5]


def test_old_results_go_but_never_the_newest_of_a_check(conn: Connection) -> None:
    old = NOW - timedelta(days=5000)
    results.record(conn, [result(1, passed=True, evaluated_at=old), result(2, passed=True, evaluated_at=old)])
    assert results.forget_older(conn, timedelta(days=400)) == 1
    assert [each.event_id for each in results.latest(conn)] == [2]


class Hook(BaseHTTPRequestHandler):
    """Answers with the statuses it is told, keeps what was posted."""

    got: list[dict[str, Any]]
    answers: list[int]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.got.append(body)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class Mailbox(socketserver.StreamRequestHandler):
    """As much of a mail server as one mail takes (RFC 5321)."""

    got: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        lines: list[str] = []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            command = line.split()[0].upper()
            if command == "DATA":
                self.wfile.write(b"354 go on\r\n")
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(line)
                self.got.append("\n".join(lines))
            self.wfile.write(b"221 bye\r\n" if command == "QUIT" else b"250 ok\r\n")


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def test_each_channel_is_told_once_and_a_broken_one_again(conn: Connection, tmp_path: Path) -> None:
    hook = type("OneHook", (Hook,), {"got": [], "answers": [500]})
    box = type("OneBox", (Mailbox,), {"got": []})
    bad = result(7, passed=False, description="2 rows are missing\nof 3", figures={"missing": 2})
    turned = results.record(conn, [bad])
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), hook)) as port,
        serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), box)) as smtp,
    ):
        to = channels(
            settings(
                alert_webhook_url=f"http://127.0.0.1:{port}/secret-path", alert_mail_to="ops@example.org",
                smtp_url=f"smtp://127.0.0.1:{smtp}", music_home=tmp_path,
            )
        )  # fmt: skip
        tell(conn, turned, to)
        assert hook.got == [], "the first answer was an error"
        tell(conn, turned, to)
        tell(conn, turned, to)
    assert [(each["asset"], each["check"], each["passed"], each["figures"]) for each in hook.got] == [
        ("marts/fct_listens", "rows_are_whole", False, {"missing": 2})
    ]
    assert len(box.got) == 1
    assert "Subject: [failed] marts/fct_listens: rows_are_whole" in box.got[0]
    assert "missing: 2" in box.got[0]
    rows = conn.execute("select channel, tries, error from ops.quality_alerts order by channel").fetchall()
    assert rows == [("log", 1, None), ("mail", 1, None), ("webhook", 2, None)]


def test_nobody_is_told_of_a_warning_and_an_outbox_stands_in_for_a_server(conn: Connection, tmp_path: Path) -> None:
    to = channels(settings(alert_mail_to="ops@example.org", music_home=tmp_path))
    tell(conn, results.record(conn, [result(1, passed=False, severity="warn", check="warned")]), to)
    assert not (tmp_path / "outbox").exists()
    tell(conn, results.record(conn, [result(2, passed=False)]), to)
    assert [file.name for file in (tmp_path / "outbox").iterdir()] == ["check-2.eml"]


def test_a_channel_that_never_answers_is_given_up_and_its_address_is_kept_nowhere(
    conn: Connection, tmp_path: Path
) -> None:
    to = channels(settings(alert_webhook_url="http://127.0.0.1:9/secret-path", music_home=tmp_path))
    turned = results.record(conn, [result(1, passed=False)])
    for _ in range(12):
        tell(conn, turned, to)
    rows = conn.execute("select tries, error from ops.quality_alerts where channel = 'webhook'").fetchall()
    assert rows == [(10, "ConnectError")]


class Parts(PlatformResource):
    database: str
    home: str

    def settings(self) -> Settings:
        return settings(database_url=self.database, music_home=self.home)


def test_the_sensor_keeps_every_evaluation_once(conn: Connection, database_url: str, tmp_path: Path) -> None:
    whole = True

    @dg.asset(key=["marts", "fct_listens"], owners=["team:platform"])
    def listens() -> None: ...

    @dg.asset_check(asset=listens, blocking=True)
    def rows_are_whole() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=whole, metadata={"missing": 0 if whole else 2}, description="said so")

    definitions = dg.Definitions(assets=[listens], asset_checks=[rows_are_whole])
    instance, cursor = dg.DagsterInstance.ephemeral(), None

    def look() -> None:
        nonlocal cursor
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, definitions=definitions,
            resources={"platform": Parts(database=database_url, home=str(tmp_path))},
        )  # fmt: skip
        answer: Any = quality_results(context)
        cursor = answer.cursor

    job = definitions.resolve_implicit_global_asset_job_def()
    for state in (True, False):
        whole = state
        job.execute_in_process(instance=instance, raise_on_error=False)
        look()
    look()
    cursor = None
    look()
    kept = results.history(conn, "marts/fct_listens", "rows_are_whole", limit=9)
    assert [(each.passed, each.owner, each.figures, each.is_blocking) for each in kept] == [
        (False, "team:platform", {"missing": 2}, True),
        (True, "team:platform", {"missing": 0}, True),
    ]
    assert conn.execute("select channel, tries from ops.quality_alerts").fetchall() == [("log", 1)]
