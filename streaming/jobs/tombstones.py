"""Who is forgotten: written by an erasure before anything goes, read by everything that takes messages in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from streaming.columns import listener_hash
from streaming.sinks.tables import Write, append_arrow
from streaming.tables import TOMBSTONES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.lake import Lake


def forgotten(lake: Lake) -> frozenset[bytes]:
    """Return the hashes of the listeners of whom nothing may come in; none in a lake that was not made yet."""
    if not lake.exists(TOMBSTONES):
        return frozenset()
    return frozenset(lake.read(TOMBSTONES, ["listener_hash"]).column("listener_hash").to_pylist())


def write_tombstones(lake: Lake, listener_ids: Sequence[str], erasure_id: str) -> datetime:
    """Make the intake drop what these listeners send; return since when it does for all of them."""
    now = datetime.now(UTC)
    hashes = {listener_hash(each) for each in listener_ids}
    missing = sorted(hashes - forgotten(lake))
    if not missing:
        held = lake.read(TOMBSTONES, ["erased_at"], pc.field("listener_hash").isin(list(hashes)))
        return pc.max(held.column("erased_at")).as_py()  # type: ignore[no-any-return]
    rows = [{"listener_hash": each, "erasure_id": erasure_id, "erased_at": now} for each in missing]
    write = Write(expected={}, leaves={}, note={"erasure_id": erasure_id})
    append_arrow(pa.Table.from_pylist(rows, TOMBSTONES.schema), TOMBSTONES, lake.storage, write=write)
    return now
