"""`POST /imports`, `GET /imports/{import_id}` and `POST /imports/{import_id}/resume`."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from music_assets.keys import Scope
from serving.access.rules import Asker, GuardedRoute, needs
from serving.imports.schemas import ImportAnswer, Kind
from serving.parts import Api
from serving.problems import responses
from streaming.events import NO_CONTROL, Identifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from music_assets.sources.import_table import Import

router = APIRouter(tags=["imports"], route_class=GuardedRoute)

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is, a zip archive included; at most IMPORT_LIMIT_MB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
ImportId = Annotated[UUID, Path(description="The import, as `POST /imports` named it.")]
FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=NO_CONTROL)]


@router.post(
    "/imports",
    status_code=HTTPStatus.ACCEPTED,
    summary="Bring a file",
    response_description="The file is on disk here and waits to be carried out, or was carried out before.",
    responses=responses(400, 409, 413, 422, 503, 507),
    openapi_extra=_BODY | needs(Scope.INGEST),
    response_model_exclude_none=True,
)
async def bring(
    api: Api,
    asker: Asker,
    request: Request,
    response: Response,
    kind: Annotated[Kind, Query(description="What the file holds.")],
    user_id: Annotated[
        Identifier | None, Query(description="Whose plays they are, as in the events; tables of tracks need none.")
    ] = None,
    file_name: Annotated[FileName, Query(description="What it is called, for people.")] = "upload",
    zone: Annotated[
        str, Query(max_length=64, description="Time zone of times without one, such as Europe/Brussels.")
    ] = "UTC",
) -> ImportAnswer:
    """Take a file to be imported; ask `GET /imports/{import_id}` how far it is.

    The same file of the same user may be sent any number of times: it is one import, and each play is stored once.
    """
    if user_id is None and asker.user_id is not None:
        raise HTTPException(HTTPStatus.FORBIDDEN, "a key of one person brings files of that person only: give user_id")
    length = request.headers.get("content-length", "")
    found, waits = await api.imports.take(
        _body(request), size=int(length) if length.isdecimal() else None, kind=kind, user_id=user_id, name=file_name,
        zone=zone,
    )  # fmt: skip
    if not waits:
        response.status_code = HTTPStatus.OK
    return _answer(found)


@router.get(
    "/imports/{import_id}",
    summary="How far an import is",
    openapi_extra=needs(Scope.READ),
    responses=responses(404, 422, 503),
    response_model_exclude_none=True,
)
async def progress(api: Api, asker: Asker, import_id: ImportId) -> ImportAnswer:
    """Tell the status of an import and what became of the records so far."""
    return _answer(await api.imports.get_for(asker.user_id, import_id))


@router.post(
    "/imports/{import_id}/resume",
    summary="Let an import go on",
    openapi_extra=needs(Scope.INGEST),
    responses=responses(404, 409, 422, 503),
    response_model_exclude_none=True,
)
async def resume(api: Api, asker: Asker, import_id: ImportId) -> ImportAnswer:
    """Queue an import that failed; it goes on behind the last record that was done with."""
    await api.imports.get_for(asker.user_id, import_id)
    return _answer(await api.imports.resume(import_id))


def _answer(found: Import) -> ImportAnswer:
    # Not the listener's id: it would tell whoever asks that two imports are one person's.
    return ImportAnswer.model_validate(asdict(found))


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the client went away before the file was complete") from error
