"""Who is who: the statements on `identity.listener`, and the resolver of collectors and imports.

A person's user id becomes a random listener id here and goes no further: topics, lake and warehouse know only that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

# Sorted, because two batches that insert the same listeners in opposite orders would wait for each other for ever.
ENSURE: Final = """
with wanted as (select distinct user_id from unnest(%(user_ids)s::text[]) as given(user_id)),
made as (
    insert into identity.listener (user_id)
    select user_id from wanted
    where not exists (select from identity.listener where listener.user_id = wanted.user_id)
        and not exists (select from identity.tombstones where user_hash = identity.user_hash(wanted.user_id))
    order by user_id
    on conflict (user_id) do nothing
    returning user_id, listener_id::text
)
select user_id, listener_id from made
union all
select listener.user_id, listener.listener_id::text
from identity.listener join wanted using (user_id)
where listener.paused_at is null
"""
"""For whoever takes something in: a user who was erased or has paused is not among the rows."""

FIND: Final = "select user_id, listener_id::text from identity.listener where user_id = any(%(user_ids)s::text[])"


def ensure_listeners(connection: psycopg.Connection[Any], user_ids: Sequence[str]) -> dict[str, str]:
    """Return the listener id of each user id, made where there was none; commits.

    Who was erased or has paused is not among them: nothing of theirs may be taken in. A second look is needed only when
    another process made the same listener in the same moment: the statement then neither inserts it nor sees it.
    """
    found = dict(connection.execute(ENSURE, {"user_ids": list(user_ids)}).fetchall())
    connection.commit()
    missing = [user_id for user_id in user_ids if user_id not in found]
    if missing:
        found |= dict(connection.execute(ENSURE, {"user_ids": missing}).fetchall())
        connection.commit()
    return found


def erased(connection: psycopg.Connection[Any], user_ids: Sequence[str]) -> frozenset[str]:
    """Return those of the user ids whose person was erased and has not come back."""
    found = connection.execute(
        """
        select user_id from unnest(%(user_ids)s::text[]) as given(user_id)
        where exists (select from identity.tombstones where user_hash = identity.user_hash(given.user_id))
        """,
        {"user_ids": list(user_ids)},
    )
    return frozenset(user_id for (user_id,) in found)


def set_zone(connection: psycopg.Connection[Any], user_id: str, time_zone: str) -> None:
    """Say in which time zone a listener's days and weeks are; commits.

    Only names that the warehouse knows: an unknown one would stop every build.

    Raises:
        ConfigurationError: there is no such zone, or no such user.
    """
    known = connection.execute("select from pg_timezone_names where name = %s", (time_zone,)).fetchone()
    if known is None:
        raise ConfigurationError(f"there is no time zone {time_zone[:60]!r}; valid: such as UTC, Europe/Brussels")
    listeners = dict(connection.execute(FIND, {"user_ids": [user_id]}).fetchall())
    if user_id not in listeners:
        raise ConfigurationError("there is no listener of this user id: nothing came from there yet")
    connection.execute(
        """
        insert into source.listener_zones (listener_id, time_zone) values (%s, %s)
        on conflict (listener_id) do update set time_zone = excluded.time_zone, updated_at = now()
        """,
        (listeners[user_id], time_zone),
    )
    connection.commit()
