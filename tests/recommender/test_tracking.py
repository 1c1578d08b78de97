"""Runs in MLflow: in a file of ours, without the network, and never in a training's way."""

from __future__ import annotations

import base64
import socket
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from music_assets.recommender.metrics import Interval
from music_assets.recommender.picture import embedded, gains
from music_assets.recommender.tracking import Run, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from music_assets.settings import Settings

RUN = Run(
    name="ease", data="10 listens before 5", parameters={"strength": 100.0}, metrics={"ndcg@10": 0.25},
    tags={"reason": "ease is released"}, files={"leaderboard.svg": "<svg/>"},
)  # fmt: skip


@pytest.mark.slow
def test_a_run_is_kept_in_a_file_without_the_network(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def refuse(_: socket.socket, address: Any) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    settings = make_settings()
    tracker = Tracker(uri=settings.tracking_uri, experiment="music", root=settings.tracking_root)
    with monkeypatch.context() as alone:
        alone.setattr(socket.socket, "connect", refuse)
        first, second = tracker.log(RUN), tracker.log(RUN)
    assert asked == []
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=settings.tracking_uri)
    kept = client.get_run(first)
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"strength": "100.0"}
    assert kept.data.metrics == {"ndcg_at_10": 0.25}
    assert {"data": RUN.data, "reason": "ease is released", "mlflow.runName": "ease"}.items() <= kept.data.tags.items()
    assert [each.path for each in client.list_artifacts(second)] == ["leaderboard.svg"]
    assert kept.info.experiment_id == client.get_run(second).info.experiment_id
    assert list(settings.tracking_root.rglob("leaderboard.svg")), "files lie below MUSIC_HOME"


def test_a_server_that_is_away_stops_no_training(tmp_path: Path) -> None:
    away = Tracker(uri="http://127.0.0.1:1", experiment="music", root=tmp_path)
    assert away.log(RUN).startswith("not logged: ")
    assert Tracker(uri=None, experiment="music", root=tmp_path).log(RUN) == "not logged: MLFLOW_TRACKING_URI is off"
    assert list(tmp_path.iterdir()) == []


def test_a_setting_says_where(make_settings: Callable[..., Settings]) -> None:
    assert make_settings().tracking_uri == f"sqlite:///{make_settings().music_home}/mlflow/runs.sqlite"
    assert make_settings(mlflow_tracking_uri="http://ml:5000").tracking_uri == "http://ml:5000"
    assert make_settings(mlflow_tracking_uri="off").tracking_uri is None


def test_the_picture_places_each_gain_beside_the_line() -> None:
    said = {"ease & <co>": (0.2, 0.1, 0.3), "worse": (-0.1, -0.2, -0.05), "same": (0, -1e-3, 1e-3)}
    rows = [(name, Interval(*gain)) for name, gain in said.items()]
    root = ET.fromstring(gains("NDCG", rows))
    of = {tag: root.findall(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("circle", "line", "text")}
    assert len(of["circle"]) == 3
    zero = float(of["line"][0].attrib["x1"])
    better, worse, same = (float(dot.attrib["cx"]) for dot in of["circle"])
    assert worse < zero == same < better
    assert (better - zero) == pytest.approx(2 * (zero - worse), abs=0.2)
    assert len({dot.attrib["fill"] for dot in of["circle"]}) == 3
    assert of["text"][1].text == "ease & <co>"
    kept = embedded(gains("NDCG", rows), "NDCG")
    assert base64.b64decode(kept.partition("base64,")[2][:-1]).decode() == gains("NDCG", rows)
    ET.fromstring(gains("nothing", []))
