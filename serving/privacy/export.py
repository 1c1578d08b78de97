"""Everything held about a person, as a zip of JSON lines.

The tables are found, not listed: whatever column is called `listener_id` or `user_id` in the database or the lake is
looked into, so that a new table is in the next export.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
import psycopg
import pyarrow.compute as pc
import redis
from deltalake.exceptions import DeltaError

from music_assets.recommender import features
from streaming import online
from streaming.errors import UnavailableError
from streaming.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from serving.settings import Settings
    from streaming.lake import Lake

_SPOOLED_BYTES: Final = 8 << 20
"""Up to here an export is made in memory, beyond in a file without a name."""

_SCHEMAS: Final = ("identity", "source", "marts")
"""`silver`, `staging` and `intermediate` are copies of the lake and steps to the marts."""

_COLUMNS: Final = """
select table_schema, table_name, column_name, data_type
from information_schema.columns
where table_schema = any(%s) and column_name in ('listener_id', 'user_id')
    and (table_schema, table_name) not in (('identity', 'api_keys'), ('identity', 'accounts'))
order by table_schema, table_name, column_name
"""
_KEYS: Final = """
select key_id, name, scopes, created_at, expires_at, revoked_at, last_used_at from identity.api_keys where user_id = %s
"""
_ACCOUNTS: Final = """
select accounts.account_id, accounts.name, accounts.is_operator, accounts.created_at, accounts.password_changed_at,
    accounts.signed_in_at, jsonb_agg(jsonb_build_object(
        'created_at', sessions.created_at, 'seen_at', sessions.seen_at, 'expires_at', sessions.expires_at
    )) filter (where sessions.account_id is not null) as sessions
from identity.accounts as accounts left join identity.sessions as sessions using (account_id)
where accounts.user_id = %s group by accounts.account_id
"""
_SECRETS: Final = {"identity/api_keys": _KEYS, "identity/accounts": _ACCOUNTS}
"""Tables of which not every column is told: hashes of secrets stay here."""

_READ_ME: Final = """\
Everything that is held about you, one file per place, one JSON object a line.

identity/    who you are here: your user id, the random id under which all else is kept, keys, accounts,
             choices
lake/        every event as it came, by kind; dead letters are messages that could not be read
marts/       what was made of them
source/      files you brought and your time zone
online.json  what recommendations look at: how often you met which item lately

Left out, because it says the same: bronze (the messages as bytes), and what a build of the marts takes on its way.
"""


def make(settings: Settings, lake: Lake, user_id: str, listener_id: str) -> IO[bytes]:
    """Return a zip file, at its beginning; it has no name on the disk and goes when it is closed.

    Raises:
        UnavailableError: PostgreSQL, Redis or the lake does not answer: a part alone would look like the whole.
    """
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115 - the answer closes it
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", _READ_ME + f"\nMade at {datetime.now(UTC).isoformat(timespec='seconds')}.\n")
            _write_database(archive, settings, user_id, listener_id)
            _write_lake(archive, lake, listener_id)
            archive.writestr("online.json", json.dumps(_online(settings, listener_id), indent=1))
    except (psycopg.Error, redis.RedisError, DeltaError, OSError) as error:
        file.close()
        raise UnavailableError(f"a store does not answer ({type(error).__name__}); try again later") from error
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def chunks(file: IO[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """Yield a file and close it."""
    with file:
        while chunk := file.read(size):
            yield chunk


def _write_database(archive: zipfile.ZipFile, settings: Settings, user_id: str, listener_id: str) -> None:
    with psycopg.connect(settings.database, connect_timeout=2, application_name="music-export") as connection:
        found = connection.execute(_COLUMNS, (list(_SCHEMAS),)).fetchall()
        named = {(schema, table): column for schema, table, column, _ in found if column == "listener_id"}
        named |= {(schema, table): column for schema, table, column, _ in found if (schema, table) not in named}
        for (schema, table), column in named.items():
            # In the marts `user_id` is the listener's; in `identity.listener` the row has both.
            statement = psycopg.sql.SQL("select to_jsonb(held) from {}.{} as held where held.{}::text = %s").format(
                *map(psycopg.sql.Identifier, (schema, table, column))
            )
            with connection.cursor(name="export") as cursor:
                _write(archive, f"{schema}/{table}", (row for (row,) in cursor.execute(statement, (listener_id,))))
        for name, chosen in _SECRETS.items():
            rows = connection.execute(chosen, (user_id,))
            columns = [column.name for column in rows.description or ()]
            _write(archive, name, (dict(zip(columns, row, strict=True)) for row in rows))


def _write_lake(archive: zipfile.ZipFile, lake: Lake, listener_id: str) -> None:
    for table in tables().values():
        if table.layer == "silver" and "user_id" in table.schema.names:
            where = pc.field("user_id") == listener_id
        elif table.layer == "deadletter":
            where = pc.field("key") == listener_id.encode()
        else:
            continue
        if lake.exists(table):
            rows = (row for batch in lake.batches(table, where) for row in batch.to_pylist())
            _write(archive, f"lake/{table.id}", rows)


def _online(settings: Settings, listener_id: str) -> dict[str, Any]:
    with redis.Redis.from_url(settings.redis, socket_timeout=5) as client:
        [latest] = online.read(client, [listener_id], now=datetime.now(UTC))
        # The client was not told to decode, which its types leave open.
        history: Any = client.get(features.key(listener_id))
    return {"latest": msgspec.to_builtins(latest), "history": features.decode(history)}


def _write(archive: zipfile.ZipFile, name: str, rows: Iterable[Any]) -> None:
    with archive.open(f"{name}.jsonl", "w", force_zip64=True) as entry:
        for row in rows:
            entry.write(json.dumps(row, default=_plain, ensure_ascii=False).encode() + b"\n")


def _plain(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
