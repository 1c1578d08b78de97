"""Experiments and exploration, from the setting to the exposure on the topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from music_assets.recommender import features, releases
from music_assets.recommender.assignment import parse_experiment
from streaming.errors import ConfigurationError
from tests.serving import worlds
from tests.serving.conftest import Running, Start, eventually, listen, of

if TYPE_CHECKING:
    from tests.conftest import MakeSettings

pytestmark = pytest.mark.anyio

EXPERIMENT = "bolder:champion=0.4,challenger=0.4,shadow=0.2"


async def two_models(api: Running) -> tuple[str, str]:
    """A champion and a challenger, both followed."""
    root = api.parts.settings.model_root
    challenger, champion = worlds.release(root), worlds.release(root)
    releases.challenge(root, challenger)
    models = api.parts.models
    await eventually(lambda: models.current is not None and models.current.version == champion)
    await eventually(lambda: models.challenger is not None and models.challenger.version == challenger)
    return champion, challenger


async def fans(api: Running, database_url: str, redis_url: str, count: int) -> dict[str, str]:
    """Users with a history; user id to listener id."""
    users = [f"fan-{number}" for number in range(count)]
    await api.post([listen(user_id=user) for user in users])
    with psycopg.connect(database_url) as connection:
        query = "select user_id, listener_id::text from identity.listener where user_id = any(%s)"
        known = dict(connection.execute(query, (users,)).fetchall())
    with redis.Redis.from_url(redis_url) as client:
        for listener in known.values():
            client.set(features.key(listener), features.encode({"artist:04": 3.0, "artist:06": 1.0}))
    return known


async def test_listeners_are_answered_by_their_arm_and_stay_there(
    start: Start, broker: str, database_url: str, redis_url: str
) -> None:
    experiment = parse_experiment(EXPERIMENT)
    assert experiment is not None
    async with start(experiment=EXPERIMENT) as api:
        champion, challenger = await two_models(api)
        known = await fans(api, database_url, redis_url, 30)
        answers = {user: (await api.get("/recommend", user_id=user, k=5)).json() for user in known}
        again = {user: (await api.get("/recommend", user_id=user, k=5)).json() for user in known}
        stranger = (await api.get("/recommend", user_id="stranger")).json()
        await eventually(lambda: _shadows(api, challenger))
    arms = {user: experiment.arm(listener) for user, listener in known.items()}
    assert {*arms.values()} == {"champion", "challenger", "shadow"}
    ids = {answer["recommendation_id"] for answer in [*answers.values(), *again.values(), stranger]}
    shown = {value["event_id"]: value for _, value in of(broker, "music_recommendations", ids)}
    assert len(shown) == len(ids)
    for user, arm in arms.items():
        for answer in (answers[user], again[user]):
            exposure = shown[answer["recommendation_id"]]
            assert (exposure["experiment"], exposure["arm"]) == ("bolder", arm)
            wanted = challenger if arm == "challenger" else champion
            assert exposure["model_version"] == answer["model_version"] == wanted
            assert "propensities" not in exposure
    assert "arm" not in shown[stranger["recommendation_id"]], "an answer to nobody known takes no part"


async def _shadows(api: Running, challenger: str) -> bool:
    return f'recommend_shadow_overlap_sum{{version="{challenger}"}} ' in (await api.get("/metrics")).text


async def test_a_challenger_that_ends_is_answered_for_by_the_champion(
    start: Start, database_url: str, redis_url: str
) -> None:
    async with start(experiment="only:challenger=1") as api:
        champion, challenger = await two_models(api)
        await fans(api, database_url, redis_url, 1)
        assert (await api.get("/recommend", user_id="fan-0")).json()["model_version"] == challenger
        releases.challenge(api.parts.settings.model_root, None)
        await eventually(lambda: api.parts.models.challenger is None)
        assert (await api.get("/recommend", user_id="fan-0")).json()["model_version"] == champion


async def test_explored_places_carry_their_propensity(
    start: Start, broker: str, database_url: str, redis_url: str
) -> None:
    async with start(exploration_share=0.5) as api:
        await two_models(api)
        await fans(api, database_url, redis_url, 1)
        answers = [(await api.get("/recommend", user_id="fan-0", k=2)).json() for _ in range(20)]
    found = of(broker, "music_recommendations", {answer["recommendation_id"] for answer in answers})
    assert len(found) == len(answers)
    sources = {source for _, value in found for source in value["sources"]}
    assert sources == {"ease", "exploration"}
    for _, value in found:
        assert len({*value["item_ids"]}) == 2
        assert not {*value["item_ids"]} & {"artist:04", "artist:06"}, "what was heard is not tried"
        for source, propensity in zip(value["sources"], value["propensities"], strict=True):
            # The less popular half of 20 artists without what was heard or ranked is what may be tried.
            assert propensity == 0.5 if source == "ease" else 0.5 / 10 <= propensity <= 0.5 / 6


async def test_what_nobody_heard_is_tried_on_whom_it_fits_and_carries_its_propensity(
    start: Start, broker: str, database_url: str, redis_url: str
) -> None:
    async with start(newcomer_share=0.25) as api:
        version = worlds.release(api.parts.settings.model_root, newcomers=12)
        await eventually(lambda: api.parts.models.current is not None and api.parts.models.current.version == version)
        await fans(api, database_url, redis_url, 1)
        answers = [(await api.get("/recommend", user_id="fan-0", k=4)).json() for _ in range(30)]
        stranger = (await api.get("/recommend", user_id="stranger", k=4)).json()
    found = of(broker, "music_recommendations", {answer["recommendation_id"] for answer in answers})
    places = [
        place for _, value in found
        for place in zip(value["item_ids"], value["sources"], value["reasons"], value["propensities"], strict=True)
    ]  # fmt: skip
    new = {item for item, source, _, _ in places if source == "content"}
    assert len(new) > 3
    assert new <= {f"artist:{number}" for number in range(20, 32, 2)}, "the fan hears even artists"
    for _, source, reason, propensity in places:
        # Six newcomers fit, so that each of four places shows one of them with the probability that is set.
        assert propensity == (pytest.approx(0.25 / 6) if source == "content" else 0.75)
        wanted = "nobody played it yet: like artist:0" if source == "content" else "because you played artist:0"
        assert reason.startswith(wanted)
    assert {item["source"] for item in stranger["items"]} == {"popularity"}, "nothing is known of their taste"


@pytest.mark.parametrize("experiment", ["bolder", "a:best=1"])
def test_a_setting_that_is_no_experiment_is_refused(experiment: str, make_settings: MakeSettings) -> None:
    with pytest.raises((ConfigurationError, ValueError), match="valid: "):
        make_settings(experiment=experiment)
