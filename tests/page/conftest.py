"""A browser, a service in a process of its own, and a library of small drawn photographs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sterna.library import Library
from tests.library.fake import ColourEncoder, save

pytest.importorskip("fastapi")
pytest.importorskip("playwright", reason="playwright is not installed: no browser is driven")

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TESTS = Path(__file__).resolve().parents[2]
PATIENCE = 20_000  # milliseconds that anything on the page may take
expect.set_options(timeout=PATIENCE)


@dataclass
class Service:
    """A service in a process; `restart` starts it again where it was."""

    command: list[str]
    process: subprocess.Popen[str]
    url: str

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) is not None

    def restart(self) -> None:
        port = self.url.rpartition(":")[2]
        again = start([*self.command[:4], port, *self.command[5:]])
        self.process = again.process


def start(command: list[str]) -> Service:
    process = subprocess.Popen(
        command,
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, f"the service did not start: {command}"
    return Service(command, process, url)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Service]]:
    """Start a service of a library folder."""
    started: list[Service] = []

    def begin(folder: Path, *, model: str = "colours", token: str = "", allowed: str = "") -> Service:
        service = start([sys.executable, "-m", "tests.page.serve", str(folder), "0", model, token, allowed])
        started.append(service)
        return service

    yield begin
    for service in started:
        service.process.kill()
        service.process.wait(30)


def greys(root: Path, *, count: int) -> None:
    for number in range(count):
        grey = 70 + 2 * number
        save(root / "greys" / f"grey-{number:02}.png", (grey, grey, (7 * number) % 256), size=(64, 48))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos` with red.png, trips/green.png and trips/sea/blue.png, a near-double of red, and 6 greys; `library`."""
    folder = tmp_path_factory.mktemp("page")
    root = folder / "photos"
    wall = Image.new("RGB", (640, 480), "red")
    wall.paste("black", (480, 360, 640, 480))
    root.mkdir()
    wall.save(root / "red.png")
    (root / "red.txt").write_text("a red wall\n", encoding="utf-8")
    wall.paste("maroon", (0, 0, 160, 120))
    wall.resize((320, 240)).save(root / "red-small.png")
    save(root / "trips" / "green.png", "lime", size=(480, 640))
    save(root / "trips" / "sea" / "blue.png", "blue", size=(900, 300))
    greys(root, count=6)
    (root / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    for place, name in enumerate(["trips/sea/blue.png", "trips/green.png", "red.png"]):
        seconds = datetime(2030, 1, 1, 12).timestamp() - place * 86400
        os.utime(root / name, (seconds, seconds))
    Library.open(folder / "library", model=ColourEncoder()).index(root)
    return folder


@pytest.fixture(scope="session")
def service(serve: Callable[..., Service], photographs: Path) -> Service:
    return serve(photographs / "library")


# of a module, not of the session: while it is there, its event loop runs in this thread, and others' tests
# of this process could start none
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not there: the page is not tried in a browser")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(
        viewport={"width": 1200, "height": 800}, locale="en-GB", reduced_motion="reduce"
    )
    opened.set_default_timeout(PATIENCE)
    yield opened
    for one in opened.pages:
        one.unroute_all(behavior="ignoreErrors")  # what is still answered for a page is no fault of the next
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing goes wrong unseen: no script fails, and nothing is kept out by the policy."""
    faults: list[str] = []
    page = context.new_page()
    watch(page, faults)
    yield page
    assert not faults


def watch(page: Page, faults: list[str]) -> None:
    def heard(message: Any) -> None:
        # what a server refuses, or its absence, is told on the page
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: faults.append(str(error)))
