from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from music_assets.identity import ensure_listeners, set_zone
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


def test_a_listener_has_one_zone_the_last_one_given(conn: psycopg.Connection[Any]) -> None:
    listener = ensure_listeners(conn, ["eva"])["eva"]
    for zone in ("Europe/Brussels", "Asia/Kathmandu"):
        set_zone(conn, "eva", zone)
    assert conn.execute("select listener_id, time_zone from source.listener_zones").fetchall() == [
        (listener, "Asia/Kathmandu")
    ]


@pytest.mark.parametrize("zone", ["Europe/Bruxelles", "", "UTC'; drop table x", "+02"])
def test_a_zone_that_would_stop_the_warehouse_is_refused(conn: psycopg.Connection[Any], zone: str) -> None:
    ensure_listeners(conn, ["eva"])
    with pytest.raises(ConfigurationError, match="there is no time zone"):
        set_zone(conn, "eva", zone)


def test_a_zone_of_nobody_is_refused(conn: psycopg.Connection[Any]) -> None:
    with pytest.raises(ConfigurationError, match="no listener of this user id"):
        set_zone(conn, "nobody", "UTC")
