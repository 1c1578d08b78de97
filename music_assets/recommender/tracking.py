"""Training runs in MLflow: data version, parameters, metrics and files of each, in a SQLite file or on a server.

MLflow is imported when the first run is logged: it takes seconds, and who only asks for a recommendation needs none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog

from music_assets.settings import tell_mlflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow.tracking import MlflowClient

_TOLD: Final = 300
"""Characters of an error that are told."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training, judgement or comparison.

    Attributes:
        name: such as the recipe's.
        data: names the listens it saw.
        parameters: what was set or picked.
        metrics: what was measured; MLflow takes no `@`, `ndcg@10` is `ndcg_at_10` there.
        tags: words about it, such as the gate's reason.
        files: name to text, such as a picture as SVG.
    """

    name: str
    data: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tracker:
    """Where runs go.

    Attributes:
        uri: MLflow's tracking URI, or None for nowhere.
        experiment: its name there.
        root: folder of the files where the runs lie in a SQLite file.
    """

    uri: str | None
    experiment: str
    root: Path

    def log(self, run: Run) -> str:
        """Log a run and return its id, or why there is none: a model must not wait for who writes about it."""
        if self.uri is None:
            return "not logged: MLFLOW_TRACKING_URI is off"
        tell_mlflow()
        from mlflow.exceptions import MlflowException

        try:
            return self._log(run)
        except (MlflowException, OSError) as error:
            _log.warning("run_not_logged", run=run.name, error=str(error)[:_TOLD])
            return f"not logged: {str(error)[:_TOLD]}"

    def _log(self, run: Run) -> str:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        local = str(self.uri).startswith("sqlite:")
        if local:
            self.root.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=self.uri)
        made = client.create_run(self._experiment(client, local=local), run_name=run.name)
        run_id, now = str(made.info.run_id), int(time.time() * 1000)
        client.log_batch(
            run_id,
            metrics=[Metric(name.replace("@", "_at_"), value, now, 0) for name, value in run.metrics.items()],
            params=[Param(name, str(value)) for name, value in run.parameters.items()],
            tags=[RunTag(name, text) for name, text in {"data": run.data, **run.tags}.items()],
        )
        for name, text in run.files.items():
            client.log_text(run_id, text, name)
        client.set_terminated(run_id)
        return run_id

    def _experiment(self, client: MlflowClient, *, local: bool) -> str:
        found = client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        # Without a place of their own the files would lie where the process happened to start.
        place = (self.root / "files").resolve().as_uri() if local else None
        return str(client.create_experiment(self.experiment, artifact_location=place))
