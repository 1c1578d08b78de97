"""The application: routes, documentation, errors, metrics; its parts open and close with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from serving import page, problems
from serving import settings as serving_settings
from serving.access.edge import EdgeMiddleware
from serving.access.rules import PUBLIC, SCOPE, SECURITY_SCHEME, SESSION_SCHEME
from serving.access.sessions import COOKIE
from serving.charts import endpoints as charts
from serving.events import endpoints as events
from serving.events.edge import ADAPTER
from serving.freshness import endpoints as freshness
from serving.health import endpoints as health
from serving.imports import endpoints as imports
from serving.ledger import endpoints as ledger
from serving.listenbrainz import endpoints as listenbrainz
from serving.metrics import Metrics, MetricsMiddleware
from serving.operator import endpoints as operator
from serving.parts import open_parts
from serving.plays import endpoints as plays
from serving.privacy import endpoints as privacy
from serving.recommend import endpoints as recommend
from serving.search import endpoints as search
from serving.session import endpoints as session
from serving.shortcut import ShortcutMiddleware
from serving.similar import endpoints as similar
from serving.stats import endpoints as stats
from serving.tracing import Trace
from serving.trending import endpoints as trending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from serving.settings import Settings

VERSION: Final = "0.1.0"
TITLE: Final = "Music data platform"

_DESCRIPTION: Final = """
* **Send events**: views, clicks, ratings and listens, one by one or up to 1000 at a time. Each gets a verdict, and an
  accepted event is safe: it may be sent any number of times and is stored once.
* **Bring a file**: the history that Spotify, Last.fm or ListenBrainz exports, or a plain CSV; and see how far it is.
* **Ask**: what to play next and why, what goes well with an item, what is played most right now.
* **Look inside**: the state of every part, and what became of every message.

A user id never goes further than this API: everything behind it knows a random listener id instead.
Errors are problem+json (RFC 9457) and name the field and what would be valid.
"""

_TAGS: Final = [
    {"name": "events", "description": "What listeners did."},
    {"name": "recommendations", "description": "What to play next, and why."},
    {"name": "charts", "description": "What everybody plays."},
    {"name": "catalogue", "description": "What there is to play."},
    {"name": "listening", "description": "How somebody listens."},
    {"name": "imports", "description": "Files of plays and of tracks."},
    {"name": "privacy", "description": "A person's own data: see it, erase it, pause."},
    {"name": "session", "description": "Signing in to the web page."},
    {"name": "operations", "description": "State, metrics and the ledger."},
]

_EXPOSED: Final = ["ETag", "Location", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"]
_KEY: Final = {"type": "http", "scheme": "bearer", "description": "A key of `music key create`; none if API_AUTH=open."}
_SESSION: Final = {
    "type": "apiKey", "in": "cookie", "name": COOKIE,
    "description": "Of `POST /session`; what changes something needs `X-CSRF-Token` too, `csrf` of `GET /session`.",
}  # fmt: skip
_ASSETS: Final = "/docs-assets"
_REF: Final = "#/components/schemas/{model}"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: absent: those of the environment.
    """
    used = settings or serving_settings.settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_parts(used, metrics) as parts:
            app.state.parts = parts
            yield

    app = FastAPI(
        title=TITLE, version=VERSION, summary="Listening data in; charts and recommendations out.",
        description=_DESCRIPTION, openapi_tags=_TAGS, lifespan=lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    # The last one that is added comes first.
    app.add_middleware(ShortcutMiddleware, routes=app.router.routes)
    app.add_middleware(EdgeMiddleware, settings=used)
    if used.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=used.cors_origins, allow_methods=["*"], expose_headers=_EXPOSED,
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match"],
        )  # fmt: skip
    app.state.trace = Trace(used)
    app.add_middleware(MetricsMiddleware, metrics=metrics, trace=app.state.trace)
    problems.install(app)
    for feature in (
        events, recommend, similar, trending, health, ledger, imports, privacy, charts, stats, search, freshness,
        listenbrainz, session, plays, operator,
    ):  # fmt: skip
        # Not included but taken over: an included router is asked twice, and asks each of its routes anew.
        app.router.routes += feature.router.routes
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Serve the web page, and the documentation without the internet: FastAPI's own loads from a public network."""

    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=TITLE,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )

    site = page.Page(page.DIST)

    async def home() -> RedirectResponse:
        return RedirectResponse(f"{page.PATH}/" if site.is_built else "/docs")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/", home, include_in_schema=False)
    assets = str(resources.files("fastapi_offline") / "static")
    app.mount(page.PATH, site, name="page")
    app.mount(_ASSETS, StaticFiles(directory=assets), name="docs-assets")
    app.openapi = openapi  # type: ignore[method-assign]


def _openapi(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description,
        tags=app.openapi_tags, license_info=app.license_info, routes=app.routes,
    )  # fmt: skip
    event = ADAPTER.json_schema(ref_template=_REF)
    schemas = schema["components"]["schemas"]
    schemas.update(event.pop("$defs"))
    schemas["EventIn"] = event
    schemas["Problem"] = problems.Problem.model_json_schema(ref_template=_REF)
    schema["components"]["securitySchemes"] = {SECURITY_SCHEME: _KEY, SESSION_SCHEME: _SESSION}
    for path in schema["paths"].values():
        for operation in path.values():
            # The problems of who may not ask, or too often, are those of the edge, not of a handler.
            statuses = (403, 429) if operation.get(SCOPE) == PUBLIC else (401, 403, 429, 503)
            if "requestBody" in operation:
                statuses = (400, *statuses)  # bytes that are no text
            for status, described in problems.responses(*statuses).items():
                operation["responses"].setdefault(str(status), described)
    return schema
