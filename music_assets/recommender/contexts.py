"""Where items are heard: for each context that listens name, such as a playlist or the radio, what is heard there."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

LISTENERS: Final = 3
"""Fewest of a context: clients write there what they like, and what one person alone writes may name that person."""

CONTEXTS: Final = 200
ITEMS: Final = 1000
"""Of a context: both bound what a bundle holds of them, to some 10 MB."""

_QUERY: Final = """
with heard as (
    select context, item_id, user_id, count(*) as listens
    from marts.fct_listens
    where context is not null
        and listened_at > (select max(listened_at) - interval '28 days' from marts.fct_listens)
    group by context, item_id, user_id
),
places as (
    select context from heard
    group by context
    having count(distinct user_id) >= %(listeners)s
    order by sum(listens) desc, context
    limit %(contexts)s
),
counted as (
    select context, item_id, count(*) as listeners, sum(listens) as listens
    from heard inner join places using (context)
    group by context, item_id
),
ranked as (
    select context, item_id,
        row_number() over (partition by context order by listeners desc, listens desc, item_id) as place
    from counted
)
select context, item_id from ranked where place <= %(items)s order by context, place
"""


def read_contexts(connection: psycopg.Connection[Any]) -> dict[str, tuple[str, ...]]:
    """Read the contexts of the last four weeks before the newest listen, and what is heard in each.

    Of a context there are `ITEMS` items at most, of all contexts the `CONTEXTS` with the most listens.
    """
    found = connection.execute(_QUERY, {"listeners": LISTENERS, "contexts": CONTEXTS, "items": ITEMS}).fetchall()
    return {context: tuple(item for _, item in rows) for context, rows in groupby(found, key=lambda row: row[0])}
