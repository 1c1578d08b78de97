"""Work on many listeners: in blocks of bounded memory, on every core, with threads that do not wait for each other."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

BLOCK: Final = 256
"""Listeners scored at once: bounds the dense block to 256 rows of the catalogue for each core."""

_Made = TypeVar("_Made")


def each_block(work: Callable[[slice], _Made], rows: int) -> list[_Made]:
    """Return what work makes of blocks of `BLOCK` rows, in their order; done on every core, BLAS with a thread each."""
    blocks = [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]
    if len(blocks) < 2:
        return [work(block) for block in blocks]
    # Passes over a dense block leave the interpreter's lock, and few of them use a second core themselves. BLAS is
    # held to a thread out here: of two who do that inside at once, the later one would leave it so for ever.
    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, blocks))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a block in which BLAS keeps to one thread: for small work its threads wait longer than they work."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    """Return what knows the libraries of this process: finding them costs milliseconds."""
    return ThreadpoolController()
