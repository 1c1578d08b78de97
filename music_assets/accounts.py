"""Accounts of the web page and their sessions: passwords, and the statements on both tables.

A password is what a person thinks up, so it is kept as an Argon2id hash. A session's id is 256 random bits, of which
the SHA-256 is kept, as of an API key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg.rows import class_row

from music_assets import keys
from music_assets.identity import ensure_listeners
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    import psycopg

LEAST_PASSWORD: Final = 10
"""Characters; length is what makes a password hard to guess."""
MOST_PASSWORD: Final = 200
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}"
_NAME: Final = re.compile(NAME_PATTERN)

_HASHER: Final = PasswordHasher()
"""The low-memory profile of RFC 9106: 64 MiB and three passes, some 50 ms."""

_NOBODY: Final = "$argon2id$v=19$m=65536,t=3,p=4$UBBhDAa7hmT2Iotx/uCnmA$Y08RpJI0llCrDUuWcJyC/ohseqM1siwA3ZPZayXsqfY"
"""A hash to compare with where there is no account, at the cost of the others."""

_COLUMNS: Final = "account_id, name, user_id, is_operator, created_at, signed_in_at"
FIND: Final = "select account_id, password_hash from identity.accounts where name = lower(%(name)s)"

SIGN_IN: Final = """
with signed as (
    update identity.accounts set signed_in_at = now() where account_id = %(account_id)s returning account_id
),
old as (
    delete from identity.sessions
    where session_hash = %(old_hash)s or expires_at < now() or seen_at < now() - %(idle)s::interval
)
insert into identity.sessions (session_hash, account_id, expires_at)
select %(session_hash)s, account_id, now() + %(lifetime)s::interval from signed
returning session_hash
"""
"""A new session in the place of the one the browser had, and those that have ended go; no row: no such account."""

SIGN_OUT: Final = "delete from identity.sessions where session_hash = %(session_hash)s"

SESSION: Final = """
select account_id, name, user_id, is_operator, seen_at, expires_at
from identity.sessions join identity.accounts using (account_id)
where session_hash = %(session_hash)s
"""

SEEN: Final = """
update identity.sessions set seen_at = greatest(seen_at, used.at)
from unnest(%(names)s::bytea[], %(times)s::timestamptz[]) as used (session_hash, at)
where sessions.session_hash = used.session_hash
"""


@dataclass(frozen=True)
class Account:
    """An account; `user_id` is the listener whose data it opens, beside all of it if `is_operator`."""

    account_id: str
    name: str
    user_id: str | None
    is_operator: bool
    created_at: datetime
    signed_in_at: datetime | None


def new_session() -> str:
    """Return the id of a session, 256 random bits."""
    return secrets.token_urlsafe(32)


def session_hash(session_id: str) -> bytes:
    """Return what is kept of a session's id."""
    return hashlib.sha256(session_id.encode()).digest()


def csrf_token(session_id: str) -> str:
    """Return what a page must send beside the cookie: made of the id, which it does not tell."""
    return hashlib.sha256(f"csrf:{session_id}".encode()).hexdigest()


def is_right(password_hash: str | None, password: str) -> bool:
    """Whether a password is the one that was hashed; takes as long where there is no hash to compare with."""
    try:
        return _HASHER.verify(password_hash or _NOBODY, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def create(
    connection: psycopg.Connection[Any], name: str, password: str, *, user_id: str | None = None,
    is_operator: bool = False,
) -> Account:  # fmt: skip
    """Make an account; commits.

    Args:
        connection: to the database.
        name: to sign in with; upper and lower case are the same.
        password: as the person types it.
        user_id: the listener whose account it is.
        is_operator: whether it opens everything.

    Raises:
        ConfigurationError: the name, the password or what it opens is not valid, the name is taken, or the user was
            erased.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"account {name[:60]!r} is no name; valid: 1 to 100 of letters, digits and . _ @ + -, the first a letter "
            "or digit"
        )
    if user_id is None and not is_operator:
        raise ConfigurationError("an account needs --user LISTENER, --operator, or both: else it opens nothing")
    hashed = _hash(password)
    if user_id is not None and user_id not in ensure_listeners(connection, [user_id]):
        raise ConfigurationError("this user was erased or has paused: there can be no account for them")
    account_id = secrets.token_hex(6)
    made = connection.cursor(row_factory=class_row(Account)).execute(
        f"""
        insert into identity.accounts (account_id, name, password_hash, user_id, is_operator)
        values (%s, lower(%s), %s, %s, %s) on conflict (name) do nothing returning {_COLUMNS}
        """,
        (account_id, name, hashed, user_id, is_operator),
    ).fetchone()  # fmt: skip
    if made is None:
        raise ConfigurationError(f"there is an account {name!r} already: see `music account list`")
    _audit(connection, account_id, "account created")
    connection.commit()
    return made


def set_password(connection: psycopg.Connection[Any], name: str, password: str) -> None:
    """Give an account another password and end its sessions; commits.

    Raises:
        ConfigurationError: there is no such account, or the password is not valid.
    """
    found = get(connection, name)
    connection.execute(
        "update identity.accounts set password_hash = %s, password_changed_at = now() where account_id = %s",
        (_hash(password), found.account_id),
    )
    connection.execute("delete from identity.sessions where account_id = %s", (found.account_id,))
    _audit(connection, found.account_id, "account password set")
    connection.commit()


def remove(connection: psycopg.Connection[Any], name: str) -> None:
    """Remove an account with its sessions; what it belongs to stays; commits.

    Raises:
        ConfigurationError: there is no such account.
    """
    found = get(connection, name)
    connection.execute("delete from identity.accounts where account_id = %s", (found.account_id,))
    _audit(connection, found.account_id, "account removed")
    connection.commit()


def get(connection: psycopg.Connection[Any], name: str) -> Account:
    """Return an account.

    Raises:
        ConfigurationError: there is none of this name.
    """
    cursor = connection.cursor(row_factory=class_row(Account))
    found = cursor.execute(f"select {_COLUMNS} from identity.accounts where name = lower(%s)", (name,)).fetchone()
    if found is None:
        raise ConfigurationError(f"there is no account {name[:60]!r}: see `music account list`")
    return found


def every(connection: psycopg.Connection[Any]) -> list[Account]:
    """Return all accounts by name."""
    cursor = connection.cursor(row_factory=class_row(Account))
    return cursor.execute(f"select {_COLUMNS} from identity.accounts order by name").fetchall()


def _hash(password: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise ConfigurationError(f"a password must have {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return _HASHER.hash(password)


def _audit(connection: psycopg.Connection[Any], account_id: str, action: str) -> None:
    """Write down what was done; the id names nobody once the account is gone."""
    connection.execute(keys.AUDIT, {"key_id": account_id, "action": action, "detail": None})
