"""Every query of the dashboards and alerts names metrics and labels that exist, and answers of the API fill them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from serving.metrics import Metrics
from serving.settings import Settings
from streaming.jobs.metrics import REGISTRY

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
# The words of PromQL that the queries use.
WORDS = {
    "sum", "by", "rate", "histogram_quantile", "topk", "time", "max", "min", "le", "without", "avg",
}  # fmt: skip
NAMED_IN_THE_DESIGN = {
    "http_requests_total": {"method", "endpoint", "status"},
    "http_request_duration_seconds_count": {"method", "endpoint"},
    "ingest_events_total": {"topic", "verdict"},
    "ingest_spool_events": set(),
    "cache_requests_total": {"cache", "result"},
    "recommend_served_total": {"rung"},
    "model_bundle_age_seconds": set(),
    "model_info": {"version"},
}


def known() -> dict[str, set[str]]:
    """Every series by its name, with its labels."""
    found: dict[str, set[str]] = {}
    registries: list[CollectorRegistry] = [Metrics()._registry, REGISTRY]
    for registry in registries:
        for collector in registry._collector_to_names:
            metric: Any = collector
            labels, kind = set(metric._labelnames), metric._type
            name = metric._name
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
            for suffix in suffixes:
                found[name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def queries() -> list[tuple[str, str, str]]:
    """Where, which query, and its legend."""
    found = [
        (f"{path.name}: {panel['title']}", target["expr"], target["legendFormat"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel["targets"]
    ]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
    return found + [(rule["alert"], rule["expr"], "") for group in rules["groups"] for rule in group["rules"]]


def problems(query: str, legend: str) -> list[str]:
    """What of a query does not exist."""
    series = known()
    plain = re.sub(r'"[^"]*"', '""', query)
    used = set(re.findall(r"[a-zA-Z_:][\w:]*", re.sub(r"\{[^}]*\}|\[[^]]*\]", "", plain))) - WORDS
    grouped = {label.strip() for inside in re.findall(r"by \(([^)]*)\)", plain) for label in inside.split(",")}
    names = used - grouped
    wrong = [f"there is no {name}" for name in names - series.keys()]
    labels = set.intersection(*(series[name] for name in names & series.keys())) if names & series.keys() else set()
    matched = {label for inside in re.findall(r"\{([^}]*)\}", plain) for label in re.findall(r"(\w+)\s*[=!]", inside)}
    wrong += [f"{names} has no label {label}" for label in (grouped | matched) - labels]
    return wrong + [
        f"the legend names {label}" for label in re.findall(r"\{\{(\w+)\}\}", legend) if label not in labels
    ]


def test_the_metrics_that_were_agreed_on_are_there() -> None:
    series = known()
    assert {name: series[name] for name in NAMED_IN_THE_DESIGN} == NAMED_IN_THE_DESIGN


@pytest.mark.parametrize(("where", "query", "legend"), queries(), ids=[where for where, *_ in queries()])
def test_every_query_asks_for_what_exists(where: str, query: str, legend: str) -> None:
    assert problems(query, legend) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(rate(http_request_total[5m]))",
        'rate(http_requests_total{code="200"}[5m])',
        "sum by (path) (ingest_spool_events)",
    ],
)
def test_a_wrong_query_is_found(wrong: str) -> None:
    assert problems(wrong, "")


def test_the_two_dashboards_show_what_was_agreed_on() -> None:
    titles = {path.stem: json.loads(path.read_text("utf-8")) for path in DASHBOARDS}
    assert titles.keys() == {"api-overview", "platform-overview"}
    for board in titles.values():
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}) == len(
            board["panels"]
        )
    assert "heatmap" in {panel["type"] for panel in titles["platform-overview"]["panels"]}


def test_prometheus_looks_where_things_answer(tmp_path: Path) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    settings = Settings(_env_file=None, music_home=tmp_path)
    targets = [
        target for job in config["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    ports = {settings.api_port, settings.stream_port, settings.features_port}
    assert {int(target.rpartition(":")[2]) for target in targets} == ports
    assert all((DEPLOY / "prometheus" / name).exists() for name in config["rule_files"])
