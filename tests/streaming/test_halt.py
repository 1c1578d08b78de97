"""A schema break stops silver before it drains a topic, and a person decides how it goes on."""

from __future__ import annotations

import pytest

from streaming import staging
from streaming.errors import HaltedError
from streaming.halt import halted, resume
from streaming.ledger import totals
from tests.streaming.conftest import Platform, event

pytestmark = pytest.mark.spark

BROKEN = [b"{"] * 60


def test_a_broken_producer_halts_silver_before_anything_is_committed(platform: Platform) -> None:
    platform.put("events_listens", *(event(number) for number in range(20)), *BROKEN)
    platform.put("events_views", event(1, kind="view"))
    with pytest.raises(
        HaltedError, match=r"60 of 80 messages of events_listens .*60 malformed_json.*music stream resume"
    ):
        platform.run()
    assert platform.rows("lake/ledger") == []
    assert platform.rows("silver/events_listens") == platform.rows("deadletter/events_listens") == []
    with pytest.raises(HaltedError, match="halted since"):
        platform.run()

    halt = resume(platform.settings, accept=False)
    assert halt is not None
    assert halted(platform.settings) is None
    with pytest.raises(HaltedError):
        platform.run()

    assert resume(platform.settings, accept=True) is not None
    platform.run()
    total = totals(platform.lake)["events_listens"]
    assert (total.stored, total.dead_lettered) == (20, 60)
    assert platform.problems() == []
    platform.put("events_listens", *BROKEN)
    with pytest.raises(HaltedError):
        platform.run()


def test_after_a_fix_the_same_messages_come_in(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.put("events_listens", *(event(number) for number in range(60)))
    with monkeypatch.context() as patch:
        patch.setattr(platform.feed, "stage", blind)
        with pytest.raises(HaltedError):
            platform.run()
    resume(platform.settings, accept=False)
    platform.run()
    total = totals(platform.lake)["events_listens"]
    assert (total.stored, total.dead_lettered) == (60, 0)
    assert platform.problems() == []


def blind(batches, *, now, **options):  # type: ignore[no-untyped-def]
    """A release whose parser refuses everything."""
    from datetime import timedelta

    yield from staging.stage(batches, now=now - timedelta(days=365 * 30), **options)


def test_a_stray_bad_message_halts_nothing(platform: Platform) -> None:
    platform.put("events_listens", *BROKEN[:40], event(1))
    platform.run()
    assert halted(platform.settings) is None
    assert resume(platform.settings, accept=True) is None


def test_small_batches_of_a_broken_producer_add_up(platform: Platform) -> None:
    from streaming.halt import Brake

    brake = Brake(platform.settings)
    for batch in range(4):
        brake.check("events_views", received=10, reasons={"bad_format": 10}, ends={0: 10 * batch + 10})
    with pytest.raises(HaltedError, match="50 of 50"):
        brake.check("events_views", received=10, reasons={"bad_format": 10}, ends={0: 50})
