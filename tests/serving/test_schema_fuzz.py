"""The whole OpenAPI description, asked with made-up requests: no 500, no answer that is not described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from starlette.testclient import TestClient

from serving.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator


LEFT_OUT = {("GET", "/metrics"), ("GET", "/users/{user_id}/export"), ("GET", "/users/{user_id}/plays")}
"""What is no JSON; tests of their own read them."""

CASES = 8
CHECKS = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]


@schemathesis.serializer("application/x-ndjson", "application/octet-stream")
def plain(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, broker: str, database_url: str, _redis_server: str
) -> Iterator[TestClient]:
    from tests.conftest import _settings

    chosen = _settings(
        tmp_path_factory.mktemp("fuzzed"), kafka_bootstrap_servers=broker, database_url=database_url,
        redis_url=_redis_server, import_limit_mb=1,
    )  # fmt: skip
    with TestClient(create_app(chosen), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, operation: Any, cases: int) -> int:
    """Ask one operation and return how many requests were made."""
    asked = 0

    @given(case=operation.as_strategy())
    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    def send(case: Any) -> None:
        nonlocal asked
        asked += 1
        request = case.as_transport_kwargs(base_url="http://localhost")
        if isinstance(request.get("data"), bytes | str):
            request["content"] = request.pop("data")
        answer = client.request(**request)
        # A store without content says 503; that is an answer, and described.
        assert answer.status_code in (503, 507) or answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    send()
    return asked


def ask_everything(client: TestClient, cases: int) -> int:
    """Ask each operation and return how many requests were made."""
    app: Any = client.app
    asked, failures = 0, []
    for found in schemathesis.openapi.from_dict(app.openapi()).get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in LEFT_OUT:
            continue
        try:
            asked += ask(client, operation, cases)
        except (Exception, BaseExceptionGroup) as error:
            inner = getattr(error, "exceptions", [error])
            failures += [f"{operation.label}: {each}"[:900] for each in inner]
    assert not failures, "\n\n".join(failures)
    return asked


def test_no_request_breaks_the_api_or_gets_an_answer_that_is_not_described(client: TestClient) -> None:
    assert ask_everything(client, CASES) > 100


@pytest.mark.heavy
def test_thousands_of_requests_do_neither(client: TestClient) -> None:
    assert ask_everything(client, 200) > 2000
