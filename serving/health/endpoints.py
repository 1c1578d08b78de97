"""`GET /health`, `/health/live`, `/health/ready`, `/metrics`."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response

from music_assets.keys import Scope
from serving.access.rules import OPEN, GuardedRoute, needs
from serving.health.schemas import HealthAnswer, LiveAnswer, ReadyAnswer
from serving.metrics import CONTENT_TYPE
from serving.parts import Api, Parts

router = APIRouter(tags=["operations"], route_class=GuardedRoute)


@router.get("/health", summary="State of every part", openapi_extra=OPEN, response_model_exclude_none=True)
async def health(api: Api) -> HealthAnswer:
    """The state of each part behind the API, the model that serves and the spool; always 200."""
    return api.health.answer()


@router.get("/health/live", summary="Whether the process answers", openapi_extra=OPEN)
async def live() -> LiveAnswer:
    """200 as long as the process answers: restart it when it does not."""
    return LiveAnswer()


@router.get(
    "/health/ready",
    summary="Whether to send requests here",
    openapi_extra=OPEN,
    responses={503: {"model": ReadyAnswer, "description": "Still starting: `missing` says what is not done yet."}},
)
async def ready(api: Api, response: Response) -> ReadyAnswer:
    """200 once every part was looked at; a part that is away makes it degraded, not unready."""
    answer = api.health.ready()
    if answer.missing:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return answer


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    openapi_extra=needs(Scope.READ, whole=True),
    responses={200: {"description": "Metrics in Prometheus' text format.", "content": {"text/plain": {}}}},
)
async def metrics(api: Api) -> Response:
    """Requests, events by verdict, spool, answers by rung, caches, the model."""
    return Response(_exposed(api), media_type=CONTENT_TYPE)


def _exposed(api: Parts) -> bytes:
    bundle = api.models.current
    return api.metrics.expose(
        spooled=api.spool.count, model_made_at=bundle.created_at if bundle else None, parts=api.health.dependencies
    )
