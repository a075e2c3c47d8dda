"""Maps over photographs: the colours lie where the numbers say, and a page needs nothing but itself."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna import figures
from sterna.errors import DiskError, PhotoError
from sterna.figures import Heat
from tests.test_figures import Page

GREY = Image.new("RGB", (400, 300), (128, 128, 128))
CORNERS = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, -1]], dtype=np.float32)


def is_orange(pixel: tuple[int, ...]) -> bool:
    return pixel[0] > pixel[2] + 60


def is_blue(pixel: tuple[int, ...]) -> bool:
    return pixel[2] > pixel[0] + 60


def test_a_picture_is_orange_where_a_map_is_positive_and_blue_where_it_is_negative() -> None:
    picture = figures.heat_png(GREY, [Heat("a dog", CORNERS, "score 0.5"), Heat("dog", -CORNERS)])
    assert (picture.mode, picture.width) == ("RGB", 1200)
    width, height = 800, 600  # the photograph, as large as fits
    top = 100  # under a title of one line and a note
    assert is_orange(picture.getpixel((32 + 40, top + 40)))  # type: ignore[arg-type]
    assert is_blue(picture.getpixel((32 + width - 40, top + height - 40)))  # type: ignore[arg-type]
    below = picture.crop((32, top + height + 60, 32 + 272, picture.height))
    small = below.crop((0, 0, 272, 204))
    assert is_blue(small.getpixel((12, 20)))  # type: ignore[arg-type]
    assert is_orange(small.getpixel((260, 190)))  # type: ignore[arg-type]


def test_a_grid_lies_on_its_area_alone() -> None:
    area = (0.25, 0, 0.75, 1)
    page = figures.heat_png(GREY, [Heat("all", np.ones((2, 2), np.float32))], area=area)
    row = [page.getpixel((32 + x, 400)) for x in (100, 400, 700)]
    assert [is_orange(pixel) for pixel in row] == [False, True, False]  # type: ignore[arg-type]
    beyond = figures.heat_png(GREY, [Heat("all", CORNERS)], area=(0, -1, 1, 2))
    assert not any(is_orange(beyond.getpixel((40, y))) for y in range(100, 700))  # type: ignore[arg-type]


def test_a_map_of_nothing_leaves_the_photograph() -> None:
    picture = figures.heat_png(GREY, [Heat("nothing", np.zeros((3, 3), np.float32))])
    assert picture.getpixel((432, 400)) == (128, 128, 128)


def test_a_page_has_a_button_and_a_map_for_the_sentence_and_for_each_word() -> None:
    maps = [
        Heat("a <b>dog</b>", CORNERS, "score 0.5"),
        Heat("a", CORNERS, "share 1%", span=(0, 1)),
        Heat("dog", CORNERS, span=(5, 8)),
    ]
    text = figures.heat_html(GREY, maps, title="why & how")
    page = Page(text)
    buttons = page.all("input")
    assert [button["id"] for button in buttons] == ["w0", "w1", "w2"]
    assert ["checked" in button for button in buttons] == [True, False, False]
    assert [button["aria-label"] for button in buttons][:2] == [
        "The whole sentence: score 0.5",
        "a: share 1%",
    ]
    assert [label["for"] for label in page.all("label")] == ["w1", "w2", "w0"]
    assert len(page.all("img")) == 4
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))  # type: ignore[union-attr]
    assert "a <b>dog</b>" in "".join(page.words)
    assert not page.all("b")
    assert not page.all("script")
    assert all("style" not in attributes for _, attributes in page.tags)
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    for place in range(3):
        assert f".all:has(#w{place}:checked)" in text
        assert f".all:has(label[for=w{place}]:hover) .m{place}" in text


def test_long_and_hostile_sentences_fit() -> None:
    words = "\x1b[31m" + "word " * 300
    picture = figures.heat_png(GREY, [Heat(words, CORNERS, words), *[Heat(words, CORNERS, words)] * 9])
    assert picture.width == 1200
    assert "\x1b" not in figures.heat_html(GREY, [Heat(words, CORNERS)], title=words)


@pytest.mark.parametrize("size", [(1, 1), (2000, 2), (2, 900)])
def test_the_thinnest_photograph_is_drawn(size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size)
    assert figures.heat_png(photo, [Heat("a", CORNERS), Heat("b", CORNERS)]).width == 1200
    assert "data:image/png" in figures.heat_html(photo, [Heat("a", CORNERS)], title="t")


def test_pictures_and_pages_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    maps = [Heat("a", CORNERS)]
    figures.write_heat_png(tmp_path / "a.png", GREY, maps)
    assert Image.open(tmp_path / "a.png").width == 1200
    figures.write_heat_html(tmp_path / "a.html", GREY, maps, title="t")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == figures.heat_html(GREY, maps, title="t")
    with pytest.raises(PhotoError):
        figures.write_heat_png(tmp_path / "b.png", tmp_path / "gone.jpg", maps)
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        figures.write_heat_html(tmp_path / "file" / "b.html", GREY, maps, title="t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.png", "file"]
