"""Made-up requests for the whole OpenAPI description, half of which name what there is: else most find nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import redis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from music_assets.recommender import features
from streaming.lake import Lake
from streaming.topics import event_topics
from tests.serving import marts, worlds

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from serving.settings import Settings

    Known = dict[str, list[str]]

LEFT_OUT = {("GET", "/metrics"), ("GET", "/users/{user_id}/export"), ("GET", "/users/{user_id}/plays")}
"""What is no JSON; tests of their own read them."""

CHECKS = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
QUIET = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip

KNOWN = {
    "item_id": ["artist:04", "artist:1", "track:1", "track:99", "album:1"],
    "topic": [topic.name for topic in event_topics()],
    "zone": ["Europe/Brussels"],
    "genre": ["rock"],
    "q": ["song", "fuor"],
}
SHARE = 0.7
"""How often a known value stands in for what a query says, or for what it leaves out."""


@schemathesis.serializer("application/x-ndjson", "application/octet-stream")
def plain(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def plant(chosen: Settings) -> None:
    """Fill the stores: a model, charts, names, marts."""
    lake = Lake(chosen.storage)
    lake.create_all()
    worlds.names(chosen, {"artist:04": "Four", "artist:1": "One"}, {"artist:04": "rock"})
    worlds.chart(chosen, {"artist:04": 3.0, "track:1": 2.0})
    worlds.ledger(chosen)
    worlds.release(chosen.model_root)
    with psycopg.connect(chosen.database) as connection:
        marts.plant(connection)


def fan(client: TestClient) -> str:
    """Return the user who has a past: one for each way in, because a sequence of requests may erase them."""
    return "keyed-fan" if "authorization" in client.headers else "fan"


def give_history(chosen: Settings, user_id: str) -> bool:
    """Give a listener a past, in Redis and in the marts; return whether they are known yet.

    An identity store that takes its time has the first event spooled.
    """
    with psycopg.connect(chosen.database) as connection:
        found = connection.execute(
            "select listener_id::text from identity.listener where user_id = %s", [user_id]
        ).fetchone()
        if found is None:
            return False
        [listener] = found
        connection.execute("update marts.fct_listens set user_id = %s where user_id = 'u2'", [listener])
    with redis.Redis.from_url(chosen.redis) as client:
        client.set(features.key(listener), features.encode({"artist:04": 3.0, "artist:06": 1.0}))
    return True


def description(client: TestClient) -> Any:
    """Return the description, whose requests name what there is in half of the cases."""
    app: Any = client.app
    found = schemathesis.openapi.from_dict(app.openapi())
    found.config.update(base_url="http://localhost")
    known = {**KNOWN, "user_id": [fan(client), "somebody"]}

    @found.hook
    def flatmap_case(_context: Any, case: Any) -> st.SearchStrategy[Any]:
        return st.tuples(st.booleans(), st.randoms(use_true_random=False)).map(
            lambda drawn: _known(case, drawn[1], known) if drawn[0] else case
        )

    return found


def _known(case: Any, draw: Any, known: Known) -> Any:
    if (case.method, case.path) == ("DELETE", "/users/{user_id}"):
        return case  # who is erased is let in no more
    named = [each.name for each in case.operation.query if each.name in known]
    case.query = {**(case.query or {}), **{name: draw.choice(known[name]) for name in named if draw.random() < SHARE}}
    for part in (case.path_parameters, case.body):
        _name(part, draw, known)
    return case


def _name(part: Any, draw: Any, known: Known) -> None:
    """Put known values into the fields of these names, at any depth."""
    if isinstance(part, list):
        for each in part:
            _name(each, draw, known)
    if not hasattr(part, "items"):
        return
    for name, value in part.items():
        if name in known:
            part[name] = draw.choice(known[name])
        elif name == "timestamp":
            part[name] = (datetime.now(UTC) - timedelta(days=draw.randrange(900))).isoformat()
        else:
            _name(value, draw, known)


def operations(client: TestClient) -> list[Any]:
    """Return the operations that are asked, in the order of the description."""
    found = [each.ok() for each in description(client).get_all_operations()]
    return [each for each in found if (each.method.upper(), each.path) not in LEFT_OUT]


def send(client: TestClient, case: Any, seen: Counter[int]) -> Any:
    """Send a request and hold its answer against the description."""
    request = case.as_transport_kwargs(base_url="http://localhost")
    if isinstance(request.get("data"), bytes | str):
        request["content"] = request.pop("data")
    answer = client.request(**request)
    seen[answer.status_code] += 1
    # A store without content says 503; that is an answer, and described.
    assert answer.status_code in (503, 507) or answer.status_code < 500, answer.text
    case.validate_response(answer, checks=CHECKS)
    return answer


def ask(client: TestClient, operation: Any, cases: int) -> Counter[int]:
    """Ask one operation and return how often each status came."""
    seen: Counter[int] = Counter()

    @given(case=operation.as_strategy())
    @settings(QUIET, max_examples=cases)
    def each(case: Any) -> None:
        send(client, case, seen)

    each()
    return seen


def ask_each(client: TestClient, asking: list[Any], cases: int) -> dict[str, Counter[int]]:
    """Ask operations and return how often each status came, by operation; failures are told at last, together."""
    seen, failures = {}, []
    for operation in asking:
        try:
            seen[operation.label] = ask(client, operation, cases)
        except (Exception, BaseExceptionGroup) as error:
            inner = getattr(error, "exceptions", [error])
            failures += [f"{operation.label}: {each}"[:900] for each in inner]
    assert not failures, "\n\n".join(failures)
    return seen
