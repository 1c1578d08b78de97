"""The service's door on this machine: metrics, health, and "be current as of now"."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable
from urllib.parse import parse_qs, urlsplit

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streaming.control import ErasureRequest
from streaming.errors import ConfigurationError, MusicError
from streaming.jobs.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

    from streaming.control import Receipt, RunReport, ServiceInfo

_DOORS: Final = b"valid: GET /metrics, /health, /about, POST /run?job=NAME, POST /erase\n"
_MOST_BYTES: Final = 16 << 20
_TEXT: Final = "text/plain; charset=utf-8"

log = structlog.get_logger()


class Service(Protocol):
    """What can be asked."""

    @property
    def healthy(self) -> bool:
        """Whether it does its work."""

    def run(self, job: str) -> RunReport:
        """Bring a job up to now, and wait for it."""

    def stop(self) -> None:
        """Ask it to end in order."""


@runtime_checkable
class LakeService(Service, Protocol):
    """One that writes to the lake can be asked more."""

    def about(self) -> ServiceInfo:
        """Say what there is to say of it."""

    def erase(self, listener_ids: Sequence[str], erasure_id: str) -> Receipt:
        """Erase listeners from the lake."""


class ControlServer(ThreadingHTTPServer):
    """Answers `GET /metrics`, `/health`, `/about`, `POST /run?job=NAME` and `POST /erase` on 127.0.0.1.

    Args:
        port: where to listen.
        service: whom to ask.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, service: Service) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    server: ControlServer

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            case "/about" if isinstance(self.server.service, LakeService):
                self._answer(HTTPStatus.OK, self.server.service.about().model_dump_json().encode(), "application/json")
            case "/health" if self.server.service.healthy:
                self._answer(HTTPStatus.OK, b"ok\n")
            case "/health":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the stream does not run\n")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, _DOORS)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        match url.path:
            case "/run":
                job = parse_qs(url.query).get("job", [""])[0]
                self._carry_out(lambda: self.server.service.run(job))
            case "/erase" if isinstance(self.server.service, LakeService):
                self._carry_out(partial(self._erase, self.server.service))
            case _:
                self._answer(HTTPStatus.NOT_FOUND, _DOORS)

    def _erase(self, service: LakeService) -> BaseModel:
        try:
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= _MOST_BYTES:
                raise ConfigurationError(f"the request has {length} bytes; valid: at most {_MOST_BYTES}")
            asked = ErasureRequest.model_validate_json(self.rfile.read(length))
        except ValueError as error:
            # Pydantic's own sentence quotes what was sent, which names a listener.
            raise ConfigurationError("the body is not valid; valid: listener_ids, erasure_id as JSON") from error
        return service.erase(asked.listener_ids, asked.erasure_id)

    def _carry_out(self, action: Callable[[], BaseModel]) -> None:
        try:
            report = action()
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
