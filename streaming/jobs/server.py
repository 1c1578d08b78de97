"""The service's door on this machine: metrics, health, and "be current as of now"."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streaming.errors import ConfigurationError, MusicError
from streaming.jobs.metrics import REGISTRY

if TYPE_CHECKING:
    from streaming.jobs.service import StreamService

_TEXT: Final = "text/plain; charset=utf-8"

log = structlog.get_logger()


class ControlServer(ThreadingHTTPServer):
    """Answers `GET /metrics`, `/health` and `/about` and `POST /run?job=NAME` on 127.0.0.1.

    Args:
        port: where to listen.
        service: whom to ask.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, service: StreamService) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    server: ControlServer

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            case "/about":
                self._answer(HTTPStatus.OK, self.server.service.about().model_dump_json().encode(), "application/json")
            case "/health" if self.server.service.healthy:
                self._answer(HTTPStatus.OK, b"ok\n")
            case "/health":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the silver stream does not run\n")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"valid: GET /metrics, /health, /about, POST /run?job=NAME\n")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        if url.path != "/run":
            self._answer(HTTPStatus.NOT_FOUND, b"valid: POST /run?job=NAME\n")
            return
        try:
            report = self.server.service.run(parse_qs(url.query).get("job", [""])[0])
        except ConfigurationError as error:
            self._answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        except MusicError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        except Exception as error:
            # The boundary of a request: whatever went wrong in Spark must reach the one who asked.
            log.exception("run_failed", path=self.path)
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}\n".encode())
        else:
            self._answer(HTTPStatus.OK, report.model_dump_json().encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = _TEXT) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the one who asked waits no longer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: health is asked for every few seconds."""
