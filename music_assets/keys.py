"""API keys: their form, their hash, and the statements on `identity.api_keys`.

A key reads `music_ID_SECRET`: the id finds the row, and of the secret, 256 random bits, only the SHA-256 is kept. A
slow hash protects what people think up; nobody can try 2^256 secrets however fast the hash is.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import class_row

from music_assets.identity import ensure_listeners
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

PREFIX: Final = "music"
_TOKEN: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
_MOST_NAME: Final = 100

_COLUMNS: Final = "key_id, name, scopes, user_id, secret_hash, created_at, expires_at, revoked_at, last_used_at"
FIND: Final = f"select {_COLUMNS} from identity.api_keys where key_id = %(key_id)s"
AUDIT: Final = "insert into identity.api_audit (key_id, action, detail) values (%(key_id)s, %(action)s, %(detail)s)"


class Scope(StrEnum):
    """What a key may do; `admin` includes the others."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


class Token(NamedTuple):
    """A key as its holder sends it: the id, and the secret's hash."""

    key_id: str
    secret_hash: bytes


@dataclass(frozen=True)
class Key:
    """A key as the table holds it; `user_id` is the only person whose data it opens, None: everybody's."""

    key_id: str
    name: str
    scopes: list[str]
    user_id: str | None
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def parse(text: str) -> Token | None:
    """Return what a key says; None if it has not the form of one."""
    found = _TOKEN.fullmatch(text)
    return Token(found[1], _digest(found[2])) if found else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def create(
    connection: psycopg.Connection[Any], *, name: str, scopes: Sequence[str], user_id: str | None = None,
    lifetime: timedelta | None = None,
) -> str:  # fmt: skip
    """Make a key and return it, the only time that anybody sees it; commits.

    Args:
        connection: to the database.
        name: what it is for, for people.
        scopes: of `Scope`.
        user_id: the only person whose data it opens.
        lifetime: until it expires; absent: it does not.

    Raises:
        ConfigurationError: a name or scope is not valid, or the user was erased.
    """
    valid = [scope.value for scope in Scope]
    if unknown := sorted(set(scopes) - set(valid)):
        raise ConfigurationError(f"scope {unknown[0][:60]!r} is not known; valid: {', '.join(valid)}")
    if not scopes:
        raise ConfigurationError(f"a key without a scope opens nothing; valid: {', '.join(valid)}")
    if not 0 < len(name) <= _MOST_NAME:
        raise ConfigurationError(f"the name of a key must have 1 to {_MOST_NAME} characters")
    if user_id is not None and user_id not in ensure_listeners(connection, [user_id]):
        raise ConfigurationError("this user was erased or has paused: there can be no key for them")
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    key = _insert(connection, name=name, scopes=sorted(set(scopes)), user_id=user_id, expires_at=expires_at)
    connection.commit()
    return key


def _insert(
    connection: psycopg.Connection[Any], *, name: str, scopes: list[str], user_id: str | None,
    expires_at: datetime | None,
) -> str:  # fmt: skip
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        """
        insert into identity.api_keys (key_id, secret_hash, name, scopes, user_id, expires_at)
        values (%s, %s, %s, %s, %s, %s)
        """,
        (key_id, _digest(secret), name, scopes, user_id, expires_at),
    )
    _audit(connection, key_id, "created", ",".join(scopes))
    return f"{PREFIX}_{key_id}_{secret}"


def rotate(connection: psycopg.Connection[Any], key_id: str, *, grace: timedelta) -> str:
    """Make a key in the place of another, which opens what it did for a while yet; commits.

    Raises:
        ConfigurationError: there is no such key, or it opens nothing any more.
    """
    old, now = get(connection, key_id), datetime.now(UTC)
    if not old.is_valid(now):
        raise ConfigurationError(f"key {key_id} is revoked or has expired: create another")
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    key = _insert(
        connection, name=old.name, scopes=old.scopes, user_id=old.user_id,
        expires_at=None if lifetime is None else now + lifetime,
    )  # fmt: skip
    until = min(now + grace, old.expires_at or now + grace)
    connection.execute("update identity.api_keys set expires_at = %s where key_id = %s", (until, key_id))
    _audit(connection, key_id, "rotated", key.split("_")[1])
    connection.commit()
    return key


def revoke(connection: psycopg.Connection[Any], key_id: str) -> None:
    """Let a key open nothing any more; commits.

    Raises:
        ConfigurationError: there is no such key.
    """
    get(connection, key_id)
    connection.execute(
        "update identity.api_keys set revoked_at = now() where key_id = %s and revoked_at is null", (key_id,)
    )
    _audit(connection, key_id, "revoked", None)
    connection.commit()


def get(connection: psycopg.Connection[Any], key_id: str) -> Key:
    """Return a key.

    Raises:
        ConfigurationError: there is none of this id.
    """
    cursor = connection.cursor(row_factory=class_row(Key))
    found = cursor.execute(FIND, {"key_id": key_id}).fetchone()
    if found is None:
        raise ConfigurationError(f"there is no key {key_id[:60]!r}: see `music key list`")
    return found


def every(connection: psycopg.Connection[Any]) -> list[Key]:
    """Return all keys, the newest first."""
    cursor = connection.cursor(row_factory=class_row(Key))
    return cursor.execute(f"select {_COLUMNS} from identity.api_keys order by created_at desc, key_id").fetchall()


def _audit(connection: psycopg.Connection[Any], key_id: str, action: str, detail: str | None) -> None:
    connection.execute(AUDIT, {"key_id": key_id, "action": action, "detail": detail})


def audit(connection: psycopg.Connection[Any], *, limit: int) -> list[tuple[datetime, str, str, str | None]]:
    """Return what was done with keys and to them, the newest first: when, which key, what, and more of it."""
    return connection.execute(
        "select at, key_id, action, detail from identity.api_audit order by audit_id desc limit %s", (limit,)
    ).fetchall()
