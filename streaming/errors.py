"""The one error tree of the platform.

MusicError
├── ConfigurationError    a setting is wrong or not supported: names it and the valid values
├── ContractError         an event or a message breaks its contract: names the field
├── UnavailableError      a part that should answer does not: names the part and what to do
│   └── TimeoutExpiredError  it answered too late
├── IntegrityError        what is stored contradicts itself: work stops before it spreads
├── HaltedError           silver stands still because a topic's messages break their contract
└── StackError            the embedded stack cannot start or stop: one line a person can act on

Every message is one sentence that a person can act on. Boundaries (the CLI, the API, a Dagster
run) show it as it is; nothing below them catches it to carry on.
"""

from __future__ import annotations


class MusicError(Exception):
    """Base of every error this platform raises on purpose."""


class ConfigurationError(MusicError):
    """A setting is wrong or not supported."""


class ContractError(MusicError):
    """An event or message breaks its contract."""

    def __init__(self, reason: str, field: str | None, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.field = field
        self.detail = detail


class UnavailableError(MusicError):
    """A part that should answer does not."""


class TimeoutExpiredError(UnavailableError):
    """A part answered too late."""


class IntegrityError(MusicError):
    """What is stored contradicts itself."""


class HaltedError(MusicError):
    """Too many messages of a topic break their contract; a person must look."""


class StackError(MusicError):
    """The embedded stack cannot start or stop."""
