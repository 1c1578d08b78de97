"""What lives long is set aside from the collector of cycles, and what is dropped is still freed."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from music_assets.recommender.scored import Scored
from serving import garbage
from serving.access.rules import direct_handlers
from serving.app import create_app
from serving.histories import History
from serving.recommend.listed import Listed
from tests.serving import worlds
from tests.serving.test_recommend import serves

if TYPE_CHECKING:
    from tests.conftest import MakeSettings
    from tests.serving.conftest import Start

pytestmark = pytest.mark.anyio


def test_what_is_kept_by_the_thousand_is_not_seen() -> None:
    item = Scored("artist:1", 1.0, "ease", "because")
    answer, history = Listed((item,)), History({"artist:1": 1.0}, 1)
    answer.shown({})
    answer.exposed()
    assert not any(map(gc.is_tracked, (item, answer, answer.exposed(), history)))


def test_what_is_set_aside_once_is_collected_the_next_time() -> None:
    class Knot:
        other: Knot

    one, other = Knot(), Knot()
    one.other, other.other = other, one
    gone = weakref.ref(one)
    garbage.set_aside()
    del one, other
    gc.collect()
    assert gone() is not None
    garbage.set_aside()
    assert gone() is None


async def test_a_bundle_that_gave_way_is_freed(start: Start) -> None:
    async with start() as api:
        await serves(api, worlds.release(api.parts.settings.model_root))
        old = weakref.ref(api.parts.models.current)
        await api.get("/recommend", user_id="x")
        await serves(api, worlds.release(api.parts.settings.model_root))
        assert old() is None


def test_the_busiest_routes_have_a_shortcut(make_settings: MakeSettings) -> None:
    routes = create_app(make_settings()).router.routes
    assert set(direct_handlers(routes)) == {("GET", "/recommend"), ("POST", "/events")}
