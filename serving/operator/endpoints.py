"""`/operator`: dead letters and redrives, topics and messages, streams, models, sources."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from music_assets.keys import Scope
from serving.access.rules import Asker, GuardedRoute, needs
from serving.operator import deadletters, models, sources, streams, topics
from serving.operator.schemas import (
    DeadLettersAnswer,
    MessagesAnswer,
    ModelsAnswer,
    RedriveAnswer,
    RedriveIn,
    SourcesAnswer,
    StreamsAnswer,
    TopicsAnswer,
)
from serving.parts import Api
from serving.problems import responses

router = APIRouter(prefix="/operator", tags=["operations"], route_class=GuardedRoute)

_OPERATOR = needs(Scope.ADMIN, whole=True)
_MOST_OFFSET = 2**62
Topic = Annotated[str | None, Query(max_length=249, description="Only this topic's.")]
Reason = Annotated[str | None, Query(max_length=64, description="Only those for this reason.")]


@router.get(
    "/deadletters", summary="Messages that break their contract", responses=responses(422, 503), openapi_extra=_OPERATOR
)
async def dead_letters(
    api: Api, topic: Topic = None, reason: Reason = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Dead letters at most, 1 to 200.")] = 50,
    cursor: Annotated[str | None, Query(max_length=512, description="`next` of the page before.")] = None,
) -> DeadLettersAnswer:  # fmt: skip
    """A page of them, the newest first, and how many there are by topic and reason."""
    asked = deadletters.wanted(topic, reason)
    read = partial(deadletters.read, api.lake, asked, cursor=cursor, limit=limit)
    return await api.operator.held.answer(
        ("deadletters", topic, reason, limit, cursor), read, forget=cursor is not None
    )


@router.post(
    "/redrives",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send dead letters once more",
    response_description="It is written down; a run carries it out.",
    responses=responses(422, 503),
    openapi_extra=_OPERATOR,
)
async def ask_redrive(api: Api, asker: Asker, response: Response, asked: RedriveIn) -> RedriveAnswer:
    """Ask for it after a fix: a run sends each dead letter once, as `music deadletter redrive` does."""
    await api.keys.audit(asker, "redrive asked")
    answer = await api.operator.redrives.ask(asked)
    response.headers["Location"] = f"/operator/redrives/{answer.redrive_id}"
    return answer


@router.get(
    "/redrives/{redrive_id}",
    summary="How far a redrive is",
    responses=responses(404, 422, 503),
    openapi_extra=_OPERATOR,
)
async def redrive(
    api: Api, redrive_id: Annotated[UUID, Path(description="The redrive, as `POST /operator/redrives` named it.")]
) -> RedriveAnswer:
    """Its state, and a sentence that says what was sent and what was left."""
    return await api.operator.redrives.get(redrive_id)


@router.get("/topics", summary="Topics", responses=responses(503), openapi_extra=_OPERATOR)
async def every_topic(api: Api) -> TopicsAnswer:
    """Every topic of the platform as the broker holds it."""
    return await api.operator.held.answer("topics", partial(topics.every, api.settings.bootstrap_servers))


@router.get(
    "/topics/{topic}/messages",
    summary="Messages of a topic",
    responses=responses(404, 422, 503),
    openapi_extra=_OPERATOR,
)
async def messages(
    api: Api,
    response: Response,
    topic: Annotated[str, Path(max_length=249, description="The topic.")],
    partition: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Only this partition's.")] = None,
    offset: Annotated[
        int | None, Query(ge=0, le=_MOST_OFFSET, description="Offset of the oldest; absent: up to the newest.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Messages at most, 1 to 100.")] = 20,
) -> MessagesAnswer:
    """The newest messages, or those from an offset of a partition on; nothing is committed."""
    response.headers["Cache-Control"] = "no-store"
    servers = api.settings.bootstrap_servers
    read = partial(topics.messages, servers, topic, partition=partition, offset=offset, limit=limit)
    found: MessagesAnswer = await api.operator.held.work(read)
    return found


@router.get("/streams", summary="Streaming queries", responses=responses(503), openapi_extra=_OPERATOR)
async def every_stream(api: Api) -> StreamsAnswer:
    """What each query has taken in, what waits, and why one stands still."""
    charted = api.trending.value["1h"].as_of
    return await api.operator.held.answer("streams", partial(streams.read, api.settings, api.lake, charted_at=charted))


@router.get("/models", summary="Models", responses=responses(503), openapi_extra=_OPERATOR)
async def every_model(api: Api) -> ModelsAnswer:
    """The model that serves, those before it, the leaderboard of the last training and the gate's word."""
    return await api.operator.held.answer("models", partial(models.read, api.settings.model_root))


@router.get("/sources", summary="Sources and their gaps", responses=responses(503), openapi_extra=_OPERATOR)
async def every_source(api: Api) -> SourcesAnswer:
    """How each source answered in the last week, and which times nobody looked at."""
    return await api.operator.held.answer("sources", partial(sources.read, api.settings))
