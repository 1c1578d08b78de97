"""`python -m serving`: the API on API_HOST:API_PORT."""

from __future__ import annotations

from typing import Final

import uvicorn

from serving import logs
from serving.app import create_app
from serving.settings import settings

_GRACE_SECONDS: Final = 10
"""Time that open requests get at the end; then the producer is flushed."""


def main() -> None:
    """Serve until a signal ends it; open requests are finished and the producer is flushed."""
    logs.configure()
    used = settings()
    uvicorn.run(
        create_app(used), host=used.api_host, port=used.api_port, loop="uvloop", http="httptools",
        access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip


if __name__ == "__main__":
    main()
