"""The modes of `music bench serve`, their options, and a run of each."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import serve, serve_dbt, serve_soak
from music_assets.bench.options import filled, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from music_assets.bench.arena import Arena
    from music_assets.bench.report import Report


class Mode(StrEnum):
    """What is measured."""

    COST = "cost"
    SOAK = "soak"
    DBT = "dbt"


Options = serve.Options | serve_soak.Options | serve_dbt.Options

_OPTIONS: Final[dict[Mode, type[Options]]] = {
    Mode.COST: serve.Options,
    Mode.SOAK: serve_soak.Options,
    Mode.DBT: serve_dbt.Options,
}


def options_of(name: str, given: Mapping[str, Any]) -> Options:
    """Return the options of a mode: what was given, and its own defaults.

    Args:
        name: of the mode.
        given: values by name; None counts as not given.

    Raises:
        ConfigurationError: there is no such mode, or it knows no such option or side.
    """
    mode = named(Mode, name)
    return filled(_OPTIONS[mode], mode, given, sides=serve.SIDES)


def run(options: Options, arena: Arena, say: Callable[[str], None]) -> Report:
    """Measure.

    Raises:
        MusicError: something did not work as it should; there is no figure then.
    """
    match options:
        case serve.Options():
            return serve.run(options, arena, say)
        case serve_soak.Options():
            return serve_soak.run(options, arena, say)
        case serve_dbt.Options():
            return serve_dbt.run(options, arena, say)
