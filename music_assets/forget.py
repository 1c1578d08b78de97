"""Carries out the erasures that were asked for: the lake and every store beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import psycopg
import redis
from psycopg.rows import class_row

from music_assets.erasures import GET, Erasure, waiting
from music_assets.recommender import features
from music_assets.sources.forget import forget_accounts
from music_assets.stack.process import wait_until
from music_assets.warehouse import forget as warehouse
from streaming.control import Receipt, StreamClient
from streaming.errors import MusicError, UnavailableError

if TYPE_CHECKING:
    from music_assets.settings import Settings

_SNAPSHOT_SECONDS: Final = 60.0

Forget = Callable[["Settings", Sequence[str]], None]
"""Removes listeners, by their random ids, from a store beside the lake; can be repeated."""


def _forget_warehouse(settings: Settings, listener_ids: Sequence[str]) -> None:
    """Remove staged copies, rows of models, imports and the files that waited to be imported."""
    with psycopg.connect(settings.database, connect_timeout=10) as connection:
        warehouse.forget(settings, connection, listener_ids)


def _forget_collectors(settings: Settings, _: Sequence[str]) -> None:
    """Remove what the collectors know of accounts of erased people: they go by tombstones, not by listener ids."""
    with psycopg.connect(settings.database, connect_timeout=10) as connection:
        forget_accounts(settings, connection)


def _forget_histories(settings: Settings, listener_ids: Sequence[str]) -> None:
    """Remove what recommendations looked at, and the embedded Redis' snapshot of all that it held of them.

    The features of the stream go with the lake, before this.
    """
    with redis.Redis.from_url(settings.redis, socket_timeout=10) as client:
        try:
            client.delete(*[features.key(each) for each in listener_ids])
            if settings.embedded_redis:
                _write_snapshot(client)
        except redis.RedisError as error:
            raise UnavailableError("Redis does not answer: histories are not gone yet") from error


def _write_snapshot(client: Any) -> None:
    """Have Redis write its snapshot anew: the last one holds who is gone, and on a quiet day no other would follow.

    Raises:
        UnavailableError: it is not written in time, or cannot be.
    """

    def at_rest() -> bool:
        return not client.info("persistence")["rdb_bgsave_in_progress"]

    # One that is under way may have begun before.
    if wait_until(at_rest, seconds=_SNAPSHOT_SECONDS):
        client.bgsave(schedule=False)
        if (
            wait_until(at_rest, seconds=_SNAPSHOT_SECONDS)
            and client.info("persistence")["rdb_last_bgsave_status"] == "ok"
        ):
            return
    raise UnavailableError("Redis does not write its snapshot, and the last one holds who is gone; look at the disk")


STORES: Final[dict[str, Forget]] = {
    "collectors": _forget_collectors,
    "warehouse": _forget_warehouse,
    "histories": _forget_histories,
}
"""The stores beside the lake and Redis, by the name they have in a receipt."""


_REWRITTEN: Final = (
    *(f"identity.{table}" for table in ("listener", "api_keys", "accounts", "sessions", "hidden_items")),
    *(f"source.{table}" for table in ("cursors", "fetches")),
)
"""Tables whose files still hold a deleted row: a plain vacuum only marks its place as free."""


def carry_out(settings: Settings, stores: Mapping[str, Forget] = STORES) -> list[Erasure]:
    """Carry out all erasures that wait, in one go, because the lake is rewritten once for all of them.

    After an error all wait again: every step can be repeated.

    Returns:
        Them, as they stand then.

    Raises:
        MusicError: a store did not forget; the requests say so as well.
    """
    with psycopg.connect(settings.database, connect_timeout=10, autocommit=True) as connection:
        # Two runs would rewrite the same files; the lock goes with the connection, so a killed run leaves none.
        if not connection.execute("select pg_try_advisory_lock(hashtext('identity.erasures'))").fetchone() == (True,):
            raise UnavailableError("another run carries out the erasures; it takes those that wait")
        found = waiting(connection)
        if not found:
            return []
        ids = [each.erasure_id for each in found]
        _begin(connection, ids)
        try:
            receipt = _forget(settings, sorted({each.listener_id for each in found if each.listener_id}), stores)
        except MusicError as error:
            _fail(connection, ids, str(error))
            raise
        _end(connection, ids, receipt)
        return [_get(connection, each) for each in ids]


def _forget(settings: Settings, listener_ids: list[str], stores: Mapping[str, Forget]) -> Receipt:
    from streaming.jobs.erase import erase_alone

    name, client = str(uuid4()), StreamClient(settings.stream_port)
    up = client.alive()
    receipt = client.erase(listener_ids, name) if up else erase_alone(settings, listener_ids, name)
    gone_at = dict(receipt.gone_at)
    for store, forget in stores.items():
        forget(settings, listener_ids)
        gone_at[store] = datetime.now(UTC)
    with psycopg.connect(settings.database, connect_timeout=10, autocommit=True) as connection:
        for table in _REWRITTEN:
            connection.execute(f"vacuum (full) {table}")
    gone_at["identity"] = datetime.now(UTC)
    return receipt.model_copy(update={"gone_at": gone_at})


def _begin(connection: psycopg.Connection[Any], ids: list[UUID]) -> None:
    connection.execute(
        """
        update identity.erasures set status = 'running', tries = tries + 1, error = null, updated_at = now()
        where erasure_id = any(%s)
        """,
        (ids,),
    )


def _fail(connection: psycopg.Connection[Any], ids: list[UUID], sentence: str) -> None:
    connection.execute(
        "update identity.erasures set status = 'failed', error = %s, updated_at = now() where erasure_id = any(%s)",
        (sentence, ids),
    )


def _end(connection: psycopg.Connection[Any], ids: list[UUID], receipt: Receipt) -> None:
    gone_at = {store: None if moment is None else moment.isoformat() for store, moment in receipt.gone_at.items()}
    connection.execute(
        """
        update identity.erasures
        set status = 'done', listener_id = null, gone_at = gone_at || %s::jsonb, rows = %s::jsonb, updated_at = now()
        where erasure_id = any(%s)
        """,
        (json.dumps(gone_at), json.dumps(receipt.rows), ids),
    )


def _get(connection: psycopg.Connection[Any], erasure_id: UUID) -> Erasure:
    cursor = connection.cursor(row_factory=class_row(Erasure))
    found = cursor.execute(GET, {"erasure_id": erasure_id}).fetchone()
    if found is None:
        raise UnavailableError(f"erasure {erasure_id} is not in the table any more")
    return found
