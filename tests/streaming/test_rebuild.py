"""Silver made anew from bronze is the same silver; after a fix it is what the fixed parser would have made."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from streaming.columns import listener_hash
from streaming.errors import HaltedError, IntegrityError, UnavailableError
from streaming.jobs.intake import NAME
from streaming.jobs.lease import lease
from streaming.ledger import totals
from streaming.repair import rebuild as module
from streaming.repair import switch as switching
from streaming.repair.letters import Wanted
from streaming.repair.rebuild import rebuild_silver
from streaming.repair.redrive import redrive
from streaming.repair.switch import staged
from streaming.sinks.tables import Write, append_arrow
from streaming.tables import ERASED, TOMBSTONES, tables
from tests.streaming.conftest import BRONZE, Platform, event, recreate_topics
from tests.streaming.test_redrive import fixed
from tests.streaming.test_silver import LISTENS, Killed, ids

pytestmark = pytest.mark.spark

OURS = {"ingested_at"}


def content(platform: Platform) -> dict[str, list[str]]:
    """Every row of silver and of the dead letters, without when it was taken in."""
    return {
        table.id: sorted(str({k: v for k, v in row.items() if k not in OURS}) for row in platform.rows(table.id))
        for table in tables().values()
        if table.layer in {"silver", "deadletter"}
    }


def history(platform: Platform) -> None:
    """Batches in which the later partition comes first, duplicates, thieves, bad ones, a catalogue and a new topic."""
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    platform.put("events_listens", event(1, user_id="owner"), *(event(number) for number in range(2, 30)), partition=2)
    platform.put("events_listens", event(99, timestamp=soon), b"{")
    platform.put("catalog_songs", {"item_id": "track:a", "name": "old"}, {"item_id": "track:b", "name": "b"})
    platform.run()
    platform.put("events_listens", event(1, user_id="thief"), event(3), event(4, item_id="track:else"), partition=0)
    platform.put("catalog_songs", {"item_id": "track:a", "name": "new"}, b"[]")
    platform.put("catalog_songs", None, key="track:b")
    platform.run()
    platform.run(BRONZE)
    recreate_topics(platform.settings.bootstrap_servers)
    platform.put("events_listens", event(5), event(40), partition=1)
    platform.put("events_views", event(5, kind="view"), b"")
    platform.put("catalog_songs", {"item_id": "track:a", "name": "newest"})
    platform.run()


def test_a_rebuild_by_the_same_parser_is_identical(platform: Platform) -> None:
    history(platform)
    before, counts = content(platform), totals(platform.lake)
    assert len(before["deadletter/events_listens"]) == 3
    dry = rebuild_silver(platform.settings, dry_run=True)
    assert (dry.differences, dry.switched) == ([], False)
    versions = {table.id: platform.lake.version(table) for table in tables().values()}
    done = rebuild_silver(platform.settings)
    assert done.differences == []
    assert done.before == done.after == totals(platform.lake) == counts
    assert content(platform) == before
    assert platform.lake.version(tables()[LISTENS]) == versions[LISTENS] + 1, "one commit"
    assert platform.problems() == []
    assert not staged(platform.settings).storage.folder.exists()

    platform.put("events_listens", event(5), event(50), event(1, user_id="thief"))
    platform.run()
    assert len(platform.rows(LISTENS)) == len(before[LISTENS]) + 1, "the claims came with it"
    assert platform.problems() == []


def test_after_a_fix_the_dead_rows_come_in_and_the_first_position_owns_the_id(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"event_id": "new", "user_id": "u", "item_id": "track:other"}
    platform.put("events_listens", b"{", b"[", event(2))
    platform.run()
    platform.put("events_listens", event(1, **new), partition=0)
    platform.run()
    assert ids(platform) == ["event-2", "new"]
    redrive(platform.settings, Wanted())
    platform.run()
    monkeypatch.setattr(module, "stage", fixed)
    done = rebuild_silver(platform.settings)
    kinds = {(each.table_id, each.kind): each for each in done.differences}
    assert {key: each.count for key, each in kinds.items()} == {
        (LISTENS, "changed"): 1,
        ("deadletter/events_listens", "removed"): 2,
    }
    row = next(row for row in platform.rows(LISTENS) if row["event_id"] == "new")
    assert row["item_id"] == "track:i"
    first = kinds[LISTENS, "changed"].first[0]
    assert first == (row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"])
    assert len(platform.rows("deadletter/events_listens")) == 2
    assert platform.problems() == []


def test_what_was_erased_stays_erased(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(20)), b"{", b"[")
    platform.run()
    platform.run(BRONZE)
    gone = [row for row in platform.rows(LISTENS) if row["user_id"] == "listener-3"]
    gone += [row for row in platform.rows("deadletter/events_listens") if row["value"] == b"{"]
    forget(platform, gone)
    platform.lake.open(tables()["bronze/events_listens"]).delete(where(gone[:-2] + gone[-1:]))
    before = content(platform)
    done = rebuild_silver(platform.settings)
    assert done.differences == []
    assert content(platform) == before
    assert totals(platform.lake)["events_listens"].received == 22
    assert platform.problems() == []


def where(rows: list[dict[str, Any]]) -> str:
    return " OR ".join(
        f"(kafka_partition = {row['kafka_partition']} AND kafka_offset = {row['kafka_offset']})" for row in rows
    )


def forget(platform: Platform, rows: list[dict[str, Any]]) -> None:
    """Erase rows of listens as an erasure does, but for bronze."""
    about = {"erasure_id": "e", "erased_at": datetime.now(UTC)}
    positions = [
        {**{name: row[name] for name in ("kafka_topic_id", "kafka_partition", "kafka_offset")}, **about,
         "topic": "events_listens", "outcome": "dead_lettered" if "reason" in row else "stored"}
        for row in rows
    ]  # fmt: skip
    free = Write(expected={}, leaves={}, note={})
    append_arrow(pa.Table.from_pylist(positions, ERASED.schema), ERASED, platform.settings.storage, write=free)
    stone = [{"listener_hash": listener_hash("listener-3"), **about}]
    append_arrow(pa.Table.from_pylist(stone, TOMBSTONES.schema), TOMBSTONES, platform.settings.storage, write=free)
    for table in (LISTENS, "deadletter/events_listens"):
        platform.lake.open(tables()[table]).delete(where(rows))


def test_bronze_that_lacks_what_nobody_erased_is_refused(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(20)))
    platform.run()
    platform.run(BRONZE)
    before = content(platform)
    platform.lake.open(tables()["bronze/events_listens"]).delete("kafka_offset = 1")
    with pytest.raises(IntegrityError, match="were planned, but"):
        rebuild_silver(platform.settings)
    assert content(platform) == before


def test_a_topic_that_only_bronze_saw_comes_in(platform: Platform) -> None:
    platform.put("events_listens", event(1))
    platform.run()
    platform.put("events_listens", event(2))
    platform.run(BRONZE)
    recreate_topics(platform.settings.bootstrap_servers)
    platform.put("events_listens", event(2), event(3))
    platform.run()
    rebuild_silver(platform.settings)
    assert ids(platform) == ["event-1", "event-2", "event-3"]
    assert platform.problems() == []


@pytest.mark.parametrize("place", ["build", "journal", "claims", "silver", "ledger", "end"])
def test_a_kill_anywhere_leaves_the_old_or_the_new(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    platform.put("events_listens", event(2), b"{", b"[")
    platform.run()
    old = content(platform)
    with monkeypatch.context() as patch:
        patch.setattr(module, "stage", fixed)
        kill(patch, place)
        with pytest.raises(Killed):
            rebuild_silver(platform.settings)
    platform.put("events_listens", event(3), {**event(4), "event_id": "new", "user_id": "u"})
    platform.run()
    if place in {"build", "journal"}:
        assert len(platform.rows("deadletter/events_listens")) == len(old["deadletter/events_listens"])
    else:
        assert len(platform.rows("deadletter/events_listens")) == 1
    assert ids(platform) == ["event-2", "event-3", "new"]
    assert platform.problems() == []
    monkeypatch.setattr(module, "stage", fixed)
    rebuild_silver(platform.settings)
    assert len(platform.rows("deadletter/events_listens")) == 1
    assert ids(platform) == ["event-2", "event-3", "new"]
    assert platform.problems() == []


def kill(patch: pytest.MonkeyPatch, place: str) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    real = switching._take

    def take(settings: Any, turn: Any, rebuild_id: str) -> None:
        if turn.table_id == {"silver": LISTENS, "ledger": "lake/ledger"}[place]:
            raise Killed
        real(settings, turn, rebuild_id)

    remove = shutil.rmtree

    def rmtree(path: Any, **options: Any) -> None:
        if path.name == "claims" and "_rebuild" not in path.parts:
            raise Killed
        remove(path, **options)

    if place == "build":
        patch.setattr(module, "differences", die)
    elif place == "journal":
        patch.setattr(switching, "_write", die)
    elif place == "claims":
        patch.setattr(switching.shutil, "rmtree", rmtree)
    elif place == "end":
        patch.setattr(switching.log, "info", die)
    else:
        patch.setattr(switching, "_take", take)


def test_the_same_after_a_lost_claim_index_and_rows_beyond_the_ledger(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(5)))
    platform.run()
    platform.put("events_listens", *(event(number) for number in range(3, 8)))
    platform.run(BRONZE)
    shutil.rmtree(platform.settings.checkpoint_root / NAME / "claims")
    rebuild_silver(platform.settings)
    assert ids(platform) == [f"event-{number}" for number in range(8)]
    platform.put("events_listens", event(1), event(9))
    platform.run()
    assert ids(platform) == [f"event-{number}" for number in [*range(8), 9]]
    assert platform.problems() == []


def test_it_refuses_beside_a_writer_and_while_halted(platform: Platform) -> None:
    platform.run()
    with (
        lease(platform.settings, "lease", spark=None, timeout=0),
        pytest.raises(UnavailableError, match="music down"),
    ):
        rebuild_silver(platform.settings)
    platform.put("events_listens", *(b"{" for _ in range(60)))
    with pytest.raises(HaltedError):
        platform.run()
    with pytest.raises(HaltedError, match="halted since"):
        rebuild_silver(platform.settings)
