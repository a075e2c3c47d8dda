"""Several photographs are selected, and their paths copied or their files downloaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.page.conftest import PATIENCE, Service
from tests.page.looking import TILES, first_is, focused, search

pytestmark = pytest.mark.browser

BAR = "#picks"
PICKED = f"{TILES}.picked"


def pick(page: Page, place: int, *, shift: bool = False) -> None:
    tile = page.locator(TILES).nth(place)
    tile.hover()
    tile.locator(".pick").click(modifiers=["Shift"] if shift else None)


def told(page: Page, text: str) -> None:
    expect(page.locator("#picks-told")).to_have_text(text)


def test_photographs_are_selected_one_by_one_and_as_a_range(page: Page, service: Service) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    expect(page.locator(BAR)).to_be_hidden()
    pick(page, 0)
    told(page, "1 selected")
    expect(page.get_by_role("button", name="Select blue.png")).to_have_attribute("aria-pressed", "true")
    page.locator(f"{TILES} .photo").nth(3).click(modifiers=["Shift"])
    told(page, "4 selected")
    expect(page.locator(PICKED)).to_have_count(4)
    page.locator(f"{TILES} .photo").nth(1).click()  # while some are, a click selects
    told(page, "3 selected")
    expect(page.locator("#viewer")).to_be_hidden()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(BAR)).to_be_hidden()
    expect(page.locator(PICKED)).to_have_count(0)
    assert focused(page) == "main"
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer")).to_be_visible()


def test_photographs_are_selected_with_the_keyboard(page: Page, service: Service) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    page.locator(f"{TILES} .photo").first.focus()
    page.keyboard.press("x")
    told(page, "1 selected")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    told(page, "3 selected")
    page.keyboard.press("x")
    told(page, "2 selected")
    page.keyboard.press("Enter")  # it opens, whatever is selected
    expect(page.get_by_role("dialog", name="red.png")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    told(page, "2 selected")
    page.keyboard.press("Escape")
    expect(page.locator(BAR)).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("x")  # a letter, in the line
    expect(page.locator("#query")).to_have_value("x")
    expect(page.locator(BAR)).to_be_hidden()


def test_the_paths_of_selected_photographs_are_copied(
    page: Page, service: Service, context: BrowserContext
) -> None:
    page.goto(service.url)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    pick(page, 0)
    pick(page, 2)
    page.get_by_role("button", name="Copy paths").click()
    told(page, "2 paths copied")
    assert page.evaluate("navigator.clipboard.readText()") == "trips/sea/blue.png\nred.png"
    told(page, "2 selected")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as over plain HTTP
    pick(page, 2)
    page.get_by_role("button", name="Copy paths").click()
    told(page, "1 path copied")


def test_a_name_of_two_lines_is_copied_as_one(page: Page, service: Service, context: BrowserContext) -> None:
    def answer(route: Route) -> None:
        told = route.fetch()
        said = told.json()
        said["photos"][0]["path"] = "a\nb\x1b.png"
        route.fulfill(response=told, json=said)

    page.route("**/api/photos?*", answer)
    page.goto(service.url)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    pick(page, 0)
    page.get_by_role("button", name="Copy paths").click()
    told(page, "1 path copied")
    assert page.evaluate("navigator.clipboard.readText()") == "a\ufffdb\ufffd.png"


def test_a_range_does_not_go_from_what_was_taken_back_before_another_search(
    page: Page, service: Service
) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    pick(page, 0)
    pick(page, 0)
    expect(page.locator(BAR)).to_be_hidden()
    search(page, "red")
    first_is(page, "a red wall")
    page.get_by_role("link", name="Sterna, start").click()
    first_is(page, "blue.png")
    pick(page, 3, shift=True)
    told(page, "1 selected")


def test_selected_photographs_are_downloaded(page: Page, service: Service, photographs: Path) -> None:
    page.goto(service.url)
    pick(page, 0)
    with page.expect_download() as caught:
        page.get_by_role("link", name="Download").click()
    sea = photographs / "photos" / "trips" / "sea" / "blue.png"
    assert caught.value.suggested_filename == "blue.png"
    assert Path(caught.value.path()).read_bytes() == sea.read_bytes()
    pick(page, 1)
    with page.expect_download() as caught:
        page.get_by_role("link", name="Download").click()
    assert caught.value.suggested_filename == "photographs.zip"
    with zipfile.ZipFile(caught.value.path()) as file:
        assert file.namelist() == ["blue.png", "green.png"]
        assert file.read("blue.png") == sea.read_bytes()


def test_no_more_are_downloaded_than_the_service_gives_at_one_time(page: Page, service: Service) -> None:
    def many(route: object) -> None:
        answer = route.fetch()  # type: ignore[attr-defined]
        said = answer.json()
        one = said["photos"][0]
        said["photos"] = [{**one, "id": 10_000 + place} for place in range(501)]
        route.fulfill(response=answer, json=said)  # type: ignore[attr-defined]

    page.route("**/api/photos?*", many)
    page.route("**/api/photos/gone", lambda route: route.fulfill(json={"gone": []}))
    page.route("**/thumbnail*", lambda route: route.fulfill(status=204))
    page.goto(service.url)
    page.locator(f"{TILES} .photo").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("End")
    page.keyboard.press("Shift+X")
    told(page, "501 selected; 500 at most can be downloaded at one time")
    expect(page.locator("#picks-download")).to_have_attribute("aria-disabled", "true")
    assert page.locator("#picks-download").get_attribute("href") is None
    page.unroute_all(behavior="ignoreErrors")


def test_another_search_begins_with_nothing_selected(page: Page, service: Service) -> None:
    page.goto(service.url)
    pick(page, 0)
    told(page, "1 selected")
    search(page, "red")
    first_is(page, "a red wall")
    expect(page.locator(BAR)).to_be_hidden()
    pick(page, 0)
    told(page, "1 selected")


def test_duplicates_are_selected_too(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?view=duplicates&likeness=0.95")
    red = page.locator(".group").filter(has=page.locator('[alt="red-small.png"]'))
    red.locator(".tile").nth(1).hover()
    red.locator(".pick").nth(1).click()
    told(page, "1 selected")
    expect(red.locator(".tile.picked")).to_have_count(1)


def test_a_finger_selects(browser: Browser, service: Service) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(service.url)
    button = page.locator(f"{TILES} .pick").first
    expect(button).to_be_visible()
    assert float(button.evaluate("(one) => getComputedStyle(one).opacity")) > 0.5
    box = button.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 30
    button.tap()
    told(page, "1 selected")
    page.locator(f"{TILES} .photo").nth(1).tap()
    told(page, "2 selected")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
