"""Runs job `platform` in a process of its own and tells what happens, one JSON object a line.

`python -m music_assets.demo.job FD` is what the demo starts: it loads the code location, waits for a line on its
standard input, and runs. The run is Dagster's own, on the instance of the environment, so the UI shows it; the
lines are what the instance stored about it. They go to the file descriptor FD, because dbt and Spark write to
the standard output as they like.
"""

import json
import os
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TextIO

import dagster as dg
import structlog

JOB: Final = "platform"
_TAG: Final = "music/demo"
_POLL_SECONDS: Final = 0.3
_KINDS: Final = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@cache
def _loaded() -> dg.JobDefinition:
    from music_assets.definitions import defs

    return defs().resolve_job_def(JOB)


def platform_job() -> dg.JobDefinition:
    """Return the job from the code location, loaded once."""
    return _loaded()


def main(go: TextIO, out: TextIO) -> int:
    """Load, wait for a line on `go`, run the job to its end; return 0 when every step succeeded."""
    platform_job()
    if not go.readline():
        return 1  # whoever started this has ended
    mark = uuid.uuid4().hex
    groups = Counter(key.path[0] for key in platform_job().asset_layer.executable_asset_keys)
    _write(out, {"event": "plan", "assets": groups})
    ended = threading.Event()
    with dg.DagsterInstance.get() as instance:
        teller = threading.Thread(target=_tell, args=(instance, mark, ended, out), name="tell-events")
        teller.start()
        try:
            with dg.execute_job(dg.reconstructable(platform_job), instance=instance, tags={_TAG: mark}) as result:
                success, run_id = result.success, result.run_id
        finally:
            ended.set()
            teller.join()
    _write(out, {"event": "end", "success": success, "run_id": run_id})
    return 0 if success else 1


def _tell(instance: dg.DagsterInstance, mark: str, ended: threading.Event, out: TextIO) -> None:
    """Write the run's events as the instance stores them, the last ones after it ended."""
    cursor: str | None = None
    run_id: str | None = None
    last = False
    while not last:
        last = ended.wait(_POLL_SECONDS)
        try:
            run_id = run_id or _run_id(instance, mark)
            if run_id is None:
                continue
            found = instance.get_records_for_run(run_id, cursor=cursor, of_type=_KINDS)
        except Exception:  # the storage may be restarting: the run itself decides whether that ends it
            structlog.get_logger().warning("the events of the run cannot be read now", exc_info=True)
            continue
        cursor = found.cursor
        for record in found.records:
            event = record.event_log_entry.dagster_event
            for line in event_lines(event, record.event_log_entry.timestamp) if event else ():
                _write(out, line)


def _run_id(instance: dg.DagsterInstance, mark: str) -> str | None:
    runs = instance.get_runs(filters=dg.RunsFilter(tags={_TAG: mark}), limit=1)
    return runs[0].run_id if runs else None


def event_lines(event: dg.DagsterEvent, moment: float) -> Iterator[dict[str, Any]]:
    """Yield what a person should know of an event: a step began or failed, an asset or a check is there."""
    match event.event_type:
        case dg.DagsterEventType.STEP_START:
            yield {"event": "start", "step": event.step_key, "time": moment}
        case dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            yield {"event": "failure", "step": event.step_key, "error": _innermost(error), "time": moment}
        case dg.DagsterEventType.ASSET_MATERIALIZATION:
            made = event.step_materialization_data.materialization
            yield {
                "event": "asset",
                "asset": made.asset_key.to_user_string(),
                "metadata": {name: _plain(value) for name, value in made.metadata.items()},
                "time": moment,
            }
        case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            yield {
                "event": "check",
                "asset": check.asset_key.to_user_string(),
                "check": check.check_name,
                "passed": check.passed,
                "severity": check.severity.value,
                "time": moment,
            }


def _innermost(error: Any) -> str:
    """Return the message of the error that began it."""
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(str(error.message).split()) if error is not None else "no message"


def _plain(value: dg.MetadataValue[Any]) -> Any:
    """Return a metadata value as JSON has it; what JSON cannot hold as its text."""
    raw = value.value
    return raw if isinstance(raw, (str, int, float, bool, dict, list, type(None))) else str(raw)


def _write(out: TextIO, line: dict[str, Any]) -> None:
    out.write(json.dumps(line, default=str) + "\n")
    out.flush()


if __name__ == "__main__":
    # By its own name: Dagster imports the module it rebuilds a job from, and would load everything again.
    from music_assets.demo import job

    # Whoever outlives the run must not hold the pipe open.
    os.set_inheritable(int(sys.argv[1]), False)  # noqa: FBT003 - it takes no name
    with open(int(sys.argv[1]), "w", encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor has no path
        status = job.main(sys.stdin, pipe)
    sys.exit(status)
