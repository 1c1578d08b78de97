"""Bytes that nobody vouches for, as text that can be shown."""

from __future__ import annotations


def printable(value: str | bytes | None) -> str | None:
    """Return bytes as text that can be printed, whatever they are."""
    shown = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    # A control character in a message must not reach a terminal.
    return None if shown is None else "".join(each if each.isprintable() else repr(each)[1:-1] for each in shown)
