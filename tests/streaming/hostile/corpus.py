"""Messages that were made to hurt, each with what must become of it; generated, because some are a megabyte."""

from __future__ import annotations

from functools import cache

from tests.streaming.hostile.case import Case
from tests.streaming.hostile.families import catalogue, identities, keys, recommendations
from tests.streaming.hostile.fields import items, numbers, texts, times, types
from tests.streaming.hostile.wholes import no_events, unknown_fields, versions

FAMILIES = (
    no_events, unknown_fields, versions, numbers, texts, items, types, times,
    catalogue, recommendations, identities, keys,
)  # fmt: skip


@cache
def cases() -> tuple[Case, ...]:
    """Every case; a name occurs once in its topic."""
    return tuple(case for family in FAMILIES for case in family())
