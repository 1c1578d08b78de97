"""Dead letters, and the requests to send them once more."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import HTTPException

from music_assets import redrives
from serving.operator.schemas import DeadLetter, DeadLetterCount, DeadLettersAnswer, RedriveAnswer, RedriveIn
from streaming.errors import ConfigurationError, ContractError
from streaming.printable import printable
from streaming.repair.letters import Wanted
from streaming.repair.pages import counts, decode, page

if TYPE_CHECKING:
    from uuid import UUID

    from serving.database import Database
    from streaming.lake import Lake
    from streaming.repair.pages import Place

SHOWN: Final = 2_000
"""Characters of a message that are shown."""


def wanted(topic: str | None, reason: str | None, since: datetime | None = None) -> Wanted:
    """Return which dead letters are asked for.

    Raises:
        ContractError: there is no such topic or reason.
    """
    for name, make in (("topic", partial(Wanted, topic=topic)), ("reason", partial(Wanted, reason=reason))):
        try:
            make()
        except ConfigurationError as error:
            raise ContractError("bad_format", name, str(error)) from error
    return Wanted(topic=topic, reason=reason, since=since)


def read(lake: Lake, asked: Wanted, *, cursor: str | None, limit: int) -> DeadLettersAnswer:
    """Return a page.

    Raises:
        ContractError: the cursor is none of ours.
        UnavailableError: the lake was not made yet.
    """
    after = decode(cursor) if cursor else None
    found = page(lake, asked, after=after, limit=limit + 1)
    shown = found[:limit]
    return DeadLettersAnswer(
        deadletters=[_shown(place, row) for place, row in shown],
        counts=[
            DeadLetterCount(topic=topic, reason=reason, rows=rows)
            for (topic, reason), rows in counts(lake, asked).most_common()
        ],
        next=shown[-1][0].encode() if len(found) > limit else None,
        as_of=datetime.now(UTC),
    )


def _shown(place: Place, row: dict[str, Any]) -> DeadLetter:
    # Escaped bytes take four characters: no more of them than can be shown are looked at.
    raw = printable((row["value"] or b"")[: 4 * SHOWN]) or ""
    return DeadLetter(
        topic=place.topic, partition=place.partition, offset=place.offset, reason=row["reason"], field=row["field"],
        at=place.at, redriven=row["redriven"], raw=raw[:SHOWN],
    )  # fmt: skip


class Redrives:
    """Requests in the table that a sensor reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, asked: RedriveIn) -> RedriveAnswer:
        """Take a request in.

        Raises:
            ContractError: there is no such topic or reason.
            UnavailableError: PostgreSQL does not answer.
        """
        wanted(asked.topic, asked.reason)
        rows = await self._database.rows(redrives.REQUEST, asked.model_dump())
        return RedriveAnswer.model_validate(rows[0])

    async def get(self, redrive_id: UUID) -> RedriveAnswer:
        """Return how far a request is.

        Raises:
            HTTPException: there is none of this id.
            UnavailableError: PostgreSQL does not answer.
        """
        rows = await self._database.rows(redrives.GET, {"redrive_id": redrive_id})
        if not rows:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no redrive {redrive_id}")
        return RedriveAnswer.model_validate(rows[0])
