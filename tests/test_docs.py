"""What the pages say exists: commands, targets, settings, endpoints, topics and files."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prometheus_client.parser import text_string_to_metric_families

from music_assets.cli import main
from serving.app import create_app
from serving.settings import Settings
from streaming.control import FEATURES
from streaming.parse import Reason
from streaming.topics import topics

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNBOOKS = sorted(page for page in (ROOT / "docs" / "runbooks").glob("*.md") if page.name != "README.md")
# Variables of the tests, of make and the mark on a stack's processes, which no settings class reads.
OTHERS = {"MALLOC_ARENA_MAX", "MUSIC_DATA", "MUSIC_STACK", "ARGS", "CI", "PYTHON"}


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code(page: Path) -> list[str]:
    """Everything set as code: spans and the lines of blocks."""
    blocks = re.findall(r"```\w*\n(.*?)```", text(page), re.DOTALL)
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    return [*re.findall(r"`([^`]+)`", prose), *(line for block in blocks for line in block.splitlines())]


def each_code(pattern: str) -> list[tuple[str, Any]]:
    return [(page.name, found) for page in PAGES for span in code(page) for found in re.findall(pattern, span)]


def test_commands_exist() -> None:
    group = typer.main.get_command(main)
    mentioned = each_code(r"^music ((?:[a-z_]+ ?){1,2})")
    assert mentioned
    for page, words in mentioned:
        command = group
        for word in words.split():
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"{page}: music {words}"
            command = command.commands[word]


def test_options_of_commands_exist() -> None:
    commands = typer.main.get_command(main).commands  # type: ignore[attr-defined]
    for page, line in each_code(r"^(?:music|make) ((?:demo|simulate).*)"):
        known = {option for parameter in commands[line.split()[0]].params for option in parameter.opts}
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known, f"{page}: {option} of {line}"


def commands(page: Path) -> list[str]:
    return [found for span in code(page) for found in re.findall(r"^music .*", span)]


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and the words after it."""
    command: Any = typer.main.get_command(main)
    while hasattr(command, "commands"):
        assert words, f"{command.name} needs one of {', '.join(command.commands)}"
        assert words[0] in command.commands, f"{words[0]} is none of {', '.join(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_every_command_of_a_runbook_can_be_typed(page: Path) -> None:
    assert commands(page), "a runbook without a command"
    for line in commands(page):
        command, rest = leaf(shlex.split(line)[1:])
        command.make_context(command.name, [word.replace("FILE", "/dev/null") for word in rest])


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_symptom_meaning_way_and_end(page: Path) -> None:
    headings = re.findall(r"^## (.*)", text(page), re.MULTILINE)
    assert headings == ["Symptom", "Meaning", "What to do", "How to see it is over"]
    assert len(text(page).splitlines()) <= 45, "one page"
    assert f"]({page.name})" in text(page.parent / "README.md")


def test_what_the_runbooks_look_at_exists() -> None:
    from music_assets.definitions import defs

    checks = {key.name for key in defs().get_repository_def().asset_graph.asset_check_keys}
    known = checks | metrics() | lines_of_the_log() | {FEATURES}
    for page in RUNBOOKS:
        _, symptom, _, _, end = text(page).split("\n## ")
        signs = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)[`{]", symptom + end))
        assert signs <= known, f"{page.name}: {signs - known}"


def lines_of_the_log() -> set[str]:
    files = (ROOT / "streaming").rglob("*.py")
    return {name for file in files for name in re.findall(r"log\.\w+\(\s*\"(\w+)\"", text(file))}


def metrics() -> set[str]:
    from serving.metrics import Metrics
    from streaming.jobs.metrics import REGISTRY

    exposed = [*REGISTRY.collect(), *text_string_to_metric_families(Metrics().expose(spooled=0).decode())]
    return {each.name + ("_total" if each.type == "counter" else "") for each in exposed}


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    mentioned = each_code(r"^make ([a-z-]+)")
    assert {target for _, target in mentioned} <= targets
    assert {"demo", "test"} <= {target for _, target in mentioned}


def test_settings_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for page, name in each_code(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b"):
        assert name.removesuffix("_FILE") in known | OTHERS, f"{page}: {name}"


def test_tests_exist() -> None:
    named = each_code(r"^(tests/[\w/]+\.py)::(test_\w+)$")
    assert len(named) > 5
    for page, (file, test) in named:
        assert f"def {test}(" in text(ROOT / file), f"{page}: {file}::{test}"


def test_the_matrix_of_storage_has_every_cell() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| `(\w+)` \|.*\|$", text(ROOT / "docs" / "streaming.md"), re.MULTILINE)
    cells = {
        (engine, lake.split()[-1], kind) for engines, lake, kind in rows for engine in re.findall(r"`(\w+)`", engines)
    }
    every = {
        (engine, *rest)
        for engine in ("python", "spark")
        for rest in (("disk", "delta"), ("disk", "parquet"), ("S3", "delta"))
    }
    assert every <= cells
    assert ("any", "S3", "parquet") in rows


def test_endpoints_exist(tmp_path: Path) -> None:
    paths = create_app(Settings(_env_file=None, music_home=tmp_path)).openapi()["paths"]
    mentioned = each_code(r"(?:GET|POST|localhost:8000) ?(/[a-z0-9]*)")
    assert mentioned
    for page, path in mentioned:
        assert path == "/docs" or any(known == path or known.startswith(f"{path}/") for known in paths), (
            f"{page}: {path}"
        )


def test_every_endpoint_is_in_the_table_with_its_scope(tmp_path: Path) -> None:
    paths = create_app(Settings(_env_file=None, music_home=tmp_path)).openapi()["paths"]
    exist = {
        (
            f"{method.upper()} {path}",
            operation["x-scope"],
            bool(operation.get("x-whole-platform")),
            operation["summary"],
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    rows = re.findall(
        r"^\| `([A-Z]+ /\S+)` \| (\w+)(, whole platform)? \| (.*) \|$", text(ROOT / "docs" / "api.md"), re.M
    )
    assert {(endpoint, scope, bool(whole), summary) for endpoint, scope, whole, summary in rows} == exist


def test_the_metrics_of_the_api_are_in_the_table() -> None:
    from serving.metrics import Metrics

    exposed = text_string_to_metric_families(Metrics().expose(spooled=0).decode())
    names = {each.name + ("_total" if each.type == "counter" else "") for each in exposed}
    said = text(ROOT / "docs" / "api.md")
    assert {name for name in names if f"`{name}`" not in said and not name.endswith("_created")} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", text(page)):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_event_topics_are_named() -> None:
    page = text(ROOT / "docs" / "architecture.md")
    assert [name for name in topics() if name.startswith("events_") and f"`{name}`" not in page] == []


def test_every_metric_of_the_streams_is_explained() -> None:
    from streaming.jobs.metrics import REGISTRY

    page = text(ROOT / "docs" / "streaming.md")
    names = {
        each.name + ("_total" if each.type == "counter" else "")
        for each in REGISTRY.collect()
    }  # fmt: skip
    assert {name for name in names if f"`{name}{{" not in page} == set()


def test_every_reason_and_only_reasons_are_explained() -> None:
    table = [line for line in text(ROOT / "docs" / "messages.md").splitlines() if line.startswith("| `")]
    explained = {name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert explained == set(Reason)
