"""The way from a message to an answer, and which step of it is late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from streaming.tables import LEDGER, TRENDING_1H, TRENDING_24H

As_of = Mapping[str, "datetime | None"]


@dataclass(frozen=True)
class Step:
    """A step of the way.

    Attributes:
        name: of it.
        upstream: the step that it is made from; None: the broker.
        allowed: how old it may be.
        did: what it last did, for a sentence.
        remedy: where to look when it is the first late one.
    """

    name: str
    upstream: str | None
    allowed: timedelta
    did: str
    remedy: str


_HOURLY: Final = timedelta(hours=2)
_DAILY: Final = timedelta(hours=26)

STEPS: Final[dict[str, Step]] = {
    step.name: step
    for step in (
        Step(
            "silver", None, timedelta(minutes=LEDGER.stale_after_minutes), "took messages in",
            "either nothing is sent or the streams stand still: see `music status`",
        ),
        Step(
            "trending_1h", "silver", timedelta(minutes=TRENDING_1H.stale_after_minutes), "was counted",
            "the job stream_trending_to_gold stands still: see `music status`",
        ),
        Step(
            "trending_24h", "silver", timedelta(minutes=TRENDING_24H.stale_after_minutes), "was counted",
            "the job stream_trending_to_gold stands still: see `music status`",
        ),
        Step(
            "staging", "silver", _HOURLY, "was copied from the lake",
            "the runs of the warehouse fail or do not start: see Dagster and `music quality list --failing`",
        ),
        Step(
            "marts", "staging", _HOURLY, "were tested", "dbt fails: see `music quality list --failing`",
        ),
        Step(
            "model", "marts", _DAILY, "was made",
            "training failed, or the gate let no newer one through: see the asset recommender/champion",
        ),
    )
}  # fmt: skip
"""Every step, each behind the one that it is made from."""


@dataclass(frozen=True)
class Verdict:
    """How old a step is, whether that is too old, which step is to blame, and all of it as a sentence."""

    step: str
    as_of: datetime | None
    age_seconds: float | None
    allowed_seconds: float
    late: bool
    blame: str | None
    sentence: str


def judge(name: str, as_of: As_of, now: datetime) -> Verdict:
    """Return whether a step is late, and the first late one on the way to it."""
    step, moment = STEPS[name], as_of.get(name)
    age = None if moment is None else now - moment
    late = age is None or age > step.allowed
    blame = _first_late(name, as_of, now) if late else None
    return Verdict(
        step=name, as_of=moment, age_seconds=None if age is None else age.total_seconds(),
        allowed_seconds=step.allowed.total_seconds(), late=late, blame=blame,
        sentence=_sentence(step, age, blame, as_of, now),
    )  # fmt: skip


def _first_late(name: str, as_of: As_of, now: datetime) -> str:
    """Walk up while the step above is late too: what lies behind a late one cannot be on time."""
    found = name
    while (upstream := STEPS[found].upstream) is not None:
        moment = as_of.get(upstream)
        if moment is not None and now - moment <= STEPS[upstream].allowed:
            break
        found = upstream
    return found


def _sentence(step: Step, age: timedelta | None, blame: str | None, as_of: As_of, now: datetime) -> str:
    if blame is None:
        return f"{step.name} {step.did} {_span(age)} ago, which is in time"
    own = f"{step.name} is not there yet" if age is None else f"{step.name} {step.did} {_span(age)} ago, too long"
    if blame == step.name:
        return f"{own}: {step.remedy}"
    late, moment = STEPS[blame], as_of.get(blame)
    when = "is not there yet" if moment is None else f"{late.did} {_span(now - moment)} ago"
    return f"{own}, because {late.name} {when}: {late.remedy}"


def _span(age: timedelta | None) -> str:
    seconds = max(0, int((age or timedelta()).total_seconds()))
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
