"""What is late is told with the first late step on the way to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from serving.freshness.lineage import STEPS, judge
from streaming.lake import Lake
from streaming.tables import LEDGER
from tests.serving import worlds
from tests.serving.conftest import Start, eventually
from tests.serving.test_recommend import serves

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FRESH = dict.fromkeys(STEPS, NOW - timedelta(minutes=1))
OLD = NOW - timedelta(days=3)


def test_what_is_in_time_blames_nobody() -> None:
    for name in STEPS:
        verdict = judge(name, FRESH, NOW)
        assert (verdict.late, verdict.blame, "in time" in verdict.sentence) == (False, None, True)


@pytest.mark.parametrize(
    ("old", "asked", "blame"),
    [
        ({"model"}, "model", "model"),
        ({"model", "marts"}, "model", "marts"),
        ({"model", "marts", "staging", "silver"}, "model", "silver"),
        ({"model", "staging"}, "model", "model"),
        ({"trending_1h", "silver"}, "trending_1h", "silver"),
        ({"silver"}, "trending_1h", None),
    ],
)
def test_the_first_late_step_is_to_blame(old: set[str], asked: str, blame: str | None) -> None:
    verdict = judge(asked, FRESH | dict.fromkeys(old, OLD), NOW)
    assert verdict.blame == blame
    if blame is not None and blame != asked:
        assert f"because {blame}" in verdict.sentence
    if blame is not None:
        assert STEPS[blame].remedy in verdict.sentence


def test_what_never_was_is_late() -> None:
    assert judge("marts", FRESH | {"marts": None}, NOW).sentence.startswith("marts is not there yet")


@pytest.mark.anyio
async def test_the_api_looks_at_every_step(start: Start, database_url: str) -> None:
    async with start() as api:
        before = (await api.get("/freshness")).json()
        assert before["late"]
        assert before["steps"][0]["sentence"].startswith("silver is not there yet")
        worlds.ledger(api.parts.settings)
        with psycopg.connect(database_url) as connection:
            connection.execute("insert into ops.load_watermark values ('silver/events_listens', 't', 0, 1, now())")
            connection.execute(
                """
                insert into ops.quality_results values
                (1, 'marts/fct_listens', 'c', true, 'ERROR', false, null, null, '{}', 'r', now() - interval '5 hours')
                """
            )
        await serves(api, worlds.release(api.parts.settings.model_root))
        worlds.chart(api.parts.settings, {"track:a": 1.0})
        await eventually(lambda: bool(api.parts.trending.value["1h"].rows))
        after = (await api.get("/freshness")).json()
    late = {step["step"]: step["late"] for step in after["steps"]}
    assert late == {
        "silver": False, "trending_1h": False, "trending_24h": True, "staging": False, "marts": True, "model": False,
    }  # fmt: skip
    assert Lake(api.parts.settings.storage).exists(LEDGER)
    assert not after["degraded"]
    async with start(database_url="postgresql://music@127.0.0.1:1/music") as api:
        assert (await api.get("/freshness")).json()["degraded"]
