"""What a measurement is told on the command line, as the options of its mode."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import StrEnum

T = TypeVar("T")
M = TypeVar("M", bound="StrEnum")


def named(modes: type[M], name: str) -> M:
    """Return the mode of a name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in modes.__members__.values():
        raise ConfigurationError(f"--mode has no {name!r}; valid: {', '.join(modes)}")
    return modes(name)


def filled(kind: type[T], mode: str, given: Mapping[str, Any], *, sides: Sequence[str]) -> T:
    """Return a mode's options: what was given, and its own defaults.

    Args:
        kind: a dataclass with a default for each field.
        mode: what is measured.
        given: values by name; None counts as not given.
        sides: names that `sides` may hold.

    Raises:
        ConfigurationError: the mode knows no such option or side.
    """
    told = {name: value for name, value in given.items() if value is not None}
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # the caller gives a dataclass
    for name in told.keys() - set(known):
        valid = ", ".join(_flag(each) for each in known)
        raise ConfigurationError(f"{_flag(name)} does not belong to --mode {mode}; valid: {valid}")
    for side in told.get("sides", ()):
        if side not in sides:
            raise ConfigurationError(f"--sides has no {side!r}; valid: {', '.join(sides)}")
    return kind(**told)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
