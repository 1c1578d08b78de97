"""Whose plays are collected: `LASTFM_USERS=rj,other=alice` names two accounts, the second one is the user alice."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.errors import ConfigurationError


@dataclass(frozen=True)
class Account:
    """An account of a source and the user id that its plays get."""

    name: str
    user_id: str


def accounts(source: str, setting: str, value: str) -> tuple[Account, ...]:
    """Return the accounts of a comma list; without `=` the user id is `<source>:<account>`.

    Args:
        source: prefix, so that an account is no user of the API by chance.
        setting: its name, for the error.
        value: the list.

    Raises:
        ConfigurationError: an entry lacks its account or its user id, or an account comes twice.
    """
    found: dict[str, Account] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        name, given, user_id = (part.strip() for part in entry.partition("="))
        if not name or (given and not user_id) or name in found:
            raise ConfigurationError(f"{setting}: {entry!r} is wrong; valid: account or account=user_id, each once")
        found[name] = Account(name, user_id or f"{source}:{name}")
    return tuple(found.values())
