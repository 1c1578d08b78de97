"""Bronze holds every message as it came, once."""

from __future__ import annotations

import pytest

from streaming.jobs import bronze
from tests.streaming.conftest import BRONZE, SILVER, Platform, event, recreate_topics

pytestmark = pytest.mark.spark


def test_every_message_is_kept_as_it_came_and_once(platform: Platform) -> None:
    platform.put("events_listens", event(1), b"\xff\x00", b"", None, key="k")
    platform.put("catalog_songs", None, key="track:gone")
    for _ in range(2):
        platform.run(BRONZE)
    rows = platform.rows("bronze/events_listens")
    assert {row["value"] for row in rows} >= {b"\xff\x00", b"", None}
    assert len(rows) == 4
    assert {row["key"] for row in rows} == {b"k"}
    assert rows[0]["headers"] == [{"key": "traceparent", "value": b"00"}]
    assert [row["key"] for row in platform.rows("bronze/catalog_songs")] == [b"track:gone"]
    platform.put("events_listens", event(2), key="k")
    platform.run(BRONZE)
    assert sorted(row["kafka_offset"] for row in platform.rows("bronze/events_listens")) == [0, 1, 2, 3, 4]
    platform.run(SILVER)
    assert platform.problems() == []


def test_a_kill_between_two_tables_repeats_neither(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.put("events_clicks", event(1, kind="click"))
    platform.put("events_views", event(1, kind="view"))
    real = bronze.commit_files

    def die(files: object, table: object, *args: object, **options: object) -> None:
        if getattr(table, "name", "") == "events_views":
            raise KeyboardInterrupt
        real(files, table, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(bronze, "commit_files", die)
        with pytest.raises(KeyboardInterrupt):
            platform.run(BRONZE)
    platform.run(BRONZE)
    assert len(platform.rows("bronze/events_clicks")) == len(platform.rows("bronze/events_views")) == 1


def test_a_recreated_topic_is_read_from_its_start(platform: Platform) -> None:
    platform.put("events_clicks", event(1, kind="click"), event(2, kind="click"))
    platform.run(BRONZE)
    recreate_topics(platform.settings.bootstrap_servers)
    platform.put("events_clicks", event(1, kind="click"))
    platform.run(BRONZE)
    assert len(platform.rows("bronze/events_clicks")) == 3
