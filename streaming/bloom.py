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


class BloomFilter:
    """The filter of one index.

    Args:
        folder: of its files; one that another boot of this machine left is not believed, because the pages of a
            memory map survive a kill but not a power loss.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stages: list[np.memmap[Any, np.dtype[np.uint64]]] = []
        self._held = 0
        self.trusted = self._stamp().exists() and self._stamp().read_text() == _boot()
        if self.trusted:
            paths = sorted(folder.glob("stage-*.bits"), key=lambda path: int(path.stem.removeprefix("stage-")))
            self._stages = [np.memmap(path, np.uint64, mode="r+") for path in paths]
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

    def maybe(self, digests: Digests) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which digests may have been added; False is certain."""
        found = np.zeros(len(digests), bool)
        bits = _bits(digests)
        for stage in self._stages:
            found |= (stage[_words(digests, len(stage))] & bits) == bits
        return found

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
