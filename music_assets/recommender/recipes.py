"""Recipes: a model with the settings it may take, picked on a validation part of the training data alone (Optuna)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
import optuna
import structlog

from music_assets.recommender.metrics import K, evaluate
from music_assets.recommender.models.artist_graph import ArtistGraph
from music_assets.recommender.models.autoencoder import Autoencoder
from music_assets.recommender.models.base import Weighting
from music_assets.recommender.models.bpr import Bpr
from music_assets.recommender.models.content import Content
from music_assets.recommender.models.ease import Ease
from music_assets.recommender.models.factors import Als
from music_assets.recommender.models.knn import ItemKnn
from music_assets.recommender.models.popularity import Popularity
from music_assets.recommender.models.session import Session
from music_assets.recommender.models.spectral import Spectral
from music_assets.recommender.models.user_knn import UserKnn
from music_assets.recommender.models.walk import Walk
from music_assets.recommender.names import (
    ARTIST_GRAPH,
    BPR,
    CONTENT,
    EASE,
    GF_CF,
    IALS,
    IALS_LOG,
    ITEM_KNN,
    MULT_DAE,
    POPULARITY,
    RP3BETA,
    SESSION,
    USER_KNN,
)
from music_assets.recommender.split import cutoff_of, split_at
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from music_assets.recommender.interactions import Interactions
    from music_assets.recommender.models.base import Listening, Model

MAX_JUDGES: Final = 2000
"""Listeners that judge settings: more would cost time and not change the choice."""

_MIN_JUDGES: Final = 10
"""Listeners below which a validation says nothing and the first settings are taken."""

_TUNING_ITEMS: Final = 4000
"""Catalogue of EASE while tuning: the cube of 8,000 is eight times the work for the same choice."""

_TRIALS: Final = 12
_SECONDS: Final = 60.0
"""For a recipe's trials in daily training: at the size of a demo all of them fit, at that of a platform some."""

_TUNING_LISTENS: Final = 1_500_000
"""Listens that trials learn from at most, of listeners drawn at random: who is left out would not change the choice,
and one trial on everything would take what ten take on these."""

_AT_RANDOM: Final = 6
"""Trials before the sampler makes use of what it has seen; of a dear recipe there are few more."""

_SEED: Final = 7

