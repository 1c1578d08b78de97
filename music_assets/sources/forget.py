"""An erasure among the collectors: nothing says any more that an account of the person was looked at.

They know accounts, not listeners, and the mapping goes with the request: the person's tombstone tells whose they are.
The collectors themselves ask for no account of an erased person (`collect`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg import errors

from music_assets.identity import erased
from music_assets.sources.books import lock_name
from music_assets.sources.collect import owner_of
from music_assets.sources.listens import OF_BACKFILL
from streaming.errors import UnavailableError

if TYPE_CHECKING:
    import psycopg

    from music_assets.settings import Settings

_ACCOUNTS: Final = """
    select source, split_part(account, %s, 1) from source.cursors
    union select source, account from source.fetches where account is not null
"""
_FORGET: Final = (
    "delete from source.cursors where source = %(source)s and split_part(account, %(mark)s, 1) = %(account)s",
    "delete from source.fetches where source = %(source)s and account = %(account)s",
)
_PATIENCE: Final = "5min"
"""How long a run of the collector is waited for: it would write its cursor again at its end."""


def forget_accounts(settings: Settings, conn: psycopg.Connection[Any]) -> int:
    """Remove cursors and looks of every account whose owner was erased; returns how many accounts. Can be repeated.

    Commits.

    Raises:
        UnavailableError: the collector of such an account runs for longer than is waited for.
    """
    owner = owner_of(settings)
    owners = {(source, account): owner(source, account) for source, account in conn.execute(_ACCOUNTS, [OF_BACKFILL])}
    gone = erased(conn, sorted(set(owners.values())))
    found = sorted(key for key, user_id in owners.items() if user_id in gone)
    conn.commit()
    for source, account in found:
        with conn.transaction():
            _wait_for(conn, source)
            for statement in _FORGET:
                conn.execute(statement, {"source": source, "account": account, "mark": OF_BACKFILL})
    return len(found)


def _wait_for(conn: psycopg.Connection[Any], source: str) -> None:
    conn.execute("select set_config('lock_timeout', %s, true)", [_PATIENCE])
    try:
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock_name(source)])
    except errors.LockNotAvailable as error:
        raise UnavailableError(f"{source} is being collected: its accounts are not forgotten yet") from error
