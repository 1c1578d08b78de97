"""`python -m serving`: the API on API_HOST:API_PORT."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import uvicorn

from serving import logs
from serving.app import create_app
from serving.settings import settings

if TYPE_CHECKING:
    from socket import socket

    from fastapi import FastAPI

_NOT_STARTED: Final = 3
_GRACE_SECONDS: Final = 10
"""Time that open requests get at the end; then the producer is flushed."""


class Server(uvicorn.Server):
    """Ends the streams when it is to end: they would take all the time that open requests get."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Finish what is open, and end."""
        self._app.state.parts.feed.close()
        await super().shutdown(sockets)


def server(app: FastAPI, *, host: str, port: int) -> Server:
    """Return the server of an application, with what holds wherever it runs."""
    config = uvicorn.Config(
        app, host=host, port=port, loop="uvloop", http="httptools", access_log=False, log_config=None,
        server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip
    return Server(config, app)


def main() -> None:
    """Serve until a signal ends it; open requests are finished and the producer is flushed."""
    logs.configure()
    used = settings()
    served = server(create_app(used), host=used.api_host, port=used.api_port)
    served.run()
    if not served.started:
        sys.exit(_NOT_STARTED)


if __name__ == "__main__":
    main()
