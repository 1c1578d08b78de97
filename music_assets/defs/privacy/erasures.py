"""The job that carries out erasures, and the sensor that asks for it when the API took one in."""

import json
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from music_assets.resources import PlatformResource

_AGAIN_SECONDS: Final = 300
"""After so long an erasure that failed, or whose run was killed, is asked for again."""


@dg.op(description="Removes every person who asked for it from every store; what failed is repeated as a whole.")
def erase(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Carry out what waits, and say how much went; nothing here names anybody."""
    from music_assets.forget import carry_out

    done = carry_out(platform.settings())
    # One run removes all of them together, so its rows are told once.
    rows = done[0].rows if done else {}
    context.add_output_metadata({"erasures": len(done), "rows": sum(rows.values()), "by_table": rows})


@dg.job(description="Forgets who asked to be forgotten: lake, online store, uploads, identity.")
def erase_listeners() -> None:
    """One step."""
    erase()


@dg.sensor(
    name="erasures_that_wait",
    job=erase_listeners,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a run when somebody is to be erased, and again while that has not ended.",
)
def erasures_that_wait(
    context: dg.SensorEvaluationContext, platform: PlatformResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at the request table; what waits is asked for once, and again every few minutes until it is done."""
    import psycopg

    from music_assets.erasures import waiting

    try:
        with platform.connect() as connection:
            found = waiting(connection)
    except psycopg.OperationalError as error:
        return dg.SkipReason(f"PostgreSQL does not answer: {type(error).__name__}")
    turn = int(datetime.now(UTC).timestamp() // _AGAIN_SECONDS)
    now = json.dumps([turn, *sorted(str(each.erasure_id) for each in found)])
    if not found or now == context.cursor:
        return dg.SensorResult(skip_reason="nobody waits who was not asked for already", cursor=now)
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=now)
