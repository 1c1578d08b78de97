"""What holds for every page: nobody is shut out, nothing jumps, little is sent."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web import stage
from tests.web.conftest import DESKTOP, PHONE, Site, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parents[2] / "serving" / "web" / "node_modules" / "axe-core" / "axe.min.js"
LISTENER_WAYS = ["", "stats", "search?q=river", "trending", "charts", "item?id=artist%3Aa03"]
OPERATOR_WAYS = [
    "operator", "operator/dead-letters", "operator/topics", "operator/topics/events_listens", "operator/models",
    "operator/sources",
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_MOST_GZIP = 300_000
_MOST_SHIFT = 0.02
_FIRST_CONTENT_MS = 1_000

_WATCH_SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def settle(page: Page) -> None:
    """Wait until everything stands that will."""
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".skeletons")).to_have_count(0)


def violations(page: Page, run_only: list[str]) -> list[tuple[str, str, str]]:
    """What axe finds: rule, place and what is wrong there."""
    found = page.evaluate("(rules) => axe.run({ runOnly: rules })", run_only)["violations"]
    return [(each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"]) for each in found]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_either_theme_and_nothing_jumps(
    browser: Browser, site: Site, viewport: dict[str, int]
) -> None:
    source = AXE.read_text("utf-8")
    with opened(browser, site.url, color_scheme="light", viewport=viewport, reduced_motion="reduce") as page:
        page.add_init_script(f"localStorage.setItem('music.listener', '{stage.LISTENER}')")
        page.add_init_script(_WATCH_SHIFTS)
        for way in (*LISTENER_WAYS, *OPERATOR_WAYS):
            page.goto(f"/app/{way}")
            settle(page)
            assert page.evaluate("window.shift") <= _MOST_SHIFT, way
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{way} is {wider} px wider than the screen"
            page.evaluate(source)
            assert not violations(page, RULES), way
            page.emulate_media(color_scheme="dark")
            assert not violations(page, ["color-contrast"]), f"{way}, dark"
            page.emulate_media(color_scheme="light")


def test_the_scripts_are_small(built: Path) -> None:
    sizes = {file.name: len(gzip.compress(file.read_bytes(), 9)) for file in built.rglob("*.js")}
    assert sum(sizes.values()) <= _MOST_GZIP, sizes
    assert len(sizes) > 5, "each page is a file of its own"


def test_first_content_comes_within_a_second(listening: Page) -> None:
    painted = []
    for _ in range(3):
        listening.goto("/app/")
        settle(listening)
        # The browser notes a paint with the frame after it.
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        painted.append(listening.wait_for_function(paint).json_value())
    assert min(painted) <= _FIRST_CONTENT_MS, "the quickest of three: other tests run beside this one"


def test_the_policy_lets_no_script_within_the_page(page: Page) -> None:
    answer = page.goto("/app/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    [scripts] = [part for part in policy.split(";") if part.strip().startswith("script-src")]
    assert "unsafe" not in scripts
    assert "<script>" not in answer.text()
