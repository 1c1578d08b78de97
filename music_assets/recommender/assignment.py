"""Who is in which arm of an experiment: a hash of the listener, so that nothing is stored and nobody changes sides.

The same listener and experiment give the same arm, on every machine and for ever; another experiment deals anew.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from streaming.errors import ConfigurationError

Arm = Literal["champion", "challenger", "shadow"]
"""What answers: the champion; the challenger; the champion, while the challenger is asked as well and not shown."""

ARMS: Final[tuple[Arm, ...]] = get_args(Arm)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FORM: Final = "NAME:ARM=SHARE,ARM=SHARE, such as bolder:champion=0.5,challenger=0.5"
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment.

    Attributes:
        name: part of the hash: an experiment of another name deals the listeners anew.
        arms: each arm with its share of the listeners; who is in none gets the champion and is not counted.
    """

    name: str
    arms: tuple[tuple[Arm, float], ...]

    def arm(self, listener_id: str) -> Arm | None:
        """Return the arm of a listener, or None where they do not take part."""
        place = position(self.name, listener_id)
        for arm, share in self.arms:
            if place < share:
                return arm
            place -= share
        return None


def position(name: str, listener_id: str) -> float:
    """Return where a listener lies in an experiment: uniform in [0, 1)."""
    digest = hashlib.blake2b(listener_id.encode(), key=name.encode(), digest_size=8).digest()
    # 53 bits are what a float holds: more would round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def parse_experiment(text: str) -> Experiment | None:
    """Read an experiment as a setting gives it; the empty text is none.

    Raises:
        ConfigurationError: it is of another form, an arm is unknown or named twice, or the shares are above 1.
    """
    if not text:
        return None
    name, _, rest = text.partition(":")
    if not _NAME.fullmatch(name) or not rest:
        raise ConfigurationError(f"experiment {text!r} is not understood; valid: {_FORM}")
    arms = tuple(_arm(text, part) for part in rest.split(","))
    if len({arm for arm, _ in arms}) < len(arms):
        raise ConfigurationError(f"experiment {text!r} names an arm twice; valid: each of {', '.join(ARMS)} once")
    if sum(share for _, share in arms) > 1 + _ROUNDING:
        raise ConfigurationError(f"experiment {text!r} has shares above 1 in all; valid: 1 at most")
    return Experiment(name=name, arms=arms)


def _arm(text: str, part: str) -> tuple[Arm, float]:
    arm, _, share = part.partition("=")
    known = next((each for each in ARMS if each == arm.strip()), None)
    if known is None:
        raise ConfigurationError(f"experiment {text!r} has no arm {arm.strip()!r}; valid: {', '.join(ARMS)}")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ConfigurationError(f"experiment {text!r} gives {known} the share {share!r}; valid: above 0, 1 at most")
    return known, value
