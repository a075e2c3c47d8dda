"""One photograph, large; its words; duplicates; and all of it without a mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.page.conftest import Service
from tests.page.looking import TILES, first_is, focused, has_query

pytestmark = pytest.mark.browser


def test_the_viewer_is_walked_and_left_with_keys(page: Page, service: Service) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    page.locator(f"{TILES} .photo").first.focus()
    page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog", name="blue.png")
    expect(viewer).to_be_visible()
    has_query(page, r"\?open=\d+$")
    page.keyboard.press("ArrowLeft")  # there is none before it
    expect(viewer).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="green.png")).to_be_visible()
    expect(page.locator("#viewer-said")).to_have_text("green.png, 2 of 10")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-captions")).to_have_text("a red wall")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    has_query(page, r":\d+/$")
    assert page.evaluate("document.activeElement.querySelector('img').alt") == "a red wall"


def test_the_back_button_closes_the_viewer(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    has_query(page, r"\?q=red$")
    expect(page.locator(TILES).first).to_be_visible()


def test_the_viewer_tells_what_is_known_and_gives_the_file(
    page: Page, service: Service, photographs: Path
) -> None:
    page.goto(f"{service.url}/?q=red&min=none")
    page.locator(f"{TILES} .photo").first.click()
    facts = page.locator("#viewer-facts")
    expect(facts).to_contain_text(str(photographs / "photos" / "red.png"))
    expect(facts).to_contain_text("640 \N{MULTIPLICATION SIGN} 480")
    expect(facts).to_contain_text("Score")
    with page.expect_download() as caught:
        page.get_by_role("link", name="Download").click()
    assert caught.value.suggested_filename == "red.png"
    assert Path(caught.value.path()).read_bytes() == (photographs / "photos" / "red.png").read_bytes()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#viewer")).to_be_hidden()
    first_is(page, "red-small.png")
    assert focused(page) == "main"


def test_a_link_to_a_photograph_opens_it_alone(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=lime")
    page.locator(f"{TILES} .photo").first.click()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_role("dialog", name="green.png")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    has_query(page, r"\?q=lime$")


def test_a_link_to_a_photograph_that_is_not_there_says_so_and_is_left(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?open=99999")
    expect(page.locator("#note h2")).to_have_text("This photograph is not in the library")
    expect(page.locator("#viewer")).to_be_hidden()
    has_query(page, r"/$")
    first_is(page, "blue.png")
    page.get_by_role("button", name="Back to what was shown").click()
    expect(page.locator("#note")).to_be_hidden()
    first_is(page, "blue.png")


def test_a_photograph_that_is_not_there_has_nothing_of_another(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer-side")).to_be_visible()
    page.evaluate("history.pushState({}, '', '/?open=99999'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator("#note h2")).to_have_text("This photograph is not in the library")
    expect(page.locator("#viewer")).to_be_hidden()
    page.evaluate("document.getElementById('viewer-like').click()")  # it leads nowhere
    has_query(page, r"/$")
    page.go_back()
    expect(page.get_by_role("dialog", name="blue.png")).to_be_visible()
    expect(page.locator("#viewer-side")).to_be_visible()
    expect(page.locator("#viewer-trouble")).to_be_hidden()


def test_a_photograph_that_comes_late_is_not_turned_to(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.locator(f"{TILES} .photo").nth(2).click()
    expect(page.get_by_role("dialog", name="red.png")).to_be_visible()
    red = page.url.rpartition("=")[2]
    held: list[Route] = []
    page.route(f"**/api/photos/{red}", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.goto(f"{service.url}/?q=lime&min=0.9&open={red}")  # it is not among what is found
    first_is(page, "green.png")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    page.locator(f"{TILES} .photo").first.click()
    viewer = page.get_by_role("dialog", name="green.png")
    expect(viewer).to_be_visible()
    held[0].continue_()
    page.wait_for_timeout(300)
    expect(viewer).to_be_visible()


def test_who_walks_through_photographs_does_not_load_their_files(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    for number in range(4):
        save(tmp_path / "photos" / f"{number}.png", (60 * number, 0, 0), size=(1200, 900))
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    files: list[str] = []
    page.on("request", lambda one: files.append(one.url) if one.url.endswith("/original") else None)
    page.clock.install(time=datetime(2030, 1, 1))
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator(TILES)).to_have_count(4)
    page.clock.pause_at(datetime(2030, 1, 2))  # however slow this machine is, no time passes from here on
    page.locator(f"{TILES} .photo").first.click()
    for place in range(2, 5):
        page.keyboard.press("ArrowRight")
        expect(page.locator("#viewer-said")).to_contain_text(f"{place} of 4")
    page.clock.run_for(300)
    expect(page.locator("#viewer-photo")).to_have_attribute("src", re.compile("/original$"))
    assert len(files) == 1
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    page.clock.run_for(1000)
    page.wait_for_timeout(300)
    assert len(files) == 1


SHOWN = """() => {
  const canvas = document.getElementById("viewer-heat");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let most = 0;
  for (let place = 3; place < pixels.length; place += 4) most = Math.max(most, pixels[place]);
  return [canvas.width, canvas.height, most];
}"""


def test_words_show_where_they_are(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=really+red&min=none")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#heat-text")).to_have_value("really red")
    page.get_by_role("button", name="Show", exact=True).click()
    words = page.locator("#heat-words button")
    expect(words).to_have_count(3)
    expect(words.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#viewer-heat")).to_be_visible()
    assert page.evaluate(SHOWN)[:2] == [640, 480]  # as the photograph, so that it lies on it
    words.nth(2).click()
    expect(words.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(words.first).to_have_attribute("aria-pressed", "false")
    assert page.evaluate(SHOWN)[2] > 100
    words.nth(2).click()
    expect(page.locator("#viewer-heat")).to_be_hidden()
    page.fill("#heat-text", "!?")
    page.press("#heat-text", "Enter")
    expect(page.locator("#heat-said")).to_contain_text("has no word")
    page.locator("#viewer-close").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#heat-said")).to_be_empty()


def test_a_word_is_painted_by_what_it_carries(page: Page, service: Service) -> None:
    cells = [[0.0, 1.0], [0.0, 0.0]]
    words = [
        {"word": word, "span": [0, 1], "contribution": share, "share": share, "score": 0.1, "cells": cells}
        for word, share in (("dog", 0.8), ("big", 0.2), ("a", 0.0))
    ]
    said = {"schema": 1, "model": "m", "sentence": "a big dog", "method": "occlusion", "score": 0.5}
    page.route(
        "**/explain",
        lambda route: route.fulfill(json={**said, "area": [0, 0, 1, 1], "cells": cells, "words": words}),
    )
    page.goto(f"{service.url}/?q=a+big+dog&min=none")
    page.locator(f"{TILES} .photo").first.click()
    page.get_by_role("button", name="Show", exact=True).click()
    most: dict[str, int] = {}
    for word in ("all of it", "dog", "big", "a"):
        button = page.locator("#heat-words button").filter(has_text=re.compile(rf"^{word}(\d|$)"))
        if button.get_attribute("aria-pressed") != "true":
            button.click()
        most[word] = page.evaluate(SHOWN)[2]
    assert most["all of it"] == most["dog"] > 150
    assert most["big"] == pytest.approx(most["dog"] / 4, abs=3)
    assert most["a"] == 0
    expect(page.locator("#heat-said")).to_have_text(
        "\u201ca\u201d carries nothing of the score, so nothing is painted."
    )


@pytest.mark.parametrize(("score", "fits"), [(0.5, True), (0.13, False), (-0.02, False)])
def test_of_a_sentence_that_does_not_fit_no_shares_are_told(
    score: float, fits: bool, page: Page, service: Service
) -> None:
    cells = [[0.0, 1.0], [0.0, 0.0]]
    word = {"word": "dog", "span": [0, 3], "contribution": 1, "share": 1, "score": 0.1, "cells": cells}
    said = {"schema": 1, "model": "m", "sentence": "dog", "method": "occlusion", "score": score}
    page.route(
        "**/explain",
        lambda route: route.fulfill(json={**said, "area": [0, 0, 1, 1], "cells": cells, "words": [word]}),
    )
    page.route("**/api/search", lambda route: answer_with_least(route, 0.2))
    page.goto(service.url)
    page.locator(f"{TILES} .photo").first.click()
    page.fill("#heat-text", "dog")
    page.press("#heat-text", "Enter")
    expect(page.locator("#heat-words button")).to_have_text(["all of it", "dog100%" if fits else "dog"])
    told = page.locator("#heat-said")
    if fits:
        expect(told).to_contain_text("Choose a word")
    else:
        expect(told).to_contain_text("does not fit this photograph")


def answer_with_least(route: Route, least: float) -> None:
    told = route.fetch()
    route.fulfill(response=told, json={**told.json(), "min_score": least})


def test_a_map_that_takes_its_time_is_waited_for_and_can_be_left(page: Page, service: Service) -> None:
    held: list[Route] = []
    left: list[str] = []
    page.on("requestfailed", lambda one: left.append(one.url) if one.url.endswith("/explain") else None)
    page.route("**/explain", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.goto(f"{service.url}/?q=really+red&min=none")
    page.locator(f"{TILES} .photo").first.click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("progressbar", name="Looking at the photograph")).to_be_visible()
    expect(page.locator(".word.yet")).to_have_text(["really", "red"])
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#heat-said")).to_have_text("Stopped.")
    expect(page.locator("#heat-wait")).to_be_hidden()
    assert focused(page) == "heat-go"
    page.keyboard.press("Enter")
    expect(page.locator("#heat-wait")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    for _ in range(50):
        if len(left) < 2:
            page.wait_for_timeout(100)
    assert (len(held), len(left)) == (2, 2)
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#heat-wait")).to_be_hidden()
    expect(page.locator(".word.yet")).to_have_count(0)


def test_other_words_are_looked_for_while_some_are(page: Page, service: Service) -> None:
    asked: list[Route] = []
    page.route("**/explain", lambda route: asked.append(route))  # noqa: PLW0108 (playwright marks it)
    page.goto(f"{service.url}/?q=really+red&min=none")
    page.locator(f"{TILES} .photo").first.click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.fill("#heat-text", "blue")
    expect(page.get_by_role("button", name="Show", exact=True)).to_be_visible()
    page.press("#heat-text", "Enter")
    expect(page.locator(".word.yet")).to_have_text(["blue"])
    page.press("#heat-text", "Enter")
    expect(page.locator("#heat-said")).to_have_text("Stopped.")
    assert [one.request.post_data_json["text"] for one in asked] == ["really red", "blue"]


def test_a_date_that_is_the_file_s_is_called_so(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer-facts")).to_contain_text(re.compile("File date.*1 January 2030"))
    expect(page.locator("#viewer-facts")).not_to_contain_text("Taken")


def test_no_photograph_is_shown_under_the_name_of_another(page: Page, service: Service) -> None:
    held: list[Route] = []
    page.goto(service.url)
    first_is(page, "blue.png")
    page.locator(f"{TILES} .photo").first.click()
    photo = page.locator("#viewer-photo")
    expect(photo).to_have_js_property("complete", True)
    expect(photo).to_have_css("opacity", "1")
    page.route("**/thumbnail?size=1024", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.evaluate(
        "history.pushState({}, '', '/?open=' + document.querySelectorAll('#grid .tile')[4].dataset.id)"
    )
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(photo).to_have_css("opacity", "0")
    for one in held:
        one.continue_()
    page.unroute_all(behavior="ignoreErrors")
    expect(photo).to_have_css("opacity", "1")


def test_a_small_photograph_is_not_blown_up(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?name=grey-00*")
    page.locator(f"{TILES} .photo").first.click()
    box = page.locator("#viewer-photo").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (128, 96)
    page.goto(f"{service.url}/?name=blue*")
    page.locator(f"{TILES} .photo").first.click()
    box = page.locator("#viewer-photo").bounding_box()
    stage = page.locator("#stage").bounding_box()
    assert box is not None
    assert stage is not None
    assert box["width"] == stage["width"]  # all that is there of 1800


def test_a_very_small_photograph_is_no_more_than_doubled_in_the_grid(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    save(tmp_path / "photos" / "small.png", "red", size=(60, 45))
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    page.goto(serve(tmp_path / "library").url)
    image = page.locator(f"{TILES} img.there").bounding_box()
    tile = page.locator(TILES).bounding_box()
    assert image is not None
    assert tile is not None
    assert (image["width"], image["height"]) == (120, 90)
    assert tile["width"] > 200
    assert image["x"] + 60 == pytest.approx(tile["x"] + tile["width"] / 2, abs=1)
    assert image["y"] + 45 == pytest.approx(tile["y"] + tile["height"] / 2, abs=1)


def test_the_ring_of_the_focus_covers_nothing(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red&min=none")
    expect(page.locator(".score").first).to_be_visible()
    page.locator("#query").focus()
    page.keyboard.press("ArrowDown")
    ring = page.evaluate(
        "(() => { const photo = document.activeElement, of = getComputedStyle(photo.closest('.tile'));"
        " return [of.outlineStyle, parseFloat(of.outlineOffset) >= 0, getComputedStyle(photo).outlineStyle,"
        " getComputedStyle(photo).boxShadow, getComputedStyle(photo, '::after').content]; })()"
    )
    assert ring == ["solid", True, "none", "none", "none"]


def test_duplicates_are_shown_in_groups(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?view=duplicates&likeness=0.95")
    expect(page.locator(".group").first).to_be_visible()
    red = page.locator(".group").filter(has=page.locator('[alt="red-small.png"]'))
    expect(red).to_contain_text("best")
    red.locator(".photo").nth(1).click()
    expect(page.get_by_role("dialog", name="red-small.png")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name="red.png")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.querySelector('img').alt") == "a red wall"
    told = page.locator("#status").inner_text()
    assert "group" in told
    page.get_by_role("link", name="Sterna, start").click()
    expect(page.locator("#status")).to_contain_text("newest first")
    page.go_back()
    expect(page.locator("#status")).to_have_text(told)


def test_everything_is_reached_without_a_mouse(page: Page, service: Service) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    page.keyboard.press("Tab")
    assert focused(page) == "skip"
    page.keyboard.press("Enter")
    assert focused(page) == "main"
    page.keyboard.press("/")
    page.keyboard.type("blue")
    page.keyboard.press("Enter")
    expect(page.locator(".score").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.querySelector('img').alt") == "blue.png"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    last = page.evaluate("document.activeElement.closest('li').nextElementSibling === null")
    page.keyboard.press("Home")
    assert last
    before = page.evaluate("document.activeElement.getBoundingClientRect().top")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") != before
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("More like")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    page.keyboard.press("/")
    for _ in range(20):  # on to the chip: what is focused always shows it
        page.keyboard.press("Tab")
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring != "none" or focused(page) in {"query", "main"}, focused(page)
        if page.evaluate("document.activeElement.closest('.chip') !== null"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(0)
    assert focused(page) == "query"
