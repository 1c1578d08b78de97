"""Assets `source/imports` and `source/kaggle_tracks`: files that people bring, carried out when they wait."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import dagster as dg

from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from music_assets.sources.import_table import Import

_IMPORTS: Final = dg.AssetKey(["source", "imports"])
_TRACKS: Final = dg.AssetKey(["source", "kaggle_tracks"])
_AGAIN_SECONDS: Final = 600
"""After so long a file is asked for again: the run that was to carry it out may have died before it began."""


class TracksFile(dg.Config):
    """Where the tables lie, if they did not come through the API."""

    path: str = ""


@dg.asset(key=_IMPORTS, kinds={"python", "kafka"}, group_name="source", owners=["team:platform"])
def imports(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """One row per play of the files that people brought; each file is read once, whatever becomes of the run."""
    from music_assets.sources.exports import KINDS
    from music_assets.sources.imports import carry_out_waiting

    return _result(carry_out_waiting(platform.settings(), list(KINDS), progress=lambda row: _tell(context, row)))


@dg.asset(key=_TRACKS, kinds={"python", "postgres"}, group_name="source", owners=["team:platform"])
def kaggle_tracks(
    context: dg.AssetExecutionContext, platform: PlatformResource, config: TracksFile
) -> dg.MaterializeResult[None]:
    """One row per Spotify track of the tables that people brought, with artists, genres and audio features.

    The file of the run's configuration, and what came through the API.
    """
    from pathlib import Path

    from music_assets.sources import imports as importing
    from music_assets.sources.kaggle import KIND

    settings, ended = platform.settings(), []
    if config.path:
        record = importing.hand_in(settings, KIND, Path(config.path), user=None, zone="UTC")
        ended.append(importing.carry_out(settings, record, Path(config.path), progress=lambda row: _tell(context, row)))
    ended += importing.carry_out_waiting(settings, [KIND], progress=lambda row: _tell(context, row))
    return _result(ended)


def _tell(context: dg.AssetExecutionContext, row: "Import") -> None:
    context.log.info("%s %s: %d records, %d rejected", row.kind, row.import_id, row.position, row.rejected)


def _result(ended: list["Import"]) -> dg.MaterializeResult[None]:
    failed = {str(record.import_id): record.error for record in ended if record.status != "done"}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(record.accepted for record in ended),
            "imports": len(ended),
            "rejected": sum(record.rejected for record in ended),
            "skipped": sum(record.skipped for record in ended),
            "failed": dg.MetadataValue.json(failed),
        }
    )


@dg.sensor(
    name="files_that_wait",
    target=dg.AssetSelection.assets(_IMPORTS, _TRACKS),
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run when a file came through the API, or the process that carried one out was killed.",
)
def files_that_wait(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult | dg.SkipReason:
    """Look for uploads that nobody carries out; each state of them is asked for once, and again if that was in vain."""
    from music_assets.sources.imports import waiting
    from music_assets.sources.kaggle import KIND
    from streaming.errors import UnavailableError

    try:
        found = waiting(platform.settings())
    except UnavailableError as error:
        return dg.SkipReason(str(error))
    turn = int(datetime.now(UTC).timestamp() // _AGAIN_SECONDS)
    now = json.dumps([turn, *([str(record.import_id), record.updated_at.isoformat()] for record in found)])
    if not found or now == context.cursor:
        return dg.SensorResult(skip_reason="no file waits that was not asked for already", cursor=now)
    keys = {_TRACKS if record.kind == KIND else _IMPORTS for record in found}
    return dg.SensorResult(run_requests=[dg.RunRequest(asset_selection=sorted(keys))], cursor=now)
