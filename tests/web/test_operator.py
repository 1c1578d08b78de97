"""What an operator does on the page, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web import stage
from tests.web.conftest import PASSWORD, Site, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_freshness_says_why_and_the_ledger_balances(page: Page) -> None:
    page.goto("/app/operator")
    expect(page.locator(".step")).to_have_count(6)
    expect(page.locator(".verdict")).to_contain_text("not there yet")
    row = page.get_by_role("row", name="events_listens").filter(has_text="48,210")
    expect(row).to_contain_text("balances")
    expect(page.get_by_role("region", name="Streams, table")).to_be_visible()


def test_a_topic_leads_to_its_messages(page: Page) -> None:
    page.goto("/app/operator/topics")
    page.get_by_role("link", name="events_listens").click()
    expect(page.get_by_role("heading", name="events_listens")).to_be_visible()
    message = page.locator(".letter").first
    message.locator("summary").click()
    expect(message.get_by_label("Value")).to_contain_text('"event_type": "listen"')


@pytest.mark.parametrize(("way", "title"), [("models", "Models"), ("sources", "Sources")])
def test_every_page_has_an_answer(page: Page, way: str, title: str) -> None:
    page.goto(f"/app/operator/{way}")
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.locator(".skeletons")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_dead_letters_are_looked_at_and_sent_once_more(page: Page) -> None:
    page.goto("/app/operator/dead-letters")
    page.get_by_role("button", name="events_ratings · out_of_range 3").click()
    expect(page.locator(".letter")).to_have_count(3)
    page.locator(".letter summary").first.click()
    expect(page.locator(".letter pre").first).to_have_text('{"rating": 11}')
    page.get_by_role("button", name="Redrive…").click()
    with page.expect_response("**/operator/redrives") as asked:
        page.get_by_role("button", name="Redrive 3 dead letters").click()
    assert asked.value.status == 202
    expect(page.locator(".progress .badge")).to_have_text("asked")


def test_an_operator_signs_in_and_chooses_a_listener(browser: Browser, guarded: Site) -> None:
    with opened(browser, guarded.url) as page:
        page.goto("/app/")
        page.get_by_label("Account").fill("operator")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name=stage.LISTENERS[1], exact=True).click()
        expect(page.locator(".recommendation")).to_have_count(16)
        expect(page.get_by_role("link", name="Dead letters")).to_be_visible()
