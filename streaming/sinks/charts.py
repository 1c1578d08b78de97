"""Writes the charts: they fit into the driver, and a commit from here costs a twentieth of Spark's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from deltalake import CommitProperties, write_deltalake
from deltalake.exceptions import CommitFailedError

from streaming.errors import UnavailableError
from streaming.tables import TRENDING_HISTORY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from streaming.storage import Storage
    from streaming.tables import Table

_ATTEMPTS: Final = 20


def replace(chart: pa.Table, table: Table, storage: Storage, *, note: Mapping[str, Any]) -> None:
    """Make a chart the table's only rows, in one commit; the versions before stay readable."""
    write_deltalake(storage.delta(table), _shaped(chart, table), mode="overwrite", commit_properties=_properties(note))


def replace_ticks(
    charts: pa.Table, storage: Storage, *, window: str, ticks: Sequence[datetime], note: Mapping[str, Any]
) -> None:
    """Make some charts of a window the history's only ones of their ticks, in one commit.

    A backfill and the service may write at once: the one whose ticks the other touched reads again and repeats.

    Args:
        charts: rows of the history, of these ticks only.
        storage: where the lake lies.
        window: name of the window.
        ticks: ends of the charts; one without a row becomes an empty chart.
        note: what the commit says of itself.

    Raises:
        UnavailableError: others kept writing the same ticks.
    """
    moments = ", ".join(f"'{tick.isoformat()}'" for tick in ticks)
    failure: CommitFailedError | None = None
    for _ in range(_ATTEMPTS):
        try:
            write_deltalake(
                storage.delta(TRENDING_HISTORY),
                _shaped(charts, TRENDING_HISTORY),
                mode="overwrite",
                predicate=f"\"window\" = '{window}' and as_of in ({moments})",
                commit_properties=_properties(note),
            )
        except CommitFailedError as error:
            failure = error
        else:
            return
    raise UnavailableError(f"{TRENDING_HISTORY.id} is written by others all the time: {failure}") from failure


def _shaped(rows: pa.Table, table: Table) -> pa.Table:
    return rows.select(table.schema.names).cast(table.schema)


def _properties(note: Mapping[str, Any]) -> CommitProperties:
    return CommitProperties(custom_metadata={"userMetadata": json.dumps(note)})
