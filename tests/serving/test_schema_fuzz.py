"""The whole OpenAPI description, asked with made-up requests: no 500, no answer that is not described."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import seed, settings
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis.core.transport import Response
from starlette.testclient import TestClient

from music_assets.keys import Scope
from serving.app import create_app
from tests.serving import fuzzing
from tests.serving.conftest import listen
from tests.serving.fuzzing import QUIET, ask_each, description, operations, send
from tests.serving.test_access import Holder, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Record = Callable[[str, object], None]

CASES = 8
MANY = 200
PARTS = 6
"""Of the long run, each some minutes."""

STEPS = 12
SEQUENCES = 200
RUNS = 40


@pytest.fixture(scope="module")
def opened(
    tmp_path_factory: pytest.TempPathFactory, broker: str, database_url: str, _redis_server: str
) -> Callable[..., Any]:
    from tests.conftest import _settings

    def client(key: str = "", **more: Any) -> Iterator[TestClient]:
        chosen = _settings(
            tmp_path_factory.mktemp("fuzzed"), kafka_bootstrap_servers=broker, database_url=database_url,
            redis_url=_redis_server, import_limit_mb=1, **more,
        )  # fmt: skip
        fuzzing.plant(chosen)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        app = create_app(chosen)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False, headers=headers) as client:
            fan = fuzzing.fan(client)
            assert client.post("/events", json=listen(user_id=fan)).status_code == 202
            _until(lambda: fuzzing.give_history(chosen, fan))
            _until(lambda: client.get("/recommend", params={"user_id": fan}).json().get("rung") == "personal")
            _until(lambda: client.get("/search", params={"q": "four"}).is_success)
            yield client

    return client


def _until(holds: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the API does not serve what was planted"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def client(opened: Callable[..., Iterator[TestClient]]) -> Iterator[TestClient]:
    yield from opened()


@pytest.fixture(scope="module")
def guarded(opened: Callable[..., Iterator[TestClient]], database_url: str) -> Iterator[TestClient]:
    yield from opened(
        make_key(database_url, Holder(Scope.ADMIN)), api_auth="keys", api_rate_per_key=0, api_rate_per_ip=0
    )


def test_no_request_breaks_the_api_or_gets_an_answer_that_is_not_described(client: TestClient) -> None:
    seen = ask_each(client, operations(client), CASES)
    for label in ("GET /recommend", "GET /items/{item_id}", "GET /users/{user_id}/stats"):
        assert seen[label][200] > 0, (label, seen[label])
    assert seen["POST /events"][202] > 0, seen["POST /events"]
    assert sum(sum(each.values()) for each in seen.values()) > 100


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("access", ["client", "guarded"])
@pytest.mark.parametrize("part", range(PARTS))
def test_thousands_of_requests_do_neither(
    request: pytest.FixtureRequest, record_property: Record, access: str, part: int
) -> None:
    asked: TestClient = request.getfixturevalue(access)
    seen = ask_each(asked, operations(asked)[part::PARTS], MANY)
    for label, statuses in seen.items():
        record_property(label, str({int(status): count for status, count in statuses.items()}))
    assert sum(sum(each.values()) for each in seen.values()) > MANY


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("access", ["client", "guarded"])
def test_sequences_of_requests_do_neither(request: pytest.FixtureRequest, record_property: Record, access: str) -> None:
    asked: TestClient = request.getfixturevalue(access)
    seen: Counter[int] = Counter()
    failures: list[str] = []

    machine: Any = description(asked).exclude(path_regex="/metrics|/export|/plays").as_state_machine()

    class Sequence(machine):  # type: ignore[misc]  # made from the description
        def call(self, case: Any, **_: Any) -> Response:
            # Of answers without a key schemathesis would learn on the way, and Hypothesis takes that for a fault.
            case.headers.update(asked.headers if access == "guarded" else {})
            try:
                return Response.from_httpx(send(asked, case, seen), verify=True)
            except (AssertionError, BaseExceptionGroup) as error:
                failures.append(f"{case.method} {case.path}: {error}"[:900])
                raise

        def validate_response(self, *_: Any, **__: Any) -> None:
            """`send` has done it."""

    few = settings(QUIET, max_examples=SEQUENCES // RUNS, stateful_step_count=STEPS, derandomize=False)
    for number in range(RUNS):
        # What can follow hangs on the answers. Where a request is answered otherwise than before, as of a user who
        # was erased meanwhile, Hypothesis ends the run.
        with suppress(FlakyStrategyDefinition):
            seed(number)(Sequence).run(settings=few)
    record_property("statuses", str({int(status): count for status, count in seen.items()}))
    assert not failures, "\n\n".join(failures)
    assert sum(seen.values()) > SEQUENCES
