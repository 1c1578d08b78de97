"""The built page in Chromium, served by the real API on real Kafka, PostgreSQL and Redis."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from music_assets import accounts
from music_assets.stack.process import free_port
from serving import page as web_page
from serving.app import create_app
from tests.conftest import _settings
from tests.web import stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI
    from playwright.sync_api import Browser, Page

    from serving.settings import Settings

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
PASSWORD = "correct horse battery staple"
_STARTS_SECONDS = 30.0
_WAITS_MS = 10_000


class Site(NamedTuple):
    """A running API with its page."""

    url: str
    app: FastAPI
    settings: Settings


@contextmanager
def served(settings: Settings) -> Iterator[Site]:
    """Run the API on its port for as long as the block lasts."""
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=settings.api_port, log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + _STARTS_SECONDS
    while not server.started:
        assert thread.is_alive(), "the API ended while it started"
        assert time.monotonic() < end, "the API did not start"
        time.sleep(0.02)
    try:
        yield Site(f"http://localhost:{settings.api_port}", app, settings)
    finally:
        server.should_exit = True
        thread.join(_STARTS_SECONDS)


@pytest.fixture(scope="package")
def built() -> Path:
    """The folder of the built page."""
    if not (web_page.DIST / "index.html").is_file():
        pytest.fail("the page is not built: run `make web`")
    return web_page.DIST


@pytest.fixture(scope="package")
def stores(
    broker: str, postgres_url: str, _redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of an API whose stores hold what the page shows."""
    name = f"test_{uuid4().hex}"
    base = postgres_url.removesuffix("/music")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name} template music")
    settings = _settings(
        tmp_path_factory.mktemp("page"), kafka_bootstrap_servers=broker, database_url=f"{base}/{name}",
        redis_url=_redis_server, api_port=free_port(),
    )  # fmt: skip
    stage.plant_lake(settings)
    yield settings
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="package")
def site(built: Path, stores: Settings) -> Iterator[Site]:
    """The API with API_AUTH=open: whoever is on this machine may look at everything."""
    with served(stores) as running:
        stage.plant_people(running.url, stores, {})
        stage.wait_until_served(running.app.state.parts)
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium of the machine, which is never downloaded."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="package")
def guarded(site: Site) -> Iterator[Site]:
    """The same stores behind API_AUTH=keys, with an account of a listener and one of an operator."""
    with psycopg.connect(site.settings.database) as connection:
        accounts.create(connection, stage.LISTENER, PASSWORD, user_id=stage.LISTENER, is_operator=False)
        accounts.create(connection, "operator", PASSWORD, user_id=None, is_operator=True)
    with served(site.settings.model_copy(update={"api_auth": "keys", "api_port": free_port()})) as running:
        stage.wait_until_served(running.app.state.parts)
        yield running


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page of a browser that knows nothing; an error in its console, or a request to elsewhere, fails the test."""
    context = browser.new_context(base_url=url, **({"viewport": DESKTOP} | options))
    context.set_default_timeout(_WAITS_MS)
    new = context.new_page()
    wrong: list[str] = []
    new.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    new.on("pageerror", lambda error: wrong.append(str(error)))
    new.on("request", lambda request: None if request.url.startswith((url, "data:")) else wrong.append(request.url))
    try:
        yield new
    finally:
        context.close()
    assert not wrong


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A desktop's page on the open API."""
    with opened(browser, site.url) as new:
        yield new


@pytest.fixture
def listening(page: Page) -> Page:
    """The same, with a listener chosen before."""
    page.add_init_script(f"localStorage.setItem('music.listener', '{stage.LISTENER}')")
    return page
