"""What the lake forgot leaves the warehouse, and with it whatever came in by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from music_assets.settings import Settings
from music_assets.warehouse import load_table
from music_assets.warehouse.forget import follow_tombstones
from streaming.jobs.tombstones import write_tombstones
from streaming.tables import TOMBSTONES
from tests.warehouse.lakes import write

if TYPE_CHECKING:
    import psycopg

    from streaming.lake import Lake

    Connection = psycopg.Connection[tuple[Any, ...]]

LISTENS = ({"event_id": "mine", "user_id": "gone"}, {"event_id": "other", "user_id": "stays"})


@pytest.fixture
def settings(warehouse_url: str, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, database_url=warehouse_url, music_home=tmp_path)


def plant(conn: Connection, settings: Settings) -> Path:
    """Rows and a file of two listeners; returns the file of the one who goes."""
    conn.execute("truncate source.imports, source.rejected, source.listener_zones, ops.reconciled")
    conn.execute(
        "insert into source.imports (kind, file_name, sha256, listener_id, status) "
        "select 'csv', 'f', 's', who, 'failed' from unnest(array['gone', 'stays']) as who"
    )
    conn.execute(
        "insert into source.rejected (source, batch, position, reason, raw) "
        "select 'csv', import_id::text, 0, 'r', listener_id from source.imports"
    )
    conn.execute("insert into source.listener_zones values ('gone', 'UTC'), ('stays', 'UTC')")
    settings.upload_root.mkdir()
    for (import_id,) in conn.execute("select import_id from source.imports").fetchall():
        (settings.upload_root / str(import_id)).touch()
    mine = conn.execute("select import_id from source.imports where listener_id = 'gone'").fetchall()[0][0]
    return settings.upload_root / str(mine)


def held(conn: Connection) -> set[tuple[str, str]]:
    queries = {
        "silver": "select user_id from silver.events_listens", "zones": "select listener_id from source.listener_zones",
        "imports": "select listener_id from source.imports", "rejected": "select raw from source.rejected",
    }  # fmt: skip
    return {(name, who) for name, query in queries.items() for (who,) in conn.execute(query).fetchall()}


def test_a_tombstone_is_followed_once_the_lake_holds_no_row(conn: Connection, lake: Lake, settings: Settings) -> None:
    lake.create(TOMBSTONES)
    load_table(conn, lake, write(lake, "events_listens", *LISTENS))
    upload = plant(conn, settings)
    everything = held(conn)
    assert follow_tombstones(settings, conn, lake) == 0

    write_tombstones(lake, ["gone"], "request")
    assert follow_tombstones(settings, conn, lake) == 0, "its rows are still in the lake"
    assert held(conn) == everything

    table = write(lake, "events_listens", {**LISTENS[1], "kafka_offset": 1}, mode="overwrite")
    assert follow_tombstones(settings, conn, lake) == 1
    assert held(conn) == {(name, who) for name, who in everything if who == "stays"}
    assert not upload.exists()
    assert len(list(settings.upload_root.iterdir())) == 1
    assert load_table(conn, lake, table).complete
    assert follow_tombstones(settings, conn, lake) == 0
