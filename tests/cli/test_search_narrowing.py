"""`sterna search`: filters of shape, size, name and caption, and pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Sterna


@pytest.fixture
def more(sterna: Sterna, indexed: Path) -> Path:
    """The indexed photographs, and a high one that says what it shows."""
    Image.new("RGB", (30, 90), "red").save(indexed / "IMG_high.png")
    (indexed / "IMG_high.txt").write_text("A red door\n", encoding="utf-8")
    assert sterna("index").code == 0
    return indexed


def names(sterna: Sterna, *options: str) -> list[str]:
    outcome = sterna("search", "a dog", "--min-score", "none", "-k", "99", "-f", "paths", *options)
    assert outcome.code == 0, outcome.err
    return [Path(line).name for line in outcome.out.splitlines()]


@pytest.mark.usefixtures("more")
def test_every_filter_narrows(sterna: Sterna) -> None:
    assert len(names(sterna)) == 13
    for options in (
        ("--orientation", "portrait"),
        ("--max-size", "100"),
        ("--name", "img_*"),
        ("--name", "HIGH"),
        ("--caption", "RED DOOR"),
    ):
        assert names(sterna, *options) == ["IMG_high.png"], options
    assert len(names(sterna, "--min-size", "91", "--orientation", "landscape")) == 12


@pytest.mark.usefixtures("more")
def test_pages_follow_each_other(sterna: Sterna) -> None:
    whole = names(sterna)
    pages = [names(sterna, "-k", "5", "--offset", str(start)) for start in (0, 5, 10, 15)]
    assert [name for page in pages for name in page] == whole
    rows = sterna("search", "a dog", "-k", "2", "--offset", "3", "--min-score", "none").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["4", "5"]


@pytest.mark.usefixtures("indexed")
def test_filters_that_mean_nothing_are_refused(sterna: Sterna) -> None:
    for options, words in (
        (("--orientation", "wide"), "wide"),
        (("--min-size", "0"), "a whole number of pixels"),
        (("--name", " "), "a text is needed"),
        (("--offset", "-1"), "--offset"),
    ):
        outcome = sterna("search", "a dog", *options)
        assert outcome.code == 2
        assert words in outcome.err
