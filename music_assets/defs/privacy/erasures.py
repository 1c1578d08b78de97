"""The job that carries out erasures, and the sensor that asks for it when the API took one in."""

from uuid import UUID

import dagster as dg

from music_assets.automation import ask_for_what_waits
from music_assets.resources import PlatformResource


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
    from music_assets.erasures import waiting

    def look() -> list[UUID]:
        with platform.connect() as connection:
            return [each.erasure_id for each in waiting(connection)]

    return ask_for_what_waits(context, look)