_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Part:
    """What settings are judged on.

    Attributes:
        train: what a model may learn from.
        history: CSR of counts, shape (judges, items): what is folded in.
        test: CSR, the same judges, non-zero for what they heard afterwards.
    """

    train: Listening
    history: Any
    test: Any


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Settings picked.

    Attributes:
        model: with the best settings.
        ndcg: its mean on the validation part.
        trials: settings tried.
        fit_seconds: of the best one, scaled to the catalogue that is fitted in the end.
        rate_seconds: to rate one listener by it.
    """

    model: Model
    ndcg: float
    trials: int
    fit_seconds: float
    rate_seconds: float


@dataclass(frozen=True)
class Recipe:
    """A model and the settings it may take.

    Attributes:
        name: what bundle, leaderboard and gate call it; a change of what it does is a new name.
        first: settings tried first, and taken where nothing can be judged.
        suggest: makes a trial's model, or None for a recipe without a choice.
    """

    name: str
    first: Model
    suggest: Callable[[optuna.Trial], Model] | None = None

    def build(self, settings: Mapping[str, Any]) -> Model:
        """Return the model of settings picked before."""
        return replace(self.first, **settings)

    def tuned(self, train: Interactions) -> Model:
        """Return the settings with the best NDCG on the last fifth of the training time, within `_SECONDS`."""
        if self.suggest is None:
            return self.first
        part = split_at(train, cutoff_of(train), most=MAX_JUDGES)
        if part.listeners < _MIN_JUDGES:
            return self.first
        judged = Part(sampled(part.train, _TUNING_LISTENS), part.history, part.test)
        return self.tune(judged, k=K, trials=_TRIALS, seconds=_SECONDS).model

    def tune(self, part: Part, *, k: int, trials: int, seconds: float | None = None) -> Tuned:
        """Return the settings with the best NDCG@k on a validation part.

        Args:
            part: fit on its train, judge on its test.
            k: length of the list.
            trials: settings to try at most, the first included.
            seconds: start no further trial that would end after this long.
        """
        tried: list[Tuned] = []
        ends = time.monotonic() + seconds if seconds is not None else float("inf")

        def stop_in_time(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            # Settings differ in what they cost: the next may cost what the dearest one did.
            taken.append(trial.duration.total_seconds() if trial.duration else 0.0)
            if time.monotonic() + max(taken) > ends:
                study.stop()

        taken: list[float] = []

        def objective(trial: optuna.Trial) -> float:
            model = self.first if trial.number == 0 or self.suggest is None else self.suggest(trial)
            tried.append(_judged(model, part, k))
            return tried[-1].ndcg

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(n_startup_trials=_AT_RANDOM, seed=_SEED)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(objective, n_trials=trials if self.suggest else 1, callbacks=[stop_in_time])
        best = max(tried, key=lambda each: each.ndcg)
        _log.info("tuned", recipe=self.name, ndcg=round(best.ndcg, 4), trials=len(tried), model=str(best.model))
        return replace(best, trials=len(tried))


def sampled(listens: Interactions, most: int) -> Interactions:
    """Return about so many listens at most: all of those of listeners drawn at random, always the same ones."""
    if len(listens) <= most:
        return listens
    return listens.of_listeners(np.random.default_rng(_SEED).random(len(listens.users)) < most / len(listens))


def _judged(model: Model, part: Part, k: int) -> Tuned:
    started = time.monotonic()
    fitted = _small(model).fit(part.train)
    seconds = (time.monotonic() - started) * _larger(model, len(fitted.items))
    started = time.monotonic()
    ranked = fitted.recommend(part.history, k=k)
    rate = (time.monotonic() - started) / max(part.history.shape[0], 1)
    ndcg = evaluate(ranked, part.test, k=k, items=len(fitted.items)).ndcg.mean()
    return Tuned(model=model, ndcg=float(ndcg), trials=1, fit_seconds=seconds, rate_seconds=rate)


def _larger(model: Model, items: int) -> float:
    """Return how many times the work of the small model the whole one is."""
    return (min(model.max_items, items) / min(_TUNING_ITEMS, items)) ** 3 if isinstance(model, Ease) and items else 1.0


def _small(model: Model) -> Model:
    return replace(model, max_items=min(model.max_items, _TUNING_ITEMS), near=0) if isinstance(model, Ease) else model


def _weighting(trial: optuna.Trial) -> Weighting:
    chosen: Weighting = trial.suggest_categorical("weighting", get_args(Weighting))
    return chosen


def _ease(trial: optuna.Trial) -> Model:
    return Ease(
        strength=trial.suggest_float("strength", 1, 2000, log=True),
        dropout=trial.suggest_float("dropout", 0, 1.5),
        listener_exponent=trial.suggest_float("listener_exponent", 0, 0.7),
        item_exponent=trial.suggest_float("item_exponent", 0, 0.5),
        weighting=_weighting(trial),
    )


def _als(trial: optuna.Trial) -> Model:
    return Als(
        factors=trial.suggest_categorical("factors", (128, 256)),
        balance=trial.suggest_float("balance", 0.3, 30, log=True),
        ridge=trial.suggest_float("ridge", 0.0005, 0.1, log=True),
        exponent=trial.suggest_float("exponent", 0.5, 1),
        weighting=_weighting(trial),
    )


def _als_log(trial: optuna.Trial) -> Model:
    return Als(
        factors=trial.suggest_categorical("factors", (64, 256)),
        balance=trial.suggest_float("balance", 0.3, 30, log=True),
        ridge=trial.suggest_float("ridge", 0.003, 0.1, log=True),
        weighting="log",
    )


def _walk(trial: optuna.Trial) -> Model:
    return Walk(
        alpha=trial.suggest_float("alpha", 0.2, 1.2),
        beta=trial.suggest_float("beta", 0, 1),
        weighting=_weighting(trial),
    )


def _knn(trial: optuna.Trial) -> Model:
    return ItemKnn(
        shrink=trial.suggest_float("shrink", 0.5, 200, log=True),
        hub=trial.suggest_float("hub", 0.2, 0.9),
        activity=trial.suggest_float("activity", 0, 1),
        weighting=_weighting(trial),
    )


def _user_knn(trial: optuna.Trial) -> Model:
    return UserKnn(
        rarity=trial.suggest_float("rarity", 0, 1),
        own=trial.suggest_float("own", 0.2, 0.8),
        shrink=trial.suggest_float("shrink", 0.01, 10, log=True),
        sharpness=trial.suggest_float("sharpness", 1, 6),
        hub=trial.suggest_float("hub", 0, 0.5),
        keep=trial.suggest_int("keep", 50, 1600, log=True),
    )


def _spectral(trial: optuna.Trial) -> Model:
    return Spectral(
        rank=trial.suggest_int("rank", 16, 256, log=True),
        smooth=trial.suggest_float("smooth", 0.05, 3, log=True),
        weighting=_weighting(trial),
    )


def _autoencoder(trial: optuna.Trial) -> Model:
    return Autoencoder(
        hidden=trial.suggest_categorical("hidden", (200, 400)),
        dropout=trial.suggest_float("dropout", 0.2, 0.6),
        decay=trial.suggest_float("decay", 0.0003, 0.003, log=True),
        rate=trial.suggest_categorical("rate", (0.001, 0.003)),
        epochs=trial.suggest_int("epochs", 10, 80, log=True),
    )


def _content(trial: optuna.Trial) -> Model:
    return Content(
        artist=trial.suggest_float("artist", 0.1, 2),
        genre=trial.suggest_float("genre", 0.1, 2),
        tag=trial.suggest_float("tag", 0.1, 2),
        audio=trial.suggest_float("audio", 0.1, 2),
        words=trial.suggest_float("words", 0.01, 0.5),
        weighting=_weighting(trial),
    )


def _artist_graph(trial: optuna.Trial) -> Model:
    return ArtistGraph(
        shrink=trial.suggest_float("shrink", 0.5, 200, log=True),
        own=trial.suggest_float("own", 0, 2),
        hits=trial.suggest_float("hits", 0, 1),
        weighting=_weighting(trial),
    )


def _popularity(trial: optuna.Trial) -> Model:
    return Popularity(trial.suggest_categorical("half_life_days", (90.0, 30.0, 7.0)))


_RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe(POPULARITY, Popularity(), _popularity),
        Recipe(EASE, Ease(), _ease),
        Recipe(IALS, Als(), _als),
        Recipe(IALS_LOG, Als(factors=256, ridge=0.03, weighting="log"), _als_log),
        Recipe(RP3BETA, Walk(), _walk),
        Recipe(ITEM_KNN, ItemKnn(), _knn),
        Recipe(USER_KNN, UserKnn(), _user_knn),
        Recipe(GF_CF, Spectral(), _spectral),
        Recipe(MULT_DAE, Autoencoder(), _autoencoder),
        Recipe(BPR, Bpr()),
        Recipe(SESSION, Session()),
        Recipe(CONTENT, Content(), _content),
        Recipe(ARTIST_GRAPH, ArtistGraph(), _artist_graph),
    )
}


def recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        ConfigurationError: no such recipe.
    """
    if name not in _RECIPES:
        raise ConfigurationError(f"there is no recipe {name!r}; valid: {', '.join(_RECIPES)}")
    return _RECIPES[name]
