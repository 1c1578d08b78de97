"""The warehouse: silver tables of the lake copied into PostgreSQL, where dbt models them.

Public: `load_table` and its `LoadResult`; `music_assets.warehouse.dbt` runs the dbt project.
"""

from music_assets.warehouse.load import LoadResult, load_table

__all__ = ["LoadResult", "load_table"]
