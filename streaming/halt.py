"""A schema break stops the stream instead of draining a topic into its dead letters.

A producer that was deployed with a bug breaks nearly all its messages. They would be dead letters before anybody
looked, so silver halts before it commits such a batch, says so, and goes on when a person resumes it: after a fix, or
because the messages really are bad.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from streaming.errors import HaltedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streaming.settings import Settings

_LOOK_BACK: Final = 200
"""Messages of a topic that are judged together at least: small batches say little each."""


class Halt(BaseModel):
    """Why and where silver stopped.

    Attributes:
        topic: whose messages break the contract.
        bad: how many of those looked at.
        received: how many were looked at.
        reasons: bad ones by reason.
        ends: where the batch ends that was not committed, by partition; what is accepted reaches up to there.
        at: when.
        accepted: a person said that these messages are to be dead letters.
    """

    model_config = ConfigDict(frozen=True)

    topic: str
    bad: int
    received: int
    reasons: dict[str, int]
    ends: dict[int, int]
    at: AwareDatetime
    accepted: bool = False

    @property
    def sentence(self) -> str:
        """What a person reads."""
        main = ", ".join(f"{count} {reason}" for reason, count in Counter(self.reasons).most_common(3))
        return (
            f"halted since {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.bad} of {self.received} messages of {self.topic} "
            f"break its contract ({main}); fix the producer or the parser, then `music stream resume`, or "
            "`music stream resume --accept` to take them as dead letters"
        )


class Brake:
    """Decides when silver halts, and keeps the decision over restarts.

    Args:
        settings: the share and the least number of bad messages, and where the state lies.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = halt_file(settings)
        self._share = settings.halt_dead_letter_share
        self._least = settings.halt_dead_letters
        self._recent: dict[str, tuple[int, int]] = {}

    def check(self, topic: str, *, received: int, reasons: Mapping[str, int], ends: Mapping[int, int]) -> None:
        """Look at a batch's messages of one topic before they are committed.

        Raises:
            HaltedError: too many of them break the contract.
        """
        bad = sum(reasons.values())
        seen, seen_bad = self._recent.get(topic, (0, 0))
        if seen >= _LOOK_BACK:
            seen, seen_bad = 0, 0
        seen, seen_bad = seen + received, seen_bad + bad
        if bad and seen_bad >= self._least and seen_bad > self._share * seen and not self._accepted(topic):
            halt = Halt(
                topic=topic, bad=seen_bad, received=seen, reasons=dict(reasons), ends=dict(ends), at=datetime.now(UTC)
            )
            _write(self._file, halt)
            raise HaltedError(halt.sentence)
        self._recent[topic] = (seen, seen_bad)

    def _accepted(self, topic: str) -> bool:
        halt = _read(self._file)
        return halt is not None and halt.accepted and halt.topic == topic

    def passed(self, ends: Mapping[str, Mapping[int, int]]) -> None:
        """Forget what was accepted once a batch has gone by it, in which newer messages may have been."""
        halt = _read(self._file)
        if halt is not None and halt.accepted:
            reached = ends.get(halt.topic, {})
            if all(reached.get(partition, 0) >= end for partition, end in halt.ends.items()):
                self._recent.pop(halt.topic, None)
                self._file.unlink(missing_ok=True)


def halt_file(settings: Settings) -> Path:
    """Return where the state lies."""
    return settings.checkpoint_root / "halted.json"


def halted(settings: Settings) -> Halt | None:
    """Return why silver stands still, or None when it does not."""
    halt = _read(halt_file(settings))
    return halt if halt is not None and not halt.accepted else None


def refuse_when_halted(settings: Settings) -> None:
    """Do nothing unless silver is halted.

    Raises:
        HaltedError: it is, and nobody resumed it.
    """
    halt = halted(settings)
    if halt is not None:
        raise HaltedError(halt.sentence)


def resume(settings: Settings, *, accept: bool) -> Halt | None:
    """Let silver go on; return what it was halted for, None when it was not.

    Args:
        settings: where the state lies.
        accept: the bad messages up to the end of the batch become dead letters; otherwise they are judged anew.
    """
    halt = halted(settings)
    if halt is None:
        return None
    if accept:
        _write(halt_file(settings), halt.model_copy(update={"accepted": True}))
    else:
        halt_file(settings).unlink()
    return halt


def _read(file: Path) -> Halt | None:
    return Halt.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None


def _write(file: Path, halt: Halt) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(halt.model_dump(mode="json")), encoding="utf-8")
    draft.replace(file)
