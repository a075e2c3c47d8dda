"""What the page says when nothing is there, the server is gone, or a token is wanted; and indexing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from sterna.library import Library
from tests.conftest import draw_photo
from tests.library.fake import ColourEncoder, save
from tests.page.conftest import Service
from tests.page.looking import TILES, first_is, focused, search

pytestmark = pytest.mark.browser

TOKEN = "a-token-of-many-signs"


def test_an_empty_library_says_how_to_fill_it(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    service = serve(tmp_path / "library")
    page.goto(service.url)
    expect(page.locator("#note h2")).to_have_text("No photographs yet")
    expect(page.locator("#note")).to_contain_text("sterna index")
    search(page, "red")
    expect(page.locator("#note h2")).to_have_text("No photographs yet")
    save(tmp_path / "photos" / "red.png", "red")
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    page.get_by_role("button", name="Look again").click()
    first_is(page, "red.png")


def test_the_page_goes_on_when_the_server_is_back(
    page: Page, serve: Callable[..., Service], photographs: Path
) -> None:
    service = serve(photographs / "library")
    page.goto(service.url)
    first_is(page, "blue.png")
    service.stop()
    search(page, "red")
    told = page.get_by_role("alert").filter(has_text="Sterna does not answer")
    expect(told).to_be_visible()
    expect(page.locator("#query")).to_have_value("red")
    service.restart()
    first_is(page, "a red wall")
    expect(page.locator("#gone")).to_have_text("Sterna is back.")


def test_the_page_notices_by_itself_that_the_server_is_gone_and_back(
    page: Page, serve: Callable[..., Service], photographs: Path
) -> None:
    service = serve(photographs / "library")
    page.goto(f"{service.url}/?q=red&min=none")
    first_is(page, "a red wall")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer")).to_be_visible()
    service.stop()
    told = page.locator("#gone")
    expect(told).to_contain_text("Sterna does not answer")
    expect(told).to_be_visible()
    assert page.evaluate("document.getElementById('gone').matches(':popover-open')")  # over the dialog
    page.keyboard.press("Escape")
    first_is(page, "a red wall")  # what is shown stays
    service.restart()
    expect(told).to_have_text("Sterna is back.")
    expect(told).to_be_hidden()


def test_a_page_that_nobody_sees_asks_nothing(page: Page, service: Service) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.url.endswith("/api/generation") else None)
    page.clock.install()
    page.goto(service.url)
    first_is(page, "blue.png")
    page.clock.fast_forward(6000)
    page.wait_for_timeout(300)
    assert asked
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.clock.fast_forward(6000)
    page.wait_for_timeout(300)
    before = len(asked)
    page.clock.fast_forward(60_000)
    page.wait_for_timeout(300)
    assert len(asked) == before
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert len(asked) == before + 1


def test_a_token_is_asked_for_and_remembered(
    page: Page, serve: Callable[..., Service], photographs: Path
) -> None:
    service = serve(photographs / "library", token=TOKEN)
    page.goto(f"{service.url}/?q=red")
    dialog = page.get_by_role("dialog", name="Who goes there?")
    expect(dialog).to_be_visible()
    assert focused(page) == "token"
    for _ in range(3):  # a browser lets nobody forbid it every time
        page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        assert focused(page) == "token"
    page.get_by_label("Token").fill("a-wrong-token-of-signs")
    page.keyboard.press("Enter")
    expect(page.locator("#login-said")).to_have_text("This is not the token.")
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    first_is(page, "a red wall")
    expect(page.locator(f"{TILES} img.there").first).to_be_attached()
    page.reload()
    first_is(page, "a red wall")


def test_a_photograph_whose_file_is_gone_is_told(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    for name in ("red", "blue"):
        save(tmp_path / "photos" / f"{name}.png", name)
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    (tmp_path / "photos" / "red.png").unlink()
    service = serve(tmp_path / "library")
    page.goto(f"{service.url}/?q=red&min=none")
    expect(page.locator(".away")).to_have_text("red.png (cannot be shown now)")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer-trouble")).to_contain_text("no longer there")


def test_the_library_is_brought_up_to_date_and_followed(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    for number in range(4):
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        draw_photo(number).save(folder / f"{number}.jpg")
    Library.open(tmp_path / "library", model=tiny_model).index(tmp_path / "photos")
    draw_photo(9).save(tmp_path / "photos" / "new.jpg")
    (tmp_path / "photos" / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    service = serve(tmp_path / "library", model=str(tiny_model))
    page.goto(service.url)
    page.get_by_role("link", name="Library").click()
    expect(page.locator(".counts")).to_contain_text("4 photographs")
    expect(page.locator("#library")).to_contain_text(str(tmp_path / "photos"))
    expect(page.locator("#library")).to_contain_text("Everything could be read")
    page.get_by_role("button", name="Bring up to date").click()
    expect(page.locator(".said")).to_have_text("Up to date: 1 new, 1 failed.")
    expect(page.locator(".counts")).to_contain_text("5 photographs")
    expect(page.locator("#library")).to_contain_text("damaged.jpg")
    page.get_by_role("link", name="Sterna, start").click()
    expect(page.locator(TILES)).to_have_count(5)


def test_who_looks_at_photographs_is_left_in_peace_when_a_job_ends(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        draw_photo(number).save(folder / f"{number}.jpg")
    Library.open(tmp_path / "library", model=tiny_model).index(folder)
    service = serve(tmp_path / "library", model=str(tiny_model))
    page.goto(f"{service.url}/?view=duplicates&likeness=1")
    expect(page.locator("#status")).to_have_text("No two photographs look the same.")
    page.get_by_role("link", name="Library").click()
    expect(page.locator(".counts")).to_be_visible()
    (folder / "copy.jpg").write_bytes((folder / "0.jpg").read_bytes())
    draw_photo(9).save(folder / "new.jpg")
    page.get_by_role("button", name="Bring up to date").click()
    expect(page.locator(".said")).not_to_be_empty()
    page.get_by_role("link", name="Sterna, start").click()
    expect(page.locator(TILES).first).to_be_visible()
    page.evaluate(f"document.querySelector('{TILES}').dataset.same = 'yes'")
    expect(page.locator("#library .said")).to_contain_text("Up to date")
    page.wait_for_timeout(300)
    assert page.evaluate(f"document.querySelector('{TILES}').dataset.same") == "yes"
    page.go_back()
    expect(page.locator(".counts")).to_contain_text("photographs")
    page.go_back()
    expect(page.locator(".group")).to_have_count(1)
    expect(page.locator("#status")).to_have_text("1 group")


def test_what_comes_late_is_not_told_of_another_view(page: Page, service: Service) -> None:
    held: list[Route] = []
    page.route("**/api/duplicates*", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.route("**/api/status", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.goto(f"{service.url}/?view=duplicates")
    expect(page.locator("#status")).to_have_text("Comparing photographs…")
    page.get_by_role("link", name="Library").click()
    expect(page.locator("#status")).to_have_text("Counting…")
    page.get_by_role("link", name="Sterna, start").click()
    expect(page.locator("#status")).to_have_text("10 photographs, newest first")
    assert len(held) == 2
    held[0].continue_()
    held[1].fulfill(status=500, body="no")
    page.wait_for_timeout(500)
    expect(page.locator("#status")).to_have_text("10 photographs, newest first")
    expect(page.locator("#note")).to_be_hidden()
    page.unroute_all()
    page.go_back()
    page.go_back()
    expect(page.locator("#status")).to_have_text(re.compile("group|No two"))


def test_more_that_could_not_be_read_may_fail_to_come(page: Page, service: Service) -> None:
    def answer(route: Route) -> None:
        if "offset" in route.request.url:
            route.fulfill(status=500, body="no")
        else:
            route.fulfill(json={"total": 2, "failures": [{"path": "/a", "reason": "it is damaged"}]})

    page.route("**/api/failures*", answer)
    page.goto(f"{service.url}/?view=library")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#note h2")).to_have_text("That did not work")


def test_what_a_job_may_not_do_is_told(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/?view=library")
    page.get_by_role("button", name="Bring up to date").click()
    expect(page.locator(".said")).to_contain_text("given as a Python object")


def test_names_and_captions_are_never_markup(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    evil = '<img src=x onerror="document.title=1">'
    save(tmp_path / "photos" / "<b>bold<b>.png", "red")
    (tmp_path / "photos" / "<b>bold<b>.txt").write_text(f"{evil}\n", encoding="utf-8")
    Library.open(tmp_path / "library", model=ColourEncoder()).index(tmp_path / "photos")
    service = serve(tmp_path / "library")
    page.goto(f"{service.url}/?plus={evil}&folder=photos&min=none")
    page.locator(f"{TILES} .photo").first.click()
    expect(page.locator("#viewer-captions")).to_have_text(evil)
    expect(page.locator("#viewer-name")).to_have_text("<b>bold<b>.png")
    expect(page.locator(".chip .words").first).to_have_text(evil)
    assert page.locator("b").count() == 0
