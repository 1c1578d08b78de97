"""Who is who: the statements on `identity.listener`, and the resolver of collectors and imports.

A person's user id becomes a random listener id here and goes no further: topics, lake and warehouse know only that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

# Sorted, because two batches that insert the same listeners in opposite orders would wait for each other for ever.
ENSURE: Final = """
with wanted as (select distinct user_id from unnest(%(user_ids)s::text[]) as given(user_id)),
made as (
    insert into identity.listener (user_id) select user_id from wanted order by user_id
    on conflict (user_id) do nothing
    returning user_id, listener_id::text
)
select user_id, listener_id from made
union all
select listener.user_id, listener.listener_id::text from identity.listener join wanted using (user_id)
"""

FIND: Final = "select user_id, listener_id::text from identity.listener where user_id = any(%(user_ids)s::text[])"


def ensure_listeners(connection: psycopg.Connection[Any], user_ids: Sequence[str]) -> dict[str, str]:
    """Return the listener id of each user id, made where there was none; commits.

    A second look is needed only when another process made the same listener in the same moment: the statement then
    neither inserts it nor sees it.
    """
    found = dict(connection.execute(ENSURE, {"user_ids": list(user_ids)}).fetchall())
    connection.commit()
    missing = [user_id for user_id in user_ids if user_id not in found]
    if missing:
        found |= dict(connection.execute(FIND, {"user_ids": missing}).fetchall())
        connection.commit()
    return found
