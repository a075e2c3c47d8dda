"""Searching on the page: by words, by images, by photographs, and narrowed down."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from sterna.encoders import write_calibration
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.page.conftest import Service, greys
from tests.page.looking import TILES, first_is, focused, has_query, names, search

pytestmark = pytest.mark.browser

LOOK = 61_000  # milliseconds after which the page looks for what is new at the latest


def test_the_page_begins_with_the_newest_photographs(page: Page, service: Service) -> None:
    page.goto(service.url)
    assert names(page, count=3) == ["blue.png", "green.png", "a red wall"]
    expect(page.locator("#status")).to_have_text("10 photographs, newest first")


def test_the_newest_photographs_stand_under_their_months(page: Page, service: Service) -> None:
    page.goto(service.url)
    months = page.locator("#grid .month")
    expect(months.nth(0)).to_have_text("January 2030")
    expect(months.nth(1)).to_have_text("December 2029")
    first_is(page, "blue.png")
    page.locator(f"{TILES} .photo").first.focus()
    page.keyboard.press("ArrowRight")  # from photograph to photograph, over what stands between
    assert page.evaluate("document.activeElement.querySelector('img').alt") == "green.png"
    page.get_by_role("link", name="December 2029").click()
    has_query(page, r"\?after=2029-12-01&before=2030-01-01$")
    expect(page.locator(TILES)).to_have_count(2)
    expect(months).to_have_text(["December 2029"])
    search(page, "red")
    expect(page.locator(".score").first).to_be_visible()
    expect(months).to_have_count(0)


@pytest.mark.parametrize(
    ("query", "date", "wanted"),
    [
        ("?after=2019-05-15", "2019-05-20", r"after=2019-05-15&before=2019-06-01$"),
        ("?before=2019-05-25", "2019-05-20", r"after=2019-05-01&before=2019-05-25$"),
        ("?after=2018&before=2020", "2019-05-20", r"after=2019-05-01&before=2019-06-01$"),
        ("", "0050-12-20", r"after=0050-12-01&before=0051-01-01$"),
        ("", "9999-12-20", r"after=9999-12-01$"),
    ],
)
def test_a_month_is_never_wider_than_what_is_filtered(
    query: str, date: str, wanted: str, page: Page, service: Service
) -> None:
    def answer(route: Route) -> None:
        told = route.fetch(url=f"{service.url}/api/photos?k=1")
        said = told.json()
        said["photos"][0]["taken_at"] = f"{date}T12:00:00"
        route.fulfill(response=told, json={**said, "next": None})

    page.route("**/api/photos?*", answer)
    page.goto(f"{service.url}/{query}")
    link = page.locator("#grid .month a")
    expect(link).to_have_text(re.compile(rf"\b0*{int(date[:4])}$"))
    link.click()
    has_query(page, wanted)


def test_a_slash_leads_to_the_search_and_the_back_button_out_of_it(page: Page, service: Service) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    page.keyboard.press("/")
    assert focused(page) == "query"
    page.keyboard.type("something red")
    page.keyboard.press("Enter")
    first_is(page, "a red wall")
    assert focused(page) == "query"
    has_query(page, r"\?q=something\+red$")
    expect(page).to_have_title("something red · Sterna")
    expect(page.locator("#status")).to_have_text("10 photographs, best first")
    assert float(page.locator(f"{TILES} .score").first.inner_text().split()[-1]) > 0.9
    page.go_back()
    first_is(page, "blue.png")
    expect(page.locator("#query")).to_have_value("")
    page.go_forward()
    first_is(page, "a red wall")


def test_an_address_is_a_search_that_others_can_open(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=lime&minus=red&orientation=portrait&min=none")
    assert names(page, count=1) == ["green.png"]
    expect(page.locator(TILES)).to_have_count(1)
    expect(page.locator("#query")).to_have_value("lime")
    assert page.locator(".chip .words").all_inner_texts() == ["not red", "portrait"]


def test_an_address_that_means_nothing_breaks_nothing(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?like=x&open=-1&min=much&plus=&view=nowhere&after=soon&image=%00.&min_size=1e9")
    expect(page.locator("#note h2")).to_have_text("That did not work")
    page.get_by_role("button", name="Start anew").click()
    first_is(page, "blue.png")
    assert focused(page) == "main"


def test_more_like_one_and_the_chip_that_takes_it_back(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.locator(TILES).filter(has=page.locator('[alt="a red wall"]')).hover()
    page.get_by_role("button", name="More like red.png", exact=True).click()
    first_is(page, "red-small.png")  # the photograph itself is left out
    assert focused(page) == "main"
    page.get_by_role("button", name="Remove: like this photograph").click()
    first_is(page, "blue.png")
    assert focused(page) == "query"


def test_words_are_added_and_left_out_and_taken_back(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red&min=none")
    first_is(page, "a red wall")
    page.fill("#more", "blue")
    page.press("#more", "Enter")
    has_query(page, "plus=blue")
    assert focused(page) == "more"
    page.fill("#more", "red")
    page.get_by_role("button", name="Leave these words out").click()
    has_query(page, "minus=red")
    first_is(page, "blue.png")
    page.get_by_role("button", name="Remove: blue").click()
    assert "Remove: not red" in str(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    page.get_by_role("button", name="Remove: not red").click()
    first_is(page, "a red wall")
    expect(page.locator(".chip")).to_have_count(0)


def test_filters_narrow_down_a_list_and_a_search(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.get_by_role("button", name="Filters").click()
    assert page.evaluate("document.activeElement.name") == "folder"
    page.get_by_label("Folder").fill("trips")
    page.get_by_label("Folder").press("Enter")
    page.get_by_label("Shape").focus()
    expect(page.locator(TILES)).to_have_count(2)
    page.get_by_label("Shape").select_option("portrait")
    expect(page.locator(TILES)).to_have_count(1)
    search(page, "blue")
    expect(page.locator(TILES)).to_have_count(1)
    first_is(page, "green.png")
    expect(page.get_by_role("button", name="Filters, 2 set")).to_be_visible()
    page.get_by_label("File name").fill("nothing")
    page.get_by_label("File name").press("Enter")
    page.get_by_label("Longer side").focus()
    expect(page.locator("#note h2")).to_have_text("Nothing was found")
    page.get_by_role("button", name="Clear filters").first.click()
    first_is(page, "blue.png")
    expect(page.get_by_label("Folder")).to_have_value("")


def test_dates_sizes_and_captions_are_filters_too(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?after=2029-12-31&before=2030-01-01")
    assert names(page, count=1) == ["green.png"]
    page.goto(f"{service.url}/?min_size=600&max_size=700&caption=wall")
    assert names(page, count=1) == ["a red wall"]
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Caption or tag")).to_have_value("wall")


def test_an_image_that_is_chosen_is_searched_by_and_can_be_shared(
    page: Page, service: Service, photographs: Path, context: BrowserContext
) -> None:
    page.goto(service.url)
    page.set_input_files("#file", photographs / "photos" / "trips" / "green.png")
    first_is(page, "green.png")
    expect(page.locator(".chip .words")).to_have_text("like green.png")
    has_query(page, r"image=636f6c6f\.")
    other = context.new_page()
    other.goto(page.url)
    first_is(other, "green.png")
    expect(other.locator(".chip .words")).to_have_text("like an image")
    expect(other.locator(".chip > .i")).to_be_visible()
    page.reload()
    first_is(page, "green.png")
    expect(page.locator(".chip .words")).to_have_text("like green.png")
    expect(page.locator(".chip img")).to_have_js_property("naturalWidth", 56)


GIVE = """([kind, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


def test_an_image_is_pasted_or_dropped(page: Page, service: Service, photographs: Path) -> None:
    page.goto(service.url)
    first_is(page, "blue.png")
    sea = base64.b64encode((photographs / "photos" / "trips" / "green.png").read_bytes()).decode()
    page.evaluate(GIVE, ["paste", sea])
    first_is(page, "green.png")
    red = base64.b64encode((photographs / "photos" / "red.png").read_bytes()).decode()
    page.evaluate(GIVE, ["dragenter", red])
    expect(page.locator("#drop")).to_be_visible()
    page.evaluate(GIVE, ["drop", red])
    expect(page.locator("#drop")).to_be_hidden()
    first_is(page, "a red wall")


def test_a_file_that_is_no_image_is_told_and_changes_nothing(
    page: Page, service: Service, tmp_path: Path
) -> None:
    page.goto(f"{service.url}/?q=red")
    first_is(page, "a red wall")
    expect(page.locator("#status")).to_have_text(re.compile("best first$|^1 photograph$"))
    before = page.locator("#status").text_content() or ""
    (tmp_path / "no.png").write_bytes(b"no image")
    page.set_input_files("#file", tmp_path / "no.png")
    expect(page.locator("#note h2")).to_have_text("This image cannot be searched by")
    expect(page.locator("#note")).to_contain_text("no.png: ")
    expect(page.locator("#note")).to_be_in_viewport()
    expect(page.locator("#status")).to_have_text(before)
    first_is(page, "a red wall")
    page.set_input_files("#file", tmp_path / "no.png")
    page.get_by_role("button", name="Back to what was shown").click()
    expect(page.locator("#note")).to_be_hidden()
    expect(page.locator("#status")).to_have_text(before)
    first_is(page, "a red wall")
    has_query(page, r"q=red$")


def test_where_no_least_score_is_chosen_the_page_says_so(page: Page, service: Service) -> None:
    automatic, why = page.locator("#min-auto"), page.locator("#min-why")
    page.goto(f"{service.url}/?q=red")
    expect(why).to_have_text("This model has no automatic least score.")
    expect(automatic).to_be_hidden()
    page.goto(f"{service.url}/?q=red&minus=blue")
    first_is(page, "a red wall")
    expect(why).to_contain_text("several parts together score on a scale of their own")
    expect(automatic).to_be_hidden()
    expect(page.locator("#min-told")).to_have_text("any")
    page.goto(f"{service.url}/?like=1")
    expect(why).to_contain_text("the model has one for words alone")
    page.goto(f"{service.url}/?q=red&minus=blue&min=0.2")
    expect(page.locator("#min-told")).to_have_text("0.20")
    expect(why).to_be_hidden()


def test_a_part_takes_the_model_s_least_score_away_and_the_page_says_so(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    greys(tmp_path / "photos", count=4)
    library = Library.open(tmp_path / "library", model=model)
    library.index(tmp_path / "photos")
    known = {"recall": 1.0, "precision": 1.0, "hidden": 0.5, "images": 4, "captions": 4, "data": "walls"}
    write_calibration(model, {"min_score": -0.9, **known})
    page.goto(f"{serve(tmp_path / 'library', model=str(model)).url}/?q=a wall")
    automatic, why = page.locator("#min-auto"), page.locator("#min-why")
    expect(page.locator("#min-told")).to_have_text("-0.90")
    expect(automatic).to_have_attribute("aria-pressed", "true")
    expect(why).to_be_hidden()
    page.fill("#more", "sunset")
    page.press("#more", "Enter")
    expect(why).to_contain_text("several parts")
    expect(automatic).to_be_hidden()
    expect(page.locator("#min-told")).to_have_text("any")
    page.get_by_role("button", name="Remove: sunset").click()
    expect(automatic).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#min-told")).to_have_text("-0.90")
    page.goto(page.url.replace("?q=", "?plus="))  # one sentence is one, wherever it stands
    expect(page.locator("#min-told")).to_have_text("-0.90")
    expect(automatic).to_be_visible()


def test_escape_leaves_the_line_and_loses_nothing(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red")
    first_is(page, "a red wall")
    page.locator("#query").fill("a red wall in the evening")
    page.locator("#query").press("Escape")
    expect(page.locator("#query")).to_have_value("a red wall in the evening")
    assert focused(page) == "body"
    has_query(page, r"q=red$")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.locator("#query").press("Enter")
    has_query(page, r"q=a\+red\+wall\+in\+the\+evening$")


def test_all_folders_of_the_library_are_offered(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    greys(root, count=64)  # more than the first page has
    os.utime(save(root / "old" / "deep" / "red.png", "red"), (1, 1))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator(TILES)).to_have_count(60)
    page.get_by_role("button", name="Filters").click()
    options = page.locator("#folders option")
    expect(options).to_have_count(4)
    said = options.evaluate_all("(all) => all.map((one) => [one.value, one.label])")
    assert said == [
        ["photos", "65 photographs"],
        ["photos/greys", "64 photographs"],
        ["photos/old", "1 photograph"],
        ["photos/old/deep", "1 photograph"],
    ]
    page.get_by_label("Folder").fill("photos/old")
    page.get_by_label("Folder").press("Enter")
    page.get_by_label("Shape").focus()
    expect(page.locator(TILES)).to_have_count(1)
    first_is(page, "red.png")
    save(root / "new" / "lime.png", "lime")
    library.index(root)
    expect(options).to_have_count(5)


def test_a_folder_is_offered_once_and_as_it_is_called(page: Page, service: Service) -> None:
    rows = [("a", " end ", 2), ("a", "b", 1), ("a", "b", 3), ("a", "\ufffd", 1)]
    folders = [{"root": {"id": 1, "name": root}, "path": path, "photos": n} for root, path, n in rows]
    page.route("**/api/folders*", lambda route: route.fulfill(json={"folders": folders}))
    page.goto(service.url)
    page.get_by_role("button", name="Filters").click()
    options = page.locator("#folders option")
    expect(options).to_have_count(2)
    said = options.evaluate_all("(all) => all.map((one) => [one.value, one.label])")
    assert said == [["a/ end ", "2 photographs"], ["a/b", "4 photographs"]]
    page.get_by_label("Folder").fill("a/ end ")
    page.get_by_label("Folder").press("Enter")
    page.get_by_label("Shape").focus()
    has_query(page, r"folder=a%2F\+end\+$")
    page.get_by_label("Folder").fill(" a/b ")
    page.get_by_label("Shape").focus()
    has_query(page, r"folder=a%2Fb$")


def test_the_same_search_asks_anew_and_the_back_button_does_not(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    greys(tmp_path / "photos", count=2)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator(TILES)).to_have_count(2)
    search(page, "red")
    expect(page.locator("#status")).to_contain_text("best first")
    greys(tmp_path / "photos", count=3)
    library.index(tmp_path / "photos")
    page.press("#query", "Enter")
    expect(page.locator(TILES)).to_have_count(3)
    page.go_back()
    expect(page.locator("#status")).to_contain_text("newest first")
    expect(page.locator(TILES)).to_have_count(2)  # as it was left
    search(page, "red")
    expect(page.locator(TILES)).to_have_count(3)
    page.fill("#query", "")
    page.press("#query", "Enter")
    expect(page.locator(TILES)).to_have_count(3)
    expect(page.locator("#status")).to_contain_text("newest first")


def test_a_filter_that_its_field_cannot_show_is_kept(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?after=2029")
    first_is(page, "blue.png")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Shape").select_option("portrait")
    has_query(page, r"\?after=2029&orientation=portrait$")
    page.get_by_label("Shape").select_option("")
    has_query(page, r"\?after=2029$")


def test_a_likeness_that_means_nothing_becomes_one_that_does(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?view=duplicates&likeness=-3")
    expect(page.locator("#likeness-told")).to_have_text("0.500")
    expect(page.locator("#status")).to_contain_text("group")


def test_the_least_score_hides_what_is_below_it(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red&min=0.8")
    expect(page.locator(TILES)).to_have_count(2)
    page.goto(f"{service.url}/?q=red&min=0.99")
    expect(page.locator("#note h2")).to_have_text("Nothing here looks like that")
    page.get_by_role("button", name="Show the nearest anyway").click()
    first_is(page, "a red wall")
    has_query(page, "min=none")
    page.locator("#min").focus()
    page.keyboard.press("End")
    has_query(page, r"min=0\.6")
    page.get_by_role("button", name="auto").click()
    has_query(page, r"q=red$")


def test_the_least_score_of_the_model_is_shown_and_left_behind(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    greys(tmp_path / "photos", count=4)
    library = Library.open(tmp_path / "library", model=model)
    library.index(tmp_path / "photos")
    scores = [hit.score for hit in library.search("a wall", k=4, min_score=None)]
    least = (scores[1] + scores[2]) / 2
    known = {"recall": 1.0, "precision": 1.0, "hidden": 0.5, "images": 4, "captions": 4, "data": "walls"}
    write_calibration(model, {"min_score": least, **known})
    page.goto(f"{serve(tmp_path / 'library', model=str(model)).url}/?q=a wall")
    expect(page.locator(TILES)).to_have_count(2)
    expect(page.locator("#min-told")).to_have_text(f"{least:.2f}")
    page.get_by_role("button", name="Show those that score less, too").click()
    expect(page.locator(TILES)).to_have_count(4)
    expect(page.locator("#min-told")).to_have_text("any")
    expect(page.locator("#below")).to_be_hidden()
    has_query(page, "min=none")


def test_scrolling_brings_the_rest(page: Page, serve: Callable[..., Service], tmp_path: Path) -> None:
    greys(tmp_path / "photos", count=64)
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    page.goto(serve(tmp_path / "library").url + "/?q=red&min=none")
    expect(page.locator("#status")).to_have_text("The best 60 photographs so far")
    expect(page.locator(TILES)).to_have_count(60)
    page.mouse.wheel(0, 20_000)
    expect(page.locator(TILES)).to_have_count(64)
    expect(page.locator("#status")).to_have_text("64 photographs, best first")


def older(root: Path, name: str, *, place: int) -> None:
    """A small photograph that was changed so many hours before a day of 2030."""
    save(root / name, (place % 250, 100 + 50 * (place // 250), 90), size=(16, 12))
    seconds = datetime(2030, 1, 1, 12).timestamp() - place * 3600
    os.utime(root / name, (seconds, seconds))


def library_of_older(root: Path, folder: Path, *, count: int) -> Library:
    """A library of so many photographs, each older than the one before."""
    for place in range(count):
        older(root, f"{place}.png", place=place)
    library = Library.open(folder, model=ColourEncoder())
    library.index(root)
    return library


def scroll_to_the_end(page: Page, *, count: int) -> None:
    """Scroll until so many photographs are there."""
    for _ in range(100):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        if page.locator(TILES).count() >= count:
            break
        page.wait_for_timeout(50)
    expect(page.locator(TILES)).to_have_count(count)


def all_names(page: Page) -> list[str]:
    return list(page.evaluate(f"[...document.querySelectorAll('{TILES} img')].map((one) => one.alt)"))


def newer(root: Path, name: str, *, days: int) -> None:
    """A photograph that was changed on a day of 2040."""
    save(root / name, (3 * days, 90, 200 - 3 * days), size=(64, 48))
    seconds = datetime(2040, 1, 1, 12).timestamp() + days * 86400
    os.utime(root / name, (seconds, seconds))


def wait_for_look(page: Page, wanted: Locator) -> None:
    """Let time pass until something is there; a look that has begun may have been too early."""
    for _ in range(20):
        page.clock.fast_forward(LOOK)
        with contextlib.suppress(AssertionError):
            expect(wanted).to_be_attached(timeout=1000)
            return
    expect(wanted).to_be_attached(timeout=1)


def test_photographs_that_come_are_taken_in_at_the_top_and_offered_elsewhere(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    page.clock.install()
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator("#note h2")).to_have_text("No photographs yet")
    greys(root, count=40)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    wait_for_look(page, page.locator(TILES).nth(39))
    expect(page.locator(TILES)).to_have_count(40)
    expect(page.locator("#note")).to_be_hidden()
    page.evaluate(f"document.querySelector('{TILES}').dataset.same = 'yes'")

    newer(root, "first.png", days=1)
    library.index(root)
    wait_for_look(page, page.locator(f"{TILES} [alt='first.png']"))
    first_is(page, "first.png")
    assert page.locator(TILES).nth(1).get_attribute("data-same") == "yes"  # nothing is drawn again
    expect(page.locator("#status")).to_have_text("41 photographs, newest first")

    page.locator(f"{TILES} .photo").nth(5).focus()
    newer(root, "second.png", days=2)
    newer(root, "third.png", days=3)
    library.index(root)
    offer = page.get_by_role("button", name="2 new photographs")
    wait_for_look(page, offer)
    expect(page.locator(TILES)).to_have_count(41)
    offer.click()
    assert names(page, count=3) == ["third.png", "second.png", "first.png"]
    expect(offer).to_have_count(0)
    assert focused(page) == "main"


def test_none_is_lost_where_photographs_are_taken_in_above_many_others(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    library = library_of_older(root, tmp_path / "library", count=230)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url)
    scroll_to_the_end(page, count=180)
    page.locator(f"{TILES} .photo").nth(5).focus()
    for days in range(5):
        newer(root, f"new-{days}.png", days=days)
    library.index(root)
    offer = page.get_by_role("button", name="5 new photographs")
    wait_for_look(page, offer)
    scroll_to_the_end(page, count=230)
    offer.click()
    first_is(page, "new-4.png")
    scroll_to_the_end(page, count=235)
    assert all_names(page) == [one.path.name for one in library.photos(k=300)]


def test_a_page_that_comes_after_others_were_taken_in_is_asked_for_anew(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    library = library_of_older(root, tmp_path / "library", count=150)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "offset=120" in route.request.url and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/photos?*", hold)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator(TILES).nth(59)).to_be_attached()
    page.locator(f"{TILES} .photo").nth(5).focus()
    newer(root, "new.png", days=1)
    library.index(root)
    offer = page.get_by_role("button", name="1 new photograph")
    wait_for_look(page, offer)
    scroll_to_the_end(page, count=119)  # the second page begins with what the first ended with
    for _ in range(100):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        if held:
            break
        page.wait_for_timeout(50)
    offer.click()
    first_is(page, "new.png")
    held[0].continue_()
    scroll_to_the_end(page, count=151)
    assert all_names(page) == [one.path.name for one in library.photos(k=200)]


def test_a_deletion_is_not_announced_as_a_new_photograph(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    library = library_of_older(root, tmp_path / "library", count=70)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url)
    expect(page.locator(TILES)).to_have_count(60)
    page.locator(f"{TILES} .photo").nth(5).focus()
    (root / "3.png").unlink()
    library.index(root)
    with page.expect_response(lambda one: "/api/photos?" in one.url and "offset=0" in one.url):
        wait_for_look(page, page.locator(f"{TILES}.lost"))
        page.clock.fast_forward(LOOK)
    page.wait_for_timeout(200)
    expect(page.locator("#news")).to_be_empty()
    newer(root, "new.png", days=1)
    library.index(root)
    wait_for_look(page, page.get_by_role("button", name="1 new photograph"))


@pytest.mark.parametrize("question", ["", "?q=red&min=none"])
def test_no_photograph_is_passed_over_where_others_were_deleted(
    question: str, page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    library = library_of_older(root, tmp_path / "library", count=130)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url + "/" + question)
    scroll_to_the_end(page, count=60)
    page.locator(f"{TILES} .photo").nth(5).focus()
    gone = all_names(page)[8:12]
    for name in gone:
        (root / name).unlink()
    library.index(root)
    wait_for_look(page, page.locator(f"{TILES}.lost").nth(3))
    scroll_to_the_end(page, count=130)
    shown = page.evaluate(f"[...document.querySelectorAll('{TILES}')].map((one) => Number(one.dataset.id))")
    assert len(set(shown)) == 130  # all that are left, and the four that are marked


def test_results_stay_as_they_were_found(page: Page, serve: Callable[..., Service], tmp_path: Path) -> None:
    root = tmp_path / "photos"
    greys(root, count=2)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url + "/?q=red&min=none")
    expect(page.locator(TILES)).to_have_count(2)
    newer(root, "first.png", days=1)
    library.index(root)
    looked: list[str] = []
    page.on("request", lambda one: looked.append(one.url) if "/api/photos?" in one.url else None)
    page.clock.fast_forward(LOOK)
    page.clock.fast_forward(LOOK)
    page.evaluate("fetch('/api/photos?k=1')")  # what was asked before it is heard before it
    assert [url.rpartition("?")[2] for url in looked] == ["k=1"]
    expect(page.locator(TILES)).to_have_count(2)
    expect(page.locator("#news")).to_be_empty()
    page.get_by_role("link", name="Sterna, start").click()
    expect(page.locator(TILES)).to_have_count(3)


def test_photographs_that_are_deleted_vanish_from_what_was_found(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    greys(root, count=4)
    save(root / "red.png", "red")
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url + "/?q=red&min=none")
    first_is(page, "red.png")
    page.locator("#query").focus()
    page.locator("#query").hover()
    (root / "red.png").unlink()
    library.index(root)
    for _ in range(20):
        page.clock.fast_forward(LOOK)
        page.wait_for_timeout(100)
        if page.locator(TILES).count() == 4:
            break
    expect(page.locator(TILES)).to_have_count(4)
    expect(page.locator("#status")).to_have_text("4 photographs, best first")


@pytest.mark.parametrize("shown", [True, False])
def test_photographs_that_are_deleted_are_marked_where_somebody_is_looking(
    shown: bool, page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    if not shown:  # a picture that did not come is marked, too
        page.route(
            "**/thumbnail*",
            lambda route: route.abort() if "size=1024" not in route.request.url else route.continue_(),
        )
    root = tmp_path / "photos"
    greys(root, count=4)
    save(root / "red.png", "red")
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    page.clock.install()
    page.goto(serve(tmp_path / "library").url + "/?q=red&min=none")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.get_by_role("dialog", name="red.png")).to_be_visible()
    if shown:
        expect(page.locator(f"{TILES} img").first).to_have_js_property("complete", True)
    (root / "red.png").unlink()
    library.index(root)
    wait_for_look(page, page.locator("#viewer-trouble", has_text="no longer there"))
    expect(page.locator("#viewer-trouble")).to_be_visible()
    expect(page.locator("#viewer-photo")).not_to_have_attribute("src", "")
    expect(page.get_by_role("link", name="Download")).to_be_hidden()
    expect(page.locator("#heat-go")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-trouble")).to_be_hidden()
    expect(page.locator("#heat-go")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-trouble")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(TILES).first.locator(".away")).to_have_text("red.png (no longer there)")
    expect(page.locator(TILES)).to_have_count(5)


def test_one_that_is_found_is_not_counted_as_several(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?name=red.png")
    expect(page.locator("#status")).to_have_text("1 photograph")


def test_nothing_jumps_while_pictures_come(page: Page, service: Service) -> None:
    page.route("**/thumbnail*", lambda route: (time.sleep(0.05), route.continue_()))
    page.add_init_script(
        "window.jumped = 0; new PerformanceObserver((list) => {"
        " for (const one of list.getEntries()) window.jumped += one.value;"
        "}).observe({ type: 'layout-shift', buffered: true })"
    )
    page.goto(f"{service.url}/?q=red&min=none")
    expect(page.locator(f"{TILES} img.there").nth(5)).to_be_attached()
    assert page.evaluate("window.jumped") < 0.02


def test_a_photograph_has_its_shape_before_its_picture_is_there(page: Page, service: Service) -> None:
    page.route("**/thumbnail*", lambda route: None)  # they never come
    page.goto(service.url)
    first_is(page, "blue.png")
    shapes = page.evaluate(
        f"[...document.querySelectorAll('{TILES}')].slice(0, 3).map((tile) => tile.offsetWidth / tile.offsetHeight)"
    )
    assert [round(shape, 1) for shape in shapes] == [2.6, 0.8, 1.3]


def test_of_look_alikes_the_best_alone_is_shown_and_leads_to_the_others(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?q=red&min=none&name=red*")
    expect(page.locator(TILES)).to_have_count(2)
    page.click("#filters-toggle")
    page.check("#filters-form [name=fold]")
    has_query(page, "fold=1")
    expect(page.locator(TILES)).to_have_count(1)
    more = page.locator("#grid .folded")
    expect(more).to_have_count(1)
    expect(more).to_have_attribute("aria-label", "1 more that look like red.png")
    search(page, "maroon")  # the next search is folded, too
    has_query(page, "q=maroon.*fold=1")
    expect(more).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "folded"
    page.keyboard.press("Enter")
    has_query(page, r"like=\d+")
    assert "fold" not in page.url
    expect(page.locator(TILES)).to_have_count(1)
    page.go_back()
    page.get_by_role("button", name="Remove: look-alikes hidden").click()
    expect(page.locator("#grid .folded")).to_have_count(0)
    assert "fold" not in page.url
