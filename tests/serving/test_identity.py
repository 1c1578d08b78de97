"""Listener ids in PostgreSQL: one per user id, whoever asks first."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from serving.database import Database
from serving.identity.store import ListenerStore

pytestmark = pytest.mark.anyio


async def test_a_listener_that_another_process_makes_in_the_same_moment_is_found(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    store = ListenerStore(database)
    try:
        with psycopg.connect(database_url) as other:
            made = other.execute(
                "insert into identity.listener (user_id) values ('raced') returning listener_id::text"
            ).fetchone()
            asking = asyncio.create_task(store.ensure(["raced", "alone"]))
            await asyncio.sleep(0.3)
            assert not asking.done(), "it waits for the other transaction"
            other.commit()
        found = await asking
    finally:
        await database.close()
    assert made == (found["raced"],)
    assert found.keys() == {"raced", "alone"}
    assert found["alone"] != found["raced"]


async def test_finding_makes_nobody(database_url: str) -> None:
    database = Database(database_url)
    await database.open()
    store = ListenerStore(database)
    try:
        assert await store.find(["stranger"]) == {}
        assert await store.find(["stranger"]) == {}
    finally:
        await database.close()
