"""The folders of the library, on its page: one is added, and one is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from sterna.library import Library
from tests.conftest import draw_photo
from tests.page.conftest import Service
from tests.page.looking import focused, status_says

pytestmark = pytest.mark.browser


def library_page(page: Page, service: Service, *, removable: bool = True, **facts: Any) -> None:
    """Show the page of a library whose status says these things, too."""
    status_says(page, removable=removable, **facts)
    page.goto(f"{service.url}/?view=library")
    expect(page.locator(".counts")).to_be_visible()


def test_where_none_may_be_added_it_is_said_how(page: Page, service: Service, photographs: Path) -> None:
    library_page(page, service, may_add=[])
    folders = page.get_by_role("region", name="Folders")
    expect(folders).to_contain_text("sterna index FOLDER")
    expect(folders).to_contain_text("sterna serve --allow-roots FOLDER")
    expect(folders.get_by_role("listitem")).to_contain_text([str(photographs / "photos")])
    expect(folders.get_by_role("textbox")).to_have_count(0)


def test_a_folder_is_added(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    for name in ["old", "new folder"]:
        (tmp_path / name).mkdir()
        draw_photo(len(name)).save(tmp_path / name / "1.jpg")
    Library.open(tmp_path / "library", model=tiny_model).index(tmp_path / "old")
    service = serve(tmp_path / "library", model=str(tiny_model), allowed=str(tmp_path))
    page.goto(f"{service.url}/?view=library")
    field = page.get_by_label("Add a folder")
    expect(field).to_have_value(str(tmp_path))
    field.fill(str(tmp_path / "nowhere"))
    field.press("Enter")
    expect(page.locator("#folder-said")).to_contain_text("No such folder")
    assert focused(page) == "folder-path"
    field.fill("/")
    field.press("Enter")
    expect(page.locator("#folder-said")).to_contain_text(f"folders are added from {tmp_path} alone")
    field.fill(str(tmp_path / "new folder"))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".said")).to_have_text("Up to date: 1 new.")
    expect(page.get_by_role("button", name="Update new folder")).to_be_visible()
    page.get_by_role("button", name="Update old").click()
    expect(page.locator(".said")).to_have_text("Up to date: nothing had changed.")


def test_a_folder_is_forgotten_after_a_question(
    page: Page, serve: Callable[..., Service], tmp_path: Path, tiny_model: Path
) -> None:
    for seed, name in enumerate(["kept", "gone"]):
        (tmp_path / name).mkdir()
        draw_photo(seed).save(tmp_path / name / f"{name}.jpg")
    library = Library.open(tmp_path / "library", model=tiny_model)
    library.index(tmp_path / "kept", tmp_path / "gone")
    service = serve(tmp_path / "library", model=str(tiny_model), allowed=str(tmp_path))
    page.goto(f"{service.url}/?view=library")
    button = page.get_by_role("button", name="Forget gone…")
    button.click()
    dialog = page.get_by_role("dialog", name="Forget gone?")
    expect(dialog).to_contain_text("No file is deleted")
    assert focused(page) == "forget-keep"
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    assert len(library.status().roots) == 2
    button.click()
    problem = {
        "status": 409,
        "content_type": "application/problem+json",
        "body": '{"type": "urn:sterna:problem:job-running", "detail": "job 1 is running"}',
    }
    page.route("**/api/roots/**", lambda route: route.fulfill(**problem))
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator("#forget-said")).to_have_text("Job 1 is running.")
    page.unroute("**/api/roots/**")
    page.get_by_role("button", name="Forget it").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#status")).to_have_text(
        "gone is forgotten. Its photographs are still where they were."
    )
    expect(page.get_by_role("button", name="Forget gone…")).to_have_count(0)
    assert focused(page) == "main"
    assert [root.path.name for root in library.status().roots] == ["kept"]
    assert (tmp_path / "gone" / "gone.jpg").exists()


def test_a_folder_that_could_not_be_listed_is_named_after_a_run(page: Page, service: Service) -> None:
    counts = {"new": 1, "changed": 0, "moved": 0, "removed": 0, "failed": 2, "offline": 0}
    report = {**counts, "unlisted": ["/photos/closed", "/photos/shut"]}
    job = {"id": 1, "state": "done", "roots": [], "progress": {}, "report": report, "error": None}
    page.route("**/api/jobs", lambda route: route.fulfill(json={"jobs": [job]}))
    library_page(page, service)
    expect(page.locator(".said")).to_have_text(
        "Up to date: 1 new, 2 failed. "
        "Could not be listed, so nothing in it was looked at: /photos/closed and 1 more."
    )


def test_an_answer_about_one_folder_closes_no_question_about_another(page: Page, service: Service) -> None:
    roots = [
        {"id": place, "name": name, "path": f"/photos/{name} & more", "photos": 1, "online": True}
        for place, name in enumerate(["first", "second"], start=1)
    ]
    library_page(page, service, roots=roots)
    held: list[Route] = []
    page.route("**/api/roots/**", lambda route: held.append(route))  # noqa: PLW0108 (playwright marks it)
    page.get_by_role("button", name="Forget first…").click()
    page.get_by_role("button", name="Forget it").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Forget second…").click()
    question = page.get_by_role("dialog", name="Forget second?")
    expect(question).to_be_visible()
    (asked,) = held
    assert asked.request.url.endswith("/api/roots/1?path=%2Fphotos%2Ffirst%20%26%20more")
    asked.fulfill(
        status=409,
        content_type="application/problem+json",
        body='{"type": "urn:sterna:problem:job-running", "detail": "job 1 is running"}',
    )
    expect(page.locator(".said")).to_have_text("first: Job 1 is running.")
    expect(question).to_be_visible()
    expect(page.locator("#forget-said")).to_be_empty()
    expect(page.locator("#forget-go")).to_be_enabled()


def test_a_folder_that_is_not_there_or_may_not_be_forgotten(page: Page, service: Service) -> None:
    root = {
        "id": 1,
        "name": "Drive",
        "path": "/media/Drive",
        "photos": 1,
        "online": False,
        "removable": False,
    }
    library_page(page, service, removable=False, roots=[root])
    folders = page.get_by_role("region", name="Folders")
    expect(folders).to_contain_text("1 photograph, not there now")
    expect(folders.get_by_role("button", name="Update Drive")).to_be_visible()
    expect(folders.get_by_role("button", name="Forget")).to_have_count(0)


def test_an_empty_library_leads_to_its_folders(
    page: Page, serve: Callable[..., Service], tmp_path: Path
) -> None:
    page.goto(serve(tmp_path / "library").url)
    page.get_by_role("button", name="Add a folder").click()
    expect(page.get_by_role("region", name="Folders")).to_contain_text("None yet")
    expect(page.get_by_role("button", name="Bring up to date")).to_have_count(0)
    assert focused(page) == "main"
