"""Talks to the stream service: is it alive, and be current as of now."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict

from streaming.errors import ConfigurationError, TimeoutExpiredError, UnavailableError
from streaming.tables import Layer, Table, tables

JOBS: Final = ("stream_kafka_to_bronze", "stream_kafka_to_silver", "stream_trending_to_gold")
"""The jobs by name, in the order in which one run of all goes through them."""


class TableProgress(BaseModel):
    """What a run did to a table: rows it added, and rows there are now."""

    model_config = ConfigDict(frozen=True)

    rows_added: int
    rows_total: int


class RunReport(BaseModel):
    """What a run did: seconds it took, and each table by its id."""

    model_config = ConfigDict(frozen=True)

    job: str
    seconds: float
    tables: dict[str, TableProgress]


class ServiceInfo(BaseModel):
    """What the service says of itself.

    Attributes:
        version: of the distribution whose code it runs.
        engine: which engine works.
        lake: root of the lake it writes to.
        running: whether silver takes messages in.
        halted: why it stands still, None when it does not.
        last_error: the last failure of a job that it survived.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    engine: str
    lake: str
    running: bool
    halted: str | None
    last_error: str | None


def code_version() -> str:
    """Return the version of the installed distribution."""
    return version("music-data-platform")


class StreamClient:
    """The service on this machine.

    Args:
        port: its control port.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def alive(self) -> bool:
        """Whether the service answers and its streams run."""
        try:
            return httpx.get(f"{self._url}/health", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def about(self) -> ServiceInfo | None:
        """Return what the service says of itself; None when it does not answer."""
        try:
            answer = httpx.get(f"{self._url}/about", timeout=2)
        except httpx.HTTPError:
            return None
        return ServiceInfo.model_validate_json(answer.content) if answer.status_code == httpx.codes.OK else None

    def run(self, job: str, timeout: float = 300) -> RunReport:
        """Wait until a job has taken in all that was there when this was called.

        Args:
            job: one of `JOBS`.
            timeout: seconds to wait.

        Raises:
            TimeoutExpiredError: it took longer.
            UnavailableError: the service does not answer, or the job failed.
        """
        try:
            answer = httpx.post(f"{self._url}/run", params={"job": job}, timeout=httpx.Timeout(timeout, connect=2))
        except httpx.TimeoutException as error:
            raise TimeoutExpiredError(f"{job} did not become current within {timeout:.0f} s") from error
        except httpx.HTTPError as error:
            raise UnavailableError(f"the stream service at {self._url} does not answer; is it up?") from error
        if answer.status_code != httpx.codes.OK:
            raise UnavailableError(f"{job} failed: {answer.text.strip()}")
        return RunReport.model_validate_json(answer.content)


def tables_of(job: str) -> list[Table]:
    """Return the tables that a job fills.

    Raises:
        ConfigurationError: there is no such job.
    """
    layers: dict[str, tuple[Layer, ...]] = dict(
        zip(JOBS, (("bronze",), ("silver", "deadletter", "lake"), ("gold",)), strict=True)
    )
    if job not in layers:
        raise ConfigurationError(f"there is no job {job!r}; valid: {', '.join(JOBS)}")
    return [table for table in tables().values() if table.layer in layers[job]]


def progress(job: str, before: dict[str, int], after: dict[str, int]) -> dict[str, TableProgress]:
    """Return what a run did, from the rows of its tables before and after.

    A chart is replaced as a whole, so all its rows are new.
    """
    return {
        table.id: TableProgress(
            rows_added=after[table.id] - (0 if table.layer == "gold" else before[table.id]), rows_total=after[table.id]
        )
        for table in tables_of(job)
    }
