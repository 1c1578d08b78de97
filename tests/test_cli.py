"""The command `music` as a person runs it: in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from deltalake import write_deltalake

from music_assets.settings import child_environment
from streaming.jobs import run_once
from streaming.lake import Lake
from streaming.tables import LEDGER, TRENDING_1H
from tests.streaming.trending.worlds import NOW, Event, World, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.settings import Settings

    Music = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(settings: Settings, *arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("music"), *arguments],
            env={**child_environment(settings), **extra}, cwd=tmp_path, capture_output=True, text=True, check=False,
            input=stdin, timeout=120,
        )  # fmt: skip

    return run


def test_status_works_when_everything_is_down(run: Music, make_settings) -> None:
    said = run(make_settings(), "status")

    assert said.returncode == 0, said.stderr
    assert said.stdout.count(" down ") == 9
    assert "broker away" in said.stdout
    assert "last batch: none yet" in said.stdout
    assert "\x1b" not in said.stdout


def test_a_wrong_setting_is_one_line_and_exit_code_1(run: Music, make_settings) -> None:
    said = run(make_settings(), "status", LAKEHOUSE_PATH="gs://bucket")

    assert said.returncode == 1
    assert said.stdout == ""
    assert said.stderr == "LAKEHOUSE_PATH=gs://bucket is not supported; valid: a local path, s3a://bucket/prefix\n"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "nonsense"])
def test_a_port_that_cannot_be_is_named(port: str, run: Music, make_settings) -> None:
    said = run(make_settings(), "status", KAFKA_PORT=port)

    assert said.returncode == 1
    assert said.stderr.startswith("KAFKA_PORT: Input should be ")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_home_that_cannot_be_written_is_one_line(command: str, tmp_path: Path, run: Music, make_settings) -> None:
    home = tmp_path / "taken"
    home.touch()

    said = run(make_settings(music_home=home), command)

    assert said.returncode == 1
    assert said.stderr == f"{home} cannot be written: File exists\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "bogus"], "there is no part bogus; valid: kafka, postgres, redis, streams, features, api, "),
        (["lake", "show", "silver/bogus"], "there is no table 'silver/bogus'; valid: "),
        (["lake", "show", "lake/ledger"], "table lake/ledger is not in the lake at "),
        (["topics", "peek", "bogus"], "there is no topic 'bogus'; valid: "),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(arguments: list[str], says: str, run: Music, make_settings) -> None:
    said = run(make_settings(), *arguments)

    assert said.returncode == 1
    assert said.stderr.startswith(says)
    assert said.stderr.count("\n") == 1


def test_wrong_usage_is_exit_code_2(run: Music, make_settings) -> None:
    assert run(make_settings(), "lake", "show").returncode == 2
    assert run(make_settings(), "bogus").returncode == 2


def test_topics_can_be_listed_and_peeked_into(run: Music, make_settings, broker: str) -> None:
    settings = make_settings(kafka_bootstrap_servers=broker)
    producer = Producer({"bootstrap.servers": broker})
    for number in range(3):
        producer.produce("catalog_albums", key=f"album:{number}", value=b"\xff", headers={"traceparent": "x"})
    assert producer.flush(30) == 0

    listed, peeked = run(settings, "topics", "list"), run(settings, "topics", "peek", "catalog_albums", "--limit", "2")

    line = next(line for line in listed.stdout.splitlines() if line.startswith("catalog_albums"))
    assert "compacted" in line
    messages = [json.loads(line) for line in peeked.stdout.splitlines()]
    assert [message["key"] for message in messages] == ["album:1", "album:2"]
    assert messages[0]["value"] == "\\xff"
    assert messages[0]["headers"] == {"traceparent": "x"}


def test_peeking_into_an_empty_topic_shows_nothing(run: Music, make_settings, broker: str) -> None:
    said = run(make_settings(kafka_bootstrap_servers=broker), "topics", "peek", "music_recommendations")

    assert said.returncode == 0, said.stderr


def test_topics_that_are_as_declared_need_no_change(run: Music, make_settings, broker: str) -> None:
    assert run(make_settings(kafka_bootstrap_servers=broker), "topics", "apply").stdout == "0 changes\n"


def test_a_topic_shrinks_only_when_it_is_told_to(run: Music, make_settings, broker: str) -> None:
    settings = make_settings(kafka_bootstrap_servers=broker)
    entry = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    client = AdminClient({"bootstrap.servers": broker})
    for future in client.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, "events_clicks", incremental_configs=[entry])]
    ).values():
        future.result()
    refusal = "topic events_clicks: retention.ms is -1 (no limit) on the broker and 604800000 (7 days) in its file, "

    shown = run(settings, "topics", "apply", "--dry-run")
    refused = run(settings, "topics", "apply")
    typo = run(settings, "topics", "apply", "--shrink", "event_clicks")
    done = run(settings, "topics", "apply", "--shrink", "events_clicks")
    again = run(settings, "topics", "apply", "--shrink", "events_clicks")

    change = "shrink events_clicks: retention.ms -1 (no limit) -> 604800000 (7 days)"
    assert (shown.returncode, shown.stdout) == (1, f"{change}\n1 changes wanted\n")
    assert shown.stderr.startswith(refusal)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == shown.stderr
    assert "`music topics apply --shrink events_clicks`" in refused.stderr
    assert typo.returncode == 1
    assert typo.stderr.startswith("there is no topic event_clicks to shrink; valid: catalog_albums, ")
    assert (done.returncode, done.stdout) == (0, f"{change}\n1 changes\n")
    assert (again.returncode, again.stdout) == (0, "0 changes\n")


def test_a_table_is_shown_by_a_condition(run: Music, make_settings) -> None:
    settings = make_settings()
    Lake(settings.storage).create(TRENDING_1H)
    now = datetime.now(UTC)
    rows = [
        {"as_of": now, "item_id": f"track:{rank}", "item_kind": "track", "rank": rank, "previous_rank": None,
         "score": 1.0, "listeners": 1, "events": 1}
        for rank in (1, 2, 3)
    ]  # fmt: skip
    write_deltalake(
        settings.storage.folder / TRENDING_1H.id, pa.Table.from_pylist(rows, schema=TRENDING_1H.schema), mode="append"
    )

    shown = run(settings, "lake", "show", "gold/trending_now_1h", "--where", "rank >= 2", "--limit", "1")
    wrong = run(settings, "lake", "show", "gold/trending_now_1h", "--where", "no such thing")

    assert "1 of 2 rows, version 1" in shown.stdout
    assert "track:1" not in shown.stdout
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("--where 'no such thing' cannot be read: ")


def test_status_shows_lag_and_ledger(run: Music, make_settings, broker: str) -> None:
    from streaming.topics.admin import describe

    settings = make_settings(kafka_bootstrap_servers=broker)
    producer = Producer({"bootstrap.servers": broker})
    for _ in range(5):
        producer.produce("events_clicks", key="k", value=b"{}", partition=0)
    assert producer.flush(30) == 0
    state = describe(broker)["events_clicks"]
    end = state.end_offsets[0]
    lake = Lake(settings.storage)
    lake.create(LEDGER)
    first = end - 5
    row = {
        "query": "q", "batch_id": 0, "topic": "events_clicks", "kafka_topic_id": state.topic_id, "kafka_partition": 0,
        "first_offset": first, "end_offset": end - 2, "received": 3, "stored": 2, "duplicate": 1, "dead_lettered": 0,
        "event_id_conflicts": 0, "committed_at": datetime(2024, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    write_deltalake(
        settings.storage.folder / LEDGER.id, pa.Table.from_pylist([row], schema=LEDGER.schema), mode="append"
    )
    others = sum(state.end_offsets[part] - state.first_offsets[part] for part in state.end_offsets if part != 0)

    said = run(settings, "status").stdout

    line = next(line.split() for line in said.splitlines() if line.startswith("events_clicks"))
    assert line == ["events_clicks", str(2 + others), "3", "2", "1", "0", "0", "0"]
    assert "last batch: 2024-01-01T00:00:00+00:00" in said


def test_the_database_is_upgraded(run: Music, make_settings, database_url: str) -> None:
    said = run(make_settings(database_url=database_url), "db", "upgrade")

    assert said.returncode == 0, said.stderr
    assert "newest migration" in said.stdout


def test_jars_that_are_there_are_not_fetched(run: Music, make_settings) -> None:
    assert run(make_settings(), "jars").stdout.startswith("jars: all there")


def test_charts_of_the_past_are_computed_again(run: Music, make_settings) -> None:
    settings = make_settings()
    begin = datetime.now(UTC) - timedelta(minutes=30)
    store(settings.storage.folder, World((Event("a", "listen", "track:1", NOW - begin),)))

    done = run(settings, "backfill", "trending", "--since", begin.isoformat())
    again = run(settings, "backfill", "trending", "--since", begin.isoformat(), "--window", "1h", "--missing")
    shown = run(settings, "lake", "show", "gold/trending_history", "--where", "\"window\" = '1h'", "--limit", "1")

    assert done.returncode == 0, done.stderr
    computed = re.fullmatch(r"1h: (\d+) charts computed\n24h: (\d+) charts computed\n", done.stdout)
    assert computed is not None, done.stdout
    assert 5 <= int(computed[1]) <= 8
    assert 1 <= int(computed[2]) <= 4
    assert again.stdout in {"1h: 0 charts computed\n", "1h: 1 charts computed\n"}, "a tick may have come meanwhile"
    assert "track:1" in shown.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--since", "yesterday"], "--since 'yesterday' is no ISO 8601 time"),
        (["--since", "2026-06-01T00:00"], "since must be a past moment with a zone"),
        (["--since", "2999-06-01T00:00Z"], "since must be a past moment with a zone"),
        (["--since", "2026-06-01T00:00Z", "--window", "7d"], "--window '7d' is none; valid: 1h, 24h"),
        (["--since", "2026-06-01T00:00Z"], "start the streams first"),
    ],
)
def test_a_backfill_that_cannot_be_is_one_line(run: Music, make_settings, options: list[str], sentence: str) -> None:
    said = run(make_settings(), "backfill", "trending", *options)

    assert said.returncode == 1
    assert sentence in said.stderr
    assert said.stderr.count("\n") == 1


def test_dead_letters_are_listed_shown_and_sent_once_more(run: Music, make_settings, broker: str) -> None:
    settings = make_settings(kafka_bootstrap_servers=broker, stream_engine="python")
    producer = Producer({"bootstrap.servers": broker})
    producer.produce("events_clicks", key=b"k", value=b"\x1b[31m\xff{", headers=[("traceparent", b"00")])
    assert producer.flush(10) == 0
    run_once("stream_kafka_to_silver", settings, None)

    listed = run(settings, "deadletter", "list", "--topic", "events_clicks")
    assert listed.returncode == 0, listed.stderr
    assert "not_utf8" in listed.stdout
    shown = run(settings, "deadletter", "show", "--reason", "not_utf8").stdout.splitlines()
    letter = next(each for each in map(json.loads, shown) if each["value"] == "\\x1b[31m\\xff{")
    assert (letter["status"], letter["headers"], letter["bytes"]) == ("dead", [["traceparent", "00"]], 7)
    sent = run(settings, "deadletter", "redrive", "--topic", "events_clicks", "--reason", "not_utf8")
    assert sent.returncode == 0, sent.stderr
    assert " sent; left: none" in sent.stdout
    again = run(settings, "deadletter", "redrive", "--topic", "events_clicks", "--reason", "not_utf8")
    assert "0 sent; left: " in again.stdout
    wrong = run(settings, "deadletter", "list", "--since", "yesterday")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "--since must be ISO 8601" in wrong.stderr

    run_once("stream_kafka_to_silver", settings, None)
    rebuilt = run(settings, "rebuild", "silver", "--from", "bronze", "--dry-run")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "silver and the dead letters are identical" in rebuilt.stdout
    assert "nothing was changed" in rebuilt.stdout


def test_an_erasure_names_what_is_wrong_and_never_a_listener(run: Music, make_settings) -> None:
    settings = make_settings(stream_engine="python")

    nobody = run(settings, "lake", "erase")
    named = run(settings, "lake", "erase", "--listener", "ann", "--erasure-id", "for-ann")
    away = run(settings, "lake", "erase", "--listener", "ann")

    assert nobody.stderr == "listener_ids is empty; valid: at least one listener id\n"
    assert named.returncode == away.returncode == 1
    assert "holds a listener id" in named.stderr
    assert "does not answer" in away.stderr
    assert "ann" not in named.stderr.replace("for-ann", "") + away.stderr


def test_an_erasure_reads_its_ids_from_a_file_and_prints_a_receipt(
    run: Music, broker: str, redis_url: str, make_settings, tmp_path: Path
) -> None:
    settings = make_settings(kafka_bootstrap_servers=broker, redis_url=redis_url, stream_engine="python")
    (tmp_path / "ids").write_text("somebody\n\nsomebody else\n", encoding="utf-8")

    said = run(settings, "lake", "erase", "--from", "ids", "--erasure-id", "request-7")

    assert said.returncode == 0, said.stderr
    receipt = json.loads(said.stdout)
    assert receipt["erasure_id"] == "request-7"
    assert receipt["gone_at"]["lake"] >= receipt["hidden_at"]
    assert "somebody" not in said.stdout + said.stderr


def test_an_account_is_made_shown_and_removed(run: Music, make_settings, database_url: str) -> None:
    settings = make_settings(database_url=database_url)
    password = "correct horse battery"

    made = run(settings, "account", "create", "Ada", "--operator", "--password-stdin", stdin=f"{password}\n")
    listed = run(settings, "account", "list").stdout
    changed = run(settings, "account", "passwd", "ada", "--password-stdin", stdin="another good one\n")
    short = run(settings, "account", "passwd", "ada", "--password-stdin", stdin="short\n")
    removed = run(settings, "account", "remove", "ada")

    assert made.stdout == "ada may sign in\n", made.stderr
    assert "ada" in listed
    assert "everything" in listed
    assert [changed.returncode, short.returncode, removed.returncode] == [0, 1, 0]
    assert "10 to 200 characters" in short.stderr
    assert password not in made.stdout + made.stderr + listed


def test_a_key_is_made_shown_rotated_and_revoked(run: Music, make_settings, database_url: str) -> None:
    settings = make_settings(database_url=database_url)

    made = run(settings, "key", "create", "phone", "--scope", "read", "--expires", "90d").stdout.strip()
    key_id = made.split("_")[1]
    newer_id = run(settings, "key", "rotate", key_id, "--grace", "0m").stdout.strip().split("_")[1]
    run(settings, "key", "revoke", newer_id)
    listed = run(settings, "key", "list").stdout
    audit = run(settings, "key", "audit").stdout

    assert re.fullmatch(r"music_[0-9a-f]{12}_[\w-]{43}", made)
    assert {"expired", "revoked"} <= set(listed.split())
    assert made.split("_", 2)[2] not in listed + audit
    of_these = [re.split(r" {2,}", line) for line in audit.splitlines() if key_id in line or newer_id in line]
    assert [line[1:3] for line in of_these] == [
        [newer_id, "revoked"], [key_id, "rotated"], [newer_id, "created"], [key_id, "created"],
    ]  # fmt: skip
    wrong = run(settings, "key", "create", "x", "--scope", "write")
    assert (wrong.returncode, wrong.stderr) == (1, "scope 'write' is not known; valid: ingest, read, admin\n")
    span = run(settings, "key", "rotate", key_id, "--grace", "soon")
    assert "valid: such as 30m, 12h, 90d" in span.stderr


@pytest.mark.parametrize("command", [("identity", "list"), ("quality", "list"), ("warehouse", "reconcile")])
def test_a_database_that_is_away_is_one_line(run: Music, make_settings, command: tuple[str, ...]) -> None:
    said = run(make_settings(database_url="postgresql://music:secret@127.0.0.1:1/music"), *command)

    assert said.returncode == 1
    assert said.stderr.startswith("PostgreSQL at 127.0.0.1:1 does not answer: ")
    assert said.stderr.count("\n") == 1
    assert "secret" not in said.stderr
