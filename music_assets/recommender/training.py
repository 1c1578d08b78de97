"""The steps from listens to a released bundle, each a pure call over a work folder below the model root.

The work folder holds what one step leaves for the next: the listens, each candidate fitted up to the cut-off with
its evaluation. It is written anew by every run, and unlike a bundle it names listeners (by their random ids).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from music_assets.recommender import board, bundle, releases
from music_assets.recommender.ablation import ablation
from music_assets.recommender.candidates import Candidate, fingerprint, measured, read, save, saved
from music_assets.recommender.exposures import Exposures
from music_assets.recommender.files import replaced
from music_assets.recommender.gate import Champion, Limit, Verdict, in_one, judge, refused
from music_assets.recommender.hearing import Hearing, challengers, judged_champion
from music_assets.recommender.indexing import indexed
from music_assets.recommender.interactions import Interactions
from music_assets.recommender.item_features import ItemFeatures
from music_assets.recommender.limits import Opponent, of_coverage, of_latency, of_listens, of_slices, of_withdrawal
from music_assets.recommender.metrics import Interval, K, difference
from music_assets.recommender.names import CANDIDATES, CONTENT, EASE, FIRST_STAGE, POPULARITY, TWO_STAGE
from music_assets.recommender.ranking import second_stage
from music_assets.recommender.recipes import recipe
from music_assets.recommender.refit import refitted
from music_assets.recommender.split import MAX_LISTENERS, Split, cutoff_of, split_at
from streaming.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from music_assets.recommender.ablation import Ablation
    from music_assets.recommender.releases import Withdrawal

NEEDED: Final = (POPULARITY, EASE)
"""Candidates that every release is judged by: the floor, and what asks to serve where there is no second stage."""

_FEATURES: Final = "features"
"""Folder of what is known of the items, below the work folder."""

_EXPOSURES: Final = "exposures"
"""Folder of what was shown, below the work folder."""

_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Row:
    """A line of the leaderboard."""

    model: str
    metrics: dict[str, float]
    over_popularity: Interval


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Attributes:
        verdict: on the challenger.
        version: to serve from now on.
        retrieval: how that finds the best of its catalogue, in a sentence.
    """

    verdict: Verdict
    version: str
    retrieval: str = ""


