"""Listeners and a model of full size, made in seconds: content by chance, shapes and costs as trained ones have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psycopg
from redis import Redis
from scipy import sparse

from music_assets.identity import ensure_listeners
from music_assets.recommender import bundle, features
from music_assets.recommender.bundle import Contents
from music_assets.recommender.examples import examples
from music_assets.recommender.models.factors import FactorModel
from music_assets.recommender.models.neighbours import ItemModel
from music_assets.recommender.models.spectral import SpectralModel
from music_assets.recommender.names import FIRST_STAGE, GF_CF, IALS, TWO_STAGE
from music_assets.recommender.trees import grow
from music_assets.recommender.two_stage import TwoStage, feature_names
from streaming import online

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from music_assets.recommender.models.base import FittedModel
    from music_assets.settings import Settings

HEARD: Final = 50
"""Items heard by each listener."""

_NEIGHBOURS: Final = 100
_FACTORS: Final = 128
_TAUGHT: Final = 400
_BATCH: Final = 2000


def users(count: int) -> list[str]:
    """Return the ids of the clients' users."""
    return [f"user-{number}" for number in range(count)]


def fill(settings: Settings, *, listeners: int, items: int) -> str:
    """Make listeners with histories, and a champion of both stages; return its version."""
    draw = np.random.default_rng(7)
    catalogue = tuple(f"track:{number}" for number in range(items))
    _make_listeners(settings, users(listeners), catalogue, draw)
    model = two_stage(catalogue, draw)
    contents = Contents(
        model=model, holdout=model.models[0], recipe=TWO_STAGE, settings={}, metrics={"ndcg@10": 0.1}, cutoff=1,
        data_until=2,
    )  # fmt: skip
    version = bundle.write(settings.model_root, contents)
    bundle.promote(settings.model_root, version)
    return version


def _make_listeners(
    settings: Settings, names: Sequence[str], catalogue: Sequence[str], draw: np.random.Generator
) -> None:
    with psycopg.connect(settings.database) as connection, Redis.from_url(settings.redis) as redis:
        # As with a stream that runs: without one the API does not trust what the store says of late.
        redis.set(online.EPOCH_KEY, "bench")
        for start in range(0, len(names), _BATCH):
            found = ensure_listeners(connection, names[start : start + _BATCH])
            pipeline = redis.pipeline(transaction=False)
            for listener_id in found.values():
                heard = _popular(draw, len(catalogue), HEARD)
                history = {catalogue[item]: float(1 + count) for item, count in zip(heard, draw.poisson(2, HEARD))}  # noqa: B905 - both are HEARD long
                pipeline.set(features.key(listener_id), features.encode(history))
            pipeline.execute()


def _popular(draw: np.random.Generator, items: int, count: int) -> NDArray[np.int64]:
    """Draw items, the first far more often than the last, as listeners do."""
    return np.unique((items * draw.random(2 * count) ** 3).astype(np.int64))[:count]


def two_stage(catalogue: tuple[str, ...], draw: np.random.Generator) -> TwoStage:
    """Return five models and trees over them."""
    popularity = (1 / (1 + np.arange(len(catalogue)))).astype(np.float32)
    models = tuple(_model(name, catalogue, popularity, draw) for name in FIRST_STAGE)
    heard, later = (_histories(len(catalogue), draw) for _ in range(2))
    grown = grow(examples(models, heard, later), feature_names(FIRST_STAGE), k=20)
    return TwoStage(items=catalogue, popularity=popularity, names=FIRST_STAGE, models=models, trees=grown.text)


def _model(
    name: str, catalogue: tuple[str, ...], popularity: NDArray[np.float32], draw: np.random.Generator
) -> FittedModel:
    known: dict[str, Any] = {"items": catalogue, "popularity": popularity}
    near = ItemModel(**known, neighbours=_neighbours(len(catalogue), draw), weighting="log")
    if name == IALS:
        factors = draw.normal(0, 1 / _FACTORS, (len(catalogue), _FACTORS)).astype(np.float32)
        solved: dict[str, Any] = {
            "unheard": 0.02,
            "ridge": 0.03,
            "exponent": 1.0,
            "catalogue": len(catalogue),
            "mean_weight": 1.0,
        }
        return FactorModel(**known, factors=factors, weighting="log", **solved)
    if name == GF_CF:
        smooth = draw.normal(0, 1 / _FACTORS, (2, len(catalogue), _FACTORS)).astype(np.float32)
        return SpectralModel(**known, weighting="log", near=near, inward=smooth[0], outward=smooth[1])
    return near


def _neighbours(items: int, draw: np.random.Generator) -> Any:
    keep = min(_NEIGHBOURS, items)
    columns = np.sort((items * draw.random((items, keep)) ** 2).astype(np.int32), axis=1)
    weights = draw.random((items, keep), dtype=np.float32) / keep
    found = sparse.csr_matrix((weights.ravel(), columns.ravel(), np.arange(items + 1) * keep), shape=(items, items))
    found.sum_duplicates()
    return found


def _histories(items: int, draw: np.random.Generator) -> Any:
    rows = [_popular(draw, items, HEARD) for _ in range(_TAUGHT)]
    indptr = np.cumsum([0, *map(len, rows)])
    return sparse.csr_matrix(
        (np.ones(indptr[-1], np.float32), np.concatenate(rows), indptr), shape=(_TAUGHT, items), dtype=np.float32
    )


def event(number: int, user_id: str) -> dict[str, Any]:
    """Return a listen with an id of its own."""
    return {
        "event_id": f"bench-serve-{number}", "user_id": user_id, "event_type": "listen", "ms_played": 180_000,
        "item_id": f"track:{number % 1000}", "timestamp": "2025-06-01T10:00:00Z",
    }  # fmt: skip


def encoded(events: Sequence[dict[str, Any]]) -> bytes:
    """Return events as a client sends them: one alone, several as an array."""
    return json.dumps(events[0] if len(events) == 1 else list(events), separators=(",", ":")).encode()
