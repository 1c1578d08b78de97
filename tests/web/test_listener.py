"""What a listener does on the page, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
from playwright.sync_api import expect

from tests.serving.conftest import of
from tests.web import stage
from tests.web.conftest import PASSWORD, PHONE, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SONG, NAME = next(iter(stage.world().songs.items()))
BECAUSE = re.compile("because you played ", re.IGNORECASE)


def rows(page: Page) -> list[str]:
    return page.locator(".recommendation .row-name").all_inner_texts()


def test_choose_a_listener_and_see_their_page(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Begin of the user id").fill(stage.LISTENER[:3])
    expect(page.locator(".listener")).to_have_count(1)
    page.get_by_role("button", name=stage.LISTENER, exact=True).click()
    expect(page.get_by_role("heading", name="For you")).to_be_visible()
    expect(page.locator(".recommendation")).to_have_count(16)
    expect(page.locator(".recommendation .row-more").first).to_have_text(BECAUSE)
    assert not [name for name in rows(page) if ":" in name], "an item is told by its name"
    page.reload()
    expect(page.locator(".picker")).to_have_text(stage.LISTENER)


def test_feedback_acts_at_once_and_can_be_taken_back(listening: Page, site: Site, broker: str) -> None:
    page = listening
    page.goto("/app/")
    expect(page.locator(".recommendation")).to_have_count(16)
    first, second, *_ = before = rows(page)
    with page.expect_request(lambda request: request.method == "PUT"):
        page.get_by_role("button", name=f"Not this: {first}").click()
    assert first not in rows(page)
    expect(page.locator(".recommendation")).to_have_count(16)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as shown:
        page.get_by_role("button", name="Undo").first.click()
    assert shown.value.ok
    expect(page.locator(".recommendation .row-name").first).to_have_text(first)
    assert rows(page) == before

    like = page.get_by_role("button", name=f"Like {second}")
    with page.expect_response("**/events") as liked:
        like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    [result] = liked.value.json()["results"]
    [(_, event)] = of(broker, "events_ratings", {result["event_id"]})
    assert (event["rating"], bool(event["recommendation_id"])) == (5, True)


def test_what_no_model_of_listens_proposed_has_a_badge(listening: Page) -> None:
    """The stage's model ranks everything itself, so two places of a real answer are given away on the way."""

    def tried(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        found["items"][1] |= {"source": "exploration", "reason": "seldom played"}
        found["items"][2] |= {"source": "content", "reason": "nobody played it yet: like One, which you played"}
        route.fulfill(response=answer, json=found)

    page = listening
    page.route("**/recommend?*", tried)
    page.goto("/app/")
    more = page.locator(".recommendation .row-more")
    expect(more.nth(1)).to_have_text(re.compile("^try ?seldom played$"))
    expect(more.nth(2)).to_have_text(re.compile("^new ?nobody played it yet"))
    expect(page.locator(".recommendation .badge")).to_have_count(2)


def test_what_is_refused_is_taken_back_and_told(browser: Browser, site: Site) -> None:
    sentence = "the disk is full"
    problem = {"title": "x", "status": 503, "detail": sentence}
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('music.listener', '{stage.LISTENER}')")
    page.route("**/hidden/**", lambda route: route.fulfill(status=503, json=problem))
    page.goto("/app/")
    expect(page.locator(".recommendation")).to_have_count(16)
    before = rows(page)
    page.get_by_role("button", name=f"Not this: {before[0]}").click()
    expect(page.locator(".toast-bad")).to_have_text(re.compile(r"The disk is full\."))
    assert rows(page) == before
    context.close()


def test_a_play_is_here_while_one_looks(listening: Page, site: Site) -> None:
    page = listening
    page.goto("/app/")
    expect(page.locator(".live")).to_have_text("live")
    event = {
        "event_id": uuid4().hex, "user_id": stage.LISTENER, "event_type": "listen", "item_id": SONG, "source": "radio",
        "timestamp": page.evaluate("new Date().toISOString()"),
    }  # fmt: skip
    httpx.post(f"{site.url}/events", json=event).raise_for_status()
    expect(page.locator(".play .row-name").first).to_have_text(NAME, timeout=2_000)
    name = rows(page)[0]
    page.get_by_role("button", name=f"Play {name}").click()
    expect(page.locator(".play .row-name").first).to_have_text(name, timeout=2_000)


def test_stats_are_plots_and_tables(listening: Page) -> None:
    page = listening
    page.goto("/app/stats")
    expect(page.locator(".plot canvas")).to_have_count(3)
    plays = int(page.locator(".figure", has_text="plays").locator("dd").inner_text())
    page.locator(".plot", has_text="By weekday").get_by_text("As a table").click()
    cells = page.get_by_role("region", name="By weekday, as a table").locator("td").all_inner_texts()
    assert len(cells) == 7
    assert sum(map(int, cells)) == plays > 0
    page.get_by_role("radio", name="Week", exact=True).click()
    expect(page.locator(".figure", has_text="plays").locator("dd")).not_to_have_text(str(plays))


def test_search_finds_what_is_nearly_written(page: Page) -> None:
    page.goto("/app/search")
    page.get_by_label("A name, or nearly one").fill(NAME.replace("e", "", 1))
    expect(page.locator(".results .row-name").first).to_have_text(NAME)
    page.locator(".results a").first.click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    expect(page.get_by_role("heading", name="Played by the same listeners")).to_be_visible()
    page.go_back()
    page.get_by_label("A name, or nearly one").fill("zzzzzzzz")
    expect(page.get_by_text("Nothing is like")).to_be_visible()


def test_trending_and_charts(page: Page) -> None:
    page.goto("/app/trending")
    expect(page.locator(".ranked-row")).to_have_count(40)
    with page.expect_response(re.compile("window=24h")):
        page.get_by_role("radio", name="Last day").click()
    page.get_by_role("radio", name="Artists").click()
    expect(page.locator(".ranked-row")).to_have_count(20)
    page.get_by_role("link", name="Charts").click()
    expect(page.locator(".ranked-row")).to_have_count(30)
    newest = page.locator(".week").inner_text()
    page.get_by_role("button", name="The week before").click()
    expect(page.locator(".week")).not_to_have_text(newest)
    expect(page.locator(".move-new")).to_have_count(30)


def test_by_keyboard_alone(listening: Page) -> None:
    page = listening
    page.goto("/app/")
    expect(page.locator(".recommendation")).to_have_count(16)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    name = rows(page)[0]
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Play {name}")).to_be_focused()
    page.get_by_role("button", name=re.compile("^Theme")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitemradio").first).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("menuitemradio", name="Dark")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_one_signs_in_where_keys_are_asked_for(browser: Browser, guarded: Site) -> None:
    context = browser.new_context(base_url=guarded.url, viewport=PHONE)
    page = context.new_page()
    page.goto("/app/")
    page.get_by_label("Account").fill(stage.LISTENER)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".recommendation")).to_have_count(16)
    expect(page.locator(".cross"), "a listener's account is no operator's").to_have_count(0)
    with page.expect_response(lambda answer: answer.request.method == "PUT") as hidden:
        page.get_by_role("button", name=f"Not this: {rows(page)[0]}").click()
    assert hidden.value.ok, "what changes something carries the session's token"
    page.get_by_role("button", name=re.compile("^Account")).click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()
