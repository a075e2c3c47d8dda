"""Who cannot see or touch the page uses it as well: axe finds nothing, in both colours, and it fits a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import PATIENCE, Service, watch
from tests.page.looking import TILES, status_says

pytestmark = pytest.mark.browser

axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
AXE = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
VIEWS = {
    "start": "/",
    "search": "/?q=red&plus=blue&minus=lime&folder=photos",
    "nothing": "/?q=red&min=0.99",
    "viewer": "/?q=really+red&min=none",
    "duplicates": "/?view=duplicates&likeness=0.95",
    "library": "/?view=library",
    "one": "/?name=red.png",
    "alone": "/?name=grey-00*",
    "looking": "/?q=really+red&min=none",
    "forget": "/?view=library",
    "selecting": "/?q=red&min=none",
}


def show(page: Page, service: Service, view: str) -> None:
    page.goto(service.url + VIEWS[view])
    if view == "alone":
        page.locator(f"{TILES} .photo").first.click()
    elif view == "looking":
        page.route("**/explain", lambda route: None)  # it is waited for
        page.locator(f"{TILES} .photo").first.click()
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator("#heat-wait")).to_be_visible()
        page.unroute_all(behavior="ignoreErrors")
    elif view == "forget":
        status_says(page)
        page.reload()
        page.get_by_role("button", name="Forget photos").click()
    elif view == "viewer":
        page.locator(f"{TILES} .photo").first.click()
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator("#heat-words button").first).to_be_visible()
    elif view == "selecting":
        page.locator(f"{TILES} .photo").first.focus()
        page.keyboard.press("x")
        expect(page.locator("#picks")).to_be_visible()
    elif view == "search":
        page.get_by_role("button", name="Filters").click()
    ready = {"nothing": "#note h2", "duplicates": ".group", "library": ".counts", "forget": "#forget-title"}
    ready |= dict.fromkeys(["viewer", "alone", "looking"], "#viewer-name")
    expect(page.locator(ready.get(view, TILES)).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str, browser: Browser, service: Service) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 1200, "height": 800}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    found: list[str] = []
    watch(page, found)
    for view in VIEWS:
        show(page, service, view)
        page.evaluate(AXE)
        for one in page.evaluate("axe.run().then((result) => result.violations)"):
            found += [
                f"{view}: {one['id']}: {node['html']} {node['failureSummary']}" for node in one["nodes"]
            ]
    context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_is_wider_than_the_screen(width: int, browser: Browser, service: Service) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 640}, has_touch=True, is_mobile=width < 500
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for view in VIEWS:
        show(page, service, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        corner = {"forget": "#forget-go", **dict.fromkeys(["viewer", "alone", "looking"], "#viewer-close")}
        box = page.locator(corner.get(view, "#theme")).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width, view
    context.close()


def test_light_and_dark_are_chosen_and_kept(page: Page, service: Service) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    page.goto(service.url)
    page.emulate_media(color_scheme="dark")
    dark = paper()
    page.emulate_media(color_scheme="light")
    light = paper()
    assert dark != light
    button = page.get_by_role("button", name="Colours")
    button.click()
    button.click()
    expect(button).to_have_accessible_name("Colours: dark")
    assert paper() == dark
    page.reload()
    assert paper() == dark
    button.click()
    assert paper() == light
