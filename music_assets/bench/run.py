"""One measurement from start to end: its options, a broker, a session where it takes one, a report."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from music_assets.bench import catchup, latency, scale, soak, throughput
from music_assets.bench.arena import Arena, arena
from music_assets.bench.options import filled, named
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from music_assets.bench.report import Report
    from music_assets.settings import Settings

    Say = Callable[[str], None]


class Mode(StrEnum):
    """What is measured."""

    THROUGHPUT = "throughput"
    DEDUP = "dedup"
    LATENCY = "latency"
    CATCHUP = "catchup"
    SOAK = "soak"


Options = throughput.Options | scale.Options | latency.Options | catchup.Options | soak.Options

ENGINES: Final = ("spark", "python")

_OPTIONS: Final[dict[Mode, type[Options]]] = {
    Mode.THROUGHPUT: throughput.Options,
    Mode.DEDUP: scale.Options,
    Mode.LATENCY: latency.Options,
    Mode.CATCHUP: catchup.Options,
    Mode.SOAK: soak.Options,
}


def mode_of(name: str) -> Mode:
    """Return the mode of a name.

    Raises:
        ConfigurationError: there is none.
    """
    return named(Mode, name)


def options_of(mode: Mode, given: Mapping[str, Any]) -> Options:
    """Return a mode's options: what was given, and its own defaults.

    Args:
        mode: what is measured.
        given: values by name; None counts as not given.

    Raises:
        ConfigurationError: the mode knows no such option, side or engine.
    """
    found = filled(_OPTIONS[mode], mode, given, sides=throughput.SIDES)
    if getattr(found, "engine", "spark") not in ENGINES:
        raise ConfigurationError(f"--engine has no {given['engine']!r}; valid: {', '.join(ENGINES)}")
    return found


def run(options: Options, settings: Settings, say: Say) -> Report:
    """Measure on a broker and a lake of its own, below the platform's home; nothing of them is left.

    Raises:
        MusicError: something did not work as it should; there is no figure then.
    """
    # A supervisor's stop must take the folder away as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with arena(settings) as place:
        match options:
            case throughput.Options() | scale.Options():
                return _in_process(options, place, say)
            case latency.Options():
                return latency.run(options, place, say)
            case catchup.Options():
                return catchup.run(options, place, say)
            case soak.Options():
                return soak.run(options, place, say)


def _in_process(options: throughput.Options | scale.Options, place: Arena, say: Say) -> Report:
    from streaming.spark import session

    if isinstance(options, scale.Options) and options.engine == "python":
        return scale.run(options, place, None, say)
    spark = session(place.settings)
    try:
        spark.sparkContext.setLogLevel("ERROR")
        if isinstance(options, scale.Options):
            return scale.run(options, place, spark, say)
        return throughput.run(options, place, spark, say)
    finally:
        spark.stop()
