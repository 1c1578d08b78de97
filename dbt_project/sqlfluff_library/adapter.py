"""Stands in for dbt's `adapter` when sqlfluff renders a model: every dispatched macro is a function of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def dispatch(name: str) -> Callable[..., str]:
    """Return what renders a call of `name`."""

    if name == "unnest_shown":
        return lambda relation: f"cross join {relation} as shown"
    if name == "favourite_artists":
        return lambda listeners: f"select * from {listeners}"

    def render(*arguments: object) -> str:
        return f"{name}({', '.join(map(str, arguments))})"

    return render
