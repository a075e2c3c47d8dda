"""What tests see on the page."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, Route, expect

TILES = "#grid .tile"


def names(page: Page, *, count: int) -> list[str]:
    """What the first photographs show, in words."""
    expect(page.locator(TILES).nth(count - 1)).to_be_attached()
    return [image.get_attribute("alt") or "" for image in page.locator(f"{TILES} img").all()[:count]]


def first_is(page: Page, name: str) -> None:
    expect(page.locator(f"{TILES} img").first).to_have_attribute("alt", name)


def search(page: Page, text: str) -> None:
    page.fill("#query", text)
    page.press("#query", "Enter")


def focused(page: Page) -> str:
    """What has the focus, as an id or a class."""
    return str(page.evaluate("(document.activeElement.id || document.activeElement.className || 'body')"))


def has_query(page: Page, pattern: str) -> None:
    expect(page).to_have_url(re.compile(pattern))


def status_says(page: Page, *, removable: bool = True, **facts: Any) -> None:
    """Let the library's status say these things from now on, and whether its folders may be forgotten."""

    def told(route: Route) -> None:
        answer = route.fetch()
        said = answer.json() | facts
        said["roots"] = [{**root, "removable": removable} for root in said["roots"]]
        route.fulfill(response=answer, json=said)

    page.route("**/api/status", told)
