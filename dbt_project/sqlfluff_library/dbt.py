"""Stands in for dbt's cross-database macros when sqlfluff renders a model: the same shape, not the same text."""

from __future__ import annotations


def bool_or(expression: str) -> str:
    """Render as an aggregate."""
    return f"bool_or({expression})"


def concat(fields: list[str]) -> str:
    """Render as a concatenation."""
    return " || ".join(fields)


def current_timestamp() -> str:
    """Render as a function."""
    return "current_timestamp"


def date_spine(datepart: str, start_date: str, end_date: str) -> str:
    """Render as a query with one column, `date_<datepart>`."""
    return f"select {start_date} as date_{datepart} where {start_date} < {end_date}"


def date_trunc(datepart: str, date: str) -> str:
    """Render as a function call."""
    return f"date_trunc('{datepart}', {date})"


def dateadd(datepart: str, interval: int, from_date_or_timestamp: str) -> str:
    """Render as an addition."""
    return f"({from_date_or_timestamp} + interval '{interval} {datepart}')"


def datediff(first_date: str, second_date: str, datepart: str) -> str:
    """Render as a difference."""
    return f"({second_date} - {first_date}) /* {datepart} */"


def hash(field: str) -> str:  # noqa: A001 - dbt's name
    """Render as a function call."""
    return f"md5({field})"


def split_part(string_text: str, delimiter_text: str, part_number: int) -> str:
    """Render as a function call."""
    return f"split_part({string_text}, {delimiter_text}, {part_number})"


def type_string() -> str:
    """Render as a type."""
    return "text"
