"""A Bloom filter over digests, in a file that many batches share: says "never seen" for most new ids at once.

Blocked (Putze, Sanders, Singler 2007): all bits of a key lie in one 64-bit word, so a look is one access to memory.
It grows by further filters of twice the size, because the words of a full one cannot be split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

Digests = np.ndarray[Any, np.dtype[np.uint64]]
"""Shape (n, 2): the two halves of each digest."""

_KEYS_PER_WORD: Final = 4
"""16 bits a key: about one new id in a hundred is looked up in vain."""
_FIRST_KEYS: Final = 1 << 22
_BITS: Final = 4
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def look(folder: Path) -> BloomView | None:
    """Return what a filter holds now, for another process; None where there is none to believe, as on another machine.

    What is added meanwhile it may know or not.
    """
    stamp = folder / "boot"
    if not stamp.exists() or stamp.read_text() != _boot():
        return None
    return BloomView([np.memmap(path, np.uint64, mode="r") for path in _stages(folder)])


class BloomView:
    """The bits of a filter.

    Args:
        stages: its filters.
    """

    def __init__(self, stages: list[np.memmap[Any, np.dtype[np.uint64]]]) -> None:
        self._stages = stages

    def maybe(self, digests: Digests) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which digests may have been added; False is certain."""
        found = np.zeros(len(digests), bool)
        bits = _bits(digests)
        for stage in self._stages:
            found |= (stage[_words(digests, len(stage))] & bits) == bits
        return found


class BloomFilter(BloomView):
    """The filter of one index.

    Args:
        folder: of its files; one that another boot of this machine left is not believed, because the pages of a
            memory map survive a kill but not a power loss.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__([])
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._held = 0
        self.trusted = self._stamp().exists() and self._stamp().read_text() == _boot()
        if self.trusted:
            self._stages = [np.memmap(path, np.uint64, mode="r+") for path in _stages(folder)]
            # How full the last one is was not written down: counting its bits tells.
            self._held = self._filled() if self._stages else 0
        else:
            self.clear()

    def clear(self) -> None:
        """Forget everything; the filter is trusted only after `trust`."""
        self._stages, self._held, self.trusted = [], 0, False
        for path in self._folder.iterdir():
            path.unlink()

    def trust(self) -> None:
        """Say that the filter holds all that it should."""
        self._stamp().write_text(_boot())
        self.trusted = True

    def add(self, digests: Digests) -> None:
        """Add digests; must come before what it guards is written."""
        if not len(digests):
            return
        if not self._stages or self._held + len(digests) > len(self._stages[-1]) * _KEYS_PER_WORD:
            self._grow(len(digests))
        stage = self._stages[-1]
        np.bitwise_or.at(stage, _words(digests, len(stage)), _bits(digests))
        self._held += len(digests)

    def _grow(self, least: int) -> None:
        keys = max(_FIRST_KEYS << len(self._stages), least)
        path = self._folder / f"stage-{len(self._stages)}.bits"
        self._stages.append(np.memmap(path, np.uint64, mode="w+", shape=(keys // _KEYS_PER_WORD + 1,)))
        self._held = 0

    def _filled(self) -> int:
        stage = self._stages[-1]
        share = float(np.bitwise_count(stage).sum(dtype=np.int64)) / (64 * len(stage))
        # A bit stays 0 with probability exp(-bits set / bits there).
        return int(-np.log(max(1 - share, 1e-9)) * 64 * len(stage) / _BITS)

    def _stamp(self) -> Path:
        return self._folder / "boot"


def halves(digests: np.ndarray[Any, Any]) -> Digests:
    """Return digests of 16 bytes each as what a filter takes."""
    return np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)


def repeated(digests: Digests) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which digests may stand more than once: equal halves are enough for a second look."""
    half = digests[:, 0]
    order = np.argsort(half, kind="stable")
    same = half[order][1:] == half[order][:-1]
    found = np.zeros(len(half), bool)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return found


def _stages(folder: Path) -> list[Path]:
    return sorted(folder.glob("stage-*.bits"), key=lambda path: int(path.stem.removeprefix("stage-")))


def _words(digests: Digests, words: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return digests[:, 0] % np.uint64(words)


def _bits(digests: Digests) -> np.ndarray[Any, np.dtype[np.uint64]]:
    one, mask = np.uint64(1), np.uint64(63)
    bits = np.zeros(len(digests), np.uint64)
    for each in range(_BITS):
        bits |= one << ((digests[:, 1] >> np.uint64(6 * each)) & mask)
    return bits


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else "unknown"