@dataclass(frozen=True)
class Workshop:
    """The steps of a training, in the order of their methods.

    Attributes:
        root: the model root, with the bundles and the work folder.
    """

    root: Path

    @property
    def _work(self) -> Path:
        return self.root / "work"

    def prepare(self, interactions: Interactions) -> Split:
        """Keep the listens and fix the cut-off, which never moves back: a champion would be judged on what it saw.

        Raises:
            UnavailableError: there are no listens.
        """
        if not len(interactions):
            raise UnavailableError("marts.fct_listens holds no listens yet: send some, then build the marts")
        served = self._champion()
        cutoff = max(cutoff_of(interactions), served.contents.cutoff if served else 0)
        self._work.mkdir(parents=True, exist_ok=True)
        with replaced(self._work / "interactions") as folder:
            interactions.save(folder)
            (folder / "cutoff.json").write_text(json.dumps(cutoff), "utf-8")
        return split_at(interactions, cutoff)

    def listens(self) -> Interactions:
        """Return the listens that `prepare` kept, with what is known of the items."""
        known = ItemFeatures.open(self._work / _FEATURES)
        return replace(Interactions.open(self._work / "interactions"), features=known)

    def describe(self, features: ItemFeatures) -> None:
        """Keep what is known of the items."""
        self._work.mkdir(parents=True, exist_ok=True)
        with replaced(self._work / _FEATURES) as folder:
            features.save(folder)

    def teaching_time(self) -> tuple[int, int]:
        """Return from when to when what was shown may teach the ranker, in microseconds since 1970."""
        listens, cutoff = Interactions.open(self._work / "interactions"), self._cutoff()
        return cutoff_of(listens.before(cutoff)), cutoff

    def show(self, exposures: Exposures) -> None:
        """Keep what was shown."""
        with replaced(self._work / _EXPOSURES) as folder:
            exposures.save(folder)

    def split(self) -> Split:
        """Return those listens split at the cut-off that `prepare` fixed, judged by `MAX_LISTENERS` at most."""
        return split_at(self.listens(), self._cutoff(), most=MAX_LISTENERS)

    def _cutoff(self) -> int:
        found: int = json.loads((self._work / "interactions" / "cutoff.json").read_text("utf-8"))
        return found

    def train(self, name: str) -> Candidate:
        """Pick a recipe's settings and fit it, both on the listens before the cut-off; measure it on those after."""
        split = self.split()
        model = recipe(name).tuned(split.train)
        holdout = model.fit(split.train)
        candidate = Candidate(
            recipe=name,
            settings=asdict(model),
            cutoff=split.cutoff,
            data=fingerprint(split),
            holdout=holdout,
            evaluation=measured(holdout, split.history, split.test),
            history=split.history,
            test=split.test,
        )
        with replaced(self._work / name) as folder:
            save(folder, candidate)
        return candidate

    def rank(self) -> Candidate | str:
        """Grow the second stage over the candidates of these listens and measure it like one of them.

        Returns:
            The candidate, or a sentence that says why there is none; then an older one does not ask to serve.
        """
        split, candidates = self.split(), self._candidates()
        stages = {name: candidates[name] for name in FIRST_STAGE if name in candidates}
        found = second_stage(split, stages, Exposures.open(self._work / _EXPOSURES))
        with replaced(self._work / TWO_STAGE) as folder:
            if not isinstance(found, str):
                save(folder, found)
        return found

    def leaderboard(self) -> list[Row]:
        """Return all candidates and the champion on the same listeners, the best first, and keep them for who asks."""
        candidates = self._candidates()
        judged = {name: candidate.evaluation for name, candidate in candidates.items()}
        champion = judged_champion(challengers(candidates)[0], candidates, self._champion())
        if champion:
            judged[f"champion ({champion.name})"] = champion.evaluation
        floor = judged[POPULARITY].ndcg
        rows = [Row(name, entry.means(), difference(entry.ndcg, floor)) for name, entry in judged.items()]
        rows.sort(key=lambda row: -row.metrics[f"ndcg@{K}"])
        with replaced(self._work / board.FOLDER) as folder:
            board.write(folder, [(row.model, row.metrics, asdict(row.over_popularity)) for row in rows])
        return rows

    def ablation(self) -> Ablation:
        """Return what each candidate adds to the union and the second stage to the best of them."""
        return ablation(self._candidates())

    def release(
        self, names: Mapping[str, str], contexts: Mapping[str, Sequence[str]] = MappingProxyType({}), *,
        accept_fewer_listens: bool = False,
    ) -> Outcome:  # fmt: skip
        """Judge the challengers and mark what shall serve: the first let pass, the champion, or popularity.

        Args:
            names: item id to what a person calls it.
            contexts: where items are heard to item ids, what most listeners hear there first.
            accept_fewer_listens: a person says that the champion's listens are rightly gone.
        """
        hearing = Hearing(
            candidates=self._candidates(), served=self._champion(), listens=self.listens(), names=names,
            contexts=contexts, fewer=accept_fewer_listens,
        )  # fmt: skip
        verdicts, version = [], None
        for challenger in challengers(hearing.candidates):
            verdict, version = self._asked(challenger, hearing)
            verdicts.append(verdict)
            if version is not None:
                break
        if version is None:
            floor, served = hearing.candidates[POPULARITY], hearing.served
            stays = served is not None and (served.contents.recipe != POPULARITY or self._taken_back(floor, hearing))
            version = served.version if served is not None and stays else self._refit(floor, hearing)
        bundle.release(self.root, version)
        outcome = Outcome(in_one(verdicts), version, releases.retrieval(self.root, version).told)
        with replaced(self._work / "outcome") as folder:
            (folder / "outcome.json").write_text(json.dumps(asdict(outcome)), "utf-8")
        return outcome

    def _asked(self, challenger: Candidate, hearing: Hearing) -> tuple[Verdict, str | None]:
        """Return the gate's word on a challenger, and the version of its refit if it may serve."""
        champion = judged_champion(challenger, hearing.candidates, hearing.served)
        floor, limits = hearing.candidates[POPULARITY], self._limits(challenger, champion, hearing)
        verdict = judge(challenger.recipe, challenger.evaluation, floor.evaluation, champion, limits)
        if not verdict.released:
            return verdict, None
        version = self._refit(challenger, hearing)
        problem = releases.problem(self.root, version)
        if problem:
            return refused(verdict, challenger.recipe, problem), None
        recall = releases.retrieval(self.root, version).recall
        return replace(verdict, metrics={**verdict.metrics, **recall}), version

    def outcome(self) -> Outcome:
        """Return what the last `release` said, in words; the intervals are in its metadata."""
        said = json.loads((self._work / "outcome" / "outcome.json").read_text("utf-8"))
        told = {name: said["verdict"][name] for name in ("released", "reason", "listeners", "metrics")}
        limits = tuple(Limit(**each) for each in said["verdict"]["limits"])
        return Outcome(Verdict(**told, limits=limits), said["version"], said.get("retrieval", ""))

    def _candidates(self) -> dict[str, Candidate]:
        """Return the needed candidates, and of the others those that saw the same listens."""
        found = {name: read(self._work / name, name) for name in NEEDED}
        if len({candidate.data for candidate in found.values()}) > 1:
            raise UnavailableError("the candidates saw different listens: materialise all recommender/candidates_*")
        for name in (*CANDIDATES, TWO_STAGE):
            if name not in found and saved(self._work / name):
                other = read(self._work / name, name)
                found.update({name: other} if other.data == found[POPULARITY].data else {})
        return found

    def _champion(self) -> bundle.Bundle | None:
        version = bundle.champion(self.root)
        try:
            return bundle.load(self.root, version) if version else None
        except IntegrityError as error:
            # A broken champion cannot serve; it must not keep its successor from being trained as well.
            _log.warning("champion_unreadable", version=version, error=str(error))
            return None

    def _limits(self, challenger: Candidate, champion: Champion | None, hearing: Hearing) -> list[Limit]:
        floor, served = hearing.candidates[POPULARITY], hearing.served
        opponent = Opponent(name=POPULARITY, evaluation=floor.evaluation)
        if champion is not None and served is not None:
            known, cutoff = (0 if hearing.fewer else served.contents.listens), served.contents.cutoff
            opponent = Opponent(name=served.version, evaluation=champion.evaluation, cutoff=cutoff, listens=known)
        model, history, popularity = challenger.holdout, challenger.history, floor.holdout.popularity
        return [
            *of_slices(challenger.evaluation, opponent, history, popularity),
            of_coverage(challenger.evaluation, opponent),
            of_latency(indexed(model, history)[0], history),
            *of_listens(hearing.listens.time, opponent),
            of_withdrawal(self._taken_back(challenger, hearing)),
        ]

    def _taken_back(self, candidate: Candidate, hearing: Hearing) -> Withdrawal | None:
        until = int(hearing.listens.time.max())
        return releases.withdrawn_like(self.root, candidate.recipe, candidate.settings, data_until=until)

    def _refit(self, candidate: Candidate, hearing: Hearing) -> str:
        content = hearing.candidates.get(CONTENT)
        return bundle.write(
            self.root, refitted(candidate, hearing.listens, hearing.names, hearing.contexts, content=content)
        )
