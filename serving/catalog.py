"""Names of items, from the catalogue tables of the lake."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from serving.views import Source, View
from streaming.tables import silver
from streaming.topics import catalog_topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from streaming.lake import Lake

Names = View["Mapping[str, str]"]


def names_view(lake: Lake) -> Names:
    """Return the view of item id to name."""
    sources = [Source(silver(topic.table), ("item_id", "name")) for topic in catalog_topics()]
    return View(lake, sources, build=_names, empty=MappingProxyType({}))


def _names(tables: list[pa.Table]) -> Mapping[str, str]:
    return MappingProxyType(
        {
            item_id: name
            for table in tables
            for item_id, name in zip(table["item_id"].to_pylist(), table["name"].to_pylist(), strict=True)
        }
    )
