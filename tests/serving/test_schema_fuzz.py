"""The whole OpenAPI description, asked with made-up requests: no 500, no answer that is not described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from starlette.testclient import TestClient

from serving.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator


LEFT_OUT = {("GET", "/metrics"), ("GET", "/users/{user_id}/export")}
"""What is no JSON; tests of their own read them."""

CASES = 12


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


def ask_everything(client: TestClient, cases: int) -> int:
    """Ask each operation and return how many requests were made."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    asked = 0
    failures: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in LEFT_OUT:
            continue

        @given(data=st.data())
        @settings(
            max_examples=cases, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        def ask(data: Any, strategy: Any = operation.as_strategy()) -> None:
            nonlocal asked
            asked += 1
            case = data.draw(strategy)
            answer = case.call(session=client, base_url="http://localhost")
            case.validate_response(
                answer,
                checks=[
                    checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
                    checks.response_schema_conformance,
                ] if answer.status_code != 503 else [checks.status_code_conformance],
            )  # fmt: skip

        try:
            ask()
        except Exception as error:
            failures.append(f"{operation.label}: {error}"[:1500])
    assert not failures, "\n\n".join(failures)
    return asked


def test_no_request_breaks_the_api_or_gets_an_answer_that_is_not_described(client: TestClient) -> None:
    assert ask_everything(client, CASES) > 100


@pytest.mark.heavy
def test_thousands_of_requests_do_neither(client: TestClient) -> None:
    assert ask_everything(client, 200) > 2000
