"""The tree itself: what may lie in it, and what may not."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "pyproject.toml", "music_assets", "dbt_project", "streaming", "serving", "deploy", "tests", "workspace.yaml",
    "README.md", "docs", "Makefile", "LICENSE", "CHANGELOG.md",
}  # fmt: skip
# With an underscore for each dot, so that this file does not contain what it looks for.
_HOSTS = """pypi_org pythonhosted_org registry_npmjs_org repo1_maven_org repo_maven_apache_org maven_google_com
deb_debian_org static_crates_io index_crates_io proxy_golang_org"""
HOSTS = re.compile("|".join(host.replace("_", r"\.") for host in _HOSTS.split()))
MACHINE_PATHS = re.compile(r"(?<![.\w])/(?:work|root|home/\w+)/")
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|ghp_[0-9A-Za-z]{36}|xox[bp]-[0-9A-Za-z-]{10}")


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    return [(path, path.read_text(encoding="utf-8", errors="replace")) for path in tracked()]


@pytest.mark.parametrize("pattern", [HOSTS, MACHINE_PATHS, SECRETS], ids=["registry host", "machine path", "secret"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in texts() for match in pattern.finditer(text)]
    assert not found


def test_patterns_find_what_they_look_for() -> None:
    assert HOSTS.search("https://files.pythonhosted_org/x".replace("_", "."))
    assert MACHINE_PATHS.search("open('/ro" + "ot/x')")
    assert not MACHINE_PATHS.search("../work/x")
    assert SECRETS.search("-----BEGIN RSA PRIVATE" + " KEY-----")


def test_only_agreed_names_at_the_top() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    others = {
        name
        for name in names - TOP_LEVEL
        if not name.startswith(".") and not re.fullmatch(r"requirements.*\.lock", name)
    }
    assert not others


def test_files_are_small() -> None:
    assert not [path for path in tracked() if path.stat().st_size > 1_000_000]


def test_locks_pin_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        pinned = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))
        for requirement in project["dependencies"]:
            name, exact = re.match(r"([a-z0-9-]+)(?:\[[^]]*\])?(?:==([^*]+)$)?", requirement).groups()  # type: ignore[union-attr]
            assert name in pinned, f"{name} is not in {lock}"
            assert exact in (None, pinned[name]), f"{name} differs in {lock}"


def test_runtime_lock_is_part_of_the_development_lock() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_jars_belong_to_the_spark_line() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    delta = re.search(r'"delta-spark==([\d.]+)"', project)
    jars = (ROOT / "deploy/jars/ivy.xml").read_text()
    assert delta is not None
    assert re.search(rf'name="delta-spark_4\.0_2\.13"\s+rev="{re.escape(delta[1])}"', jars)
