"""Figures: complete in themselves, and safe whatever a photograph is called."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from sterna import figures

HOSTILE = (
    b'"><script>alert(1)</script>'.replace(b"/", b"\\"),
    b"two\nlines\x1b[31m",
    b"not utf-8 \xff\xfe",
    "gull 👨‍👩‍👧 かもめ".encode(),
    b"' onerror='alert(1)",
    b"&lt;b&gt; \xe2\x80\xae",
)


@dataclass(frozen=True)
class Answer:
    rank: int
    score: float
    path: Path
    captions: tuple[str, ...] = ()
    alignment: float | None = None
    also: tuple[Path, ...] = ()


class Page(HTMLParser):
    """Collects what a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def answers(photos: Path) -> list[Answer]:
    return [
        Answer(rank, 0.5 - rank / 100, path)
        for rank, path in enumerate(sorted(photos.glob("*.jpg")), start=1)
    ]


@pytest.fixture
def hostile(photos: Path, tmp_path: Path) -> list[Answer]:
    found = []
    source = (photos / "photo-00.jpg").read_bytes()
    for rank, name in enumerate(HOSTILE, start=1):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".jpg"))
        path.write_bytes(source)
        found.append(Answer(rank, 0.1, path, captions=("a </figcaption><script>caption",)))
    return found


def test_re_ranked_answers_bear_what_they_are_ordered_by(photos: Path) -> None:
    found = [
        Answer(1, 0.008, photos / "photo-00.jpg", alignment=7.25),
        Answer(2, 0.015, photos / "photo-01.jpg"),
    ]
    words = Page(figures.results_html([figures.Section("a dog", answers=found)], title="t")).words
    assert "alignment 7.250, score 0.008" in words
    assert "0.015" in words


def test_a_right_answer_comes_first_and_a_score_is_told_as_it_is_asked_for(photos: Path) -> None:
    found = [Answer(1, 0.5, photos / "photo-00.jpg")]
    right = Answer(1234, 0.25, photos / "photo-01.jpg")
    lost = Answer(0, math.nan, photos / "photo-02.jpg")
    sections = [
        figures.Section("a dog", answers=found, right=right, measure="{:.0%} of all"),
        figures.Section("a cat", answers=[], right=lost),
    ]
    page = Page(figures.results_html(sections, title="t"))
    words = [word for word in page.words if word.strip()]
    assert [word for word in words if "of all" in word] == ["25% of all", "50% of all"]
    assert "1,234" in words
    assert "not found" in words
    assert "nan" not in " ".join(words)
    kinds = [attributes.get("class") for attributes in page.all("figure")]
    assert kinds == ["query", None, "query"]
    alone = figures.results_png([figures.Section("a dog", answers=found, right=right)])
    assert alone.size == figures.results_png([figures.Section("a dog", answers=[*found, right])]).size


def test_a_table_stands_on_a_page_whatever_is_in_it() -> None:
    table = figures.Table("Kinds <b>", ["captions with", "@1"], [["dogs & <i>", "12.5"], ["cats", "7.0"]])
    page = Page(figures.results_html([table], title="t"))
    assert {tag for tag, _ in page.tags} & {"b", "i"} == set()
    words = [word for word in page.words if word.strip()]
    assert words[-7:] == ["Kinds <b>", "captions with", "@1", "dogs & <i>", "12.5", "cats", "7.0"]
    assert [attributes["scope"] for attributes in page.all("th")] == ["col", "col", "row", "row"]


def test_words_below_a_photograph_stay_below_it(tmp_path: Path) -> None:
    found = []
    for rank in range(1, 7):
        path = tmp_path / f"{rank}.png"
        Image.new("RGB", (60, 120 if rank % 2 else 60), "red").save(path)
        found.append(Answer(rank, 0.0123, path, alignment=1234.5678))
    image = figures.results_png([figures.Section("q", answers=found)])
    red = [image.getpixel((x, 90)) == (255, 0, 0) for x in range(image.width)]
    gaps = [x for x in range(32, max(x for x, one in enumerate(red) if one)) if not red[x]]
    assert len(gaps) > 40
    strip = range(image.height - 120, image.height)
    assert all(image.getpixel((x, y)) == image.getpixel((0, 0)) for x in gaps for y in strip)


def test_a_page_holds_every_picture_inside_itself_with_its_score_and_path(
    photos: Path, tmp_path: Path
) -> None:
    found = answers(photos)
    figures.write_html(tmp_path / "page.html", [figures.Section("two dogs", answers=found)], title="Answers")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    pictures = page.all("img")
    assert len(pictures) == len(found)
    for picture in pictures:
        kind, _, data = (picture["src"] or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (int(picture["width"] or 0), int(picture["height"] or 0))
        assert picture["alt"]
    for answer in found:
        assert f"{answer.score:.3f}" in page.words
        assert answer.path.name in page.words
    assert "two dogs" in page.words


def test_a_page_forbids_scripts_and_the_network_and_allows_its_own_style(photos: Path) -> None:
    page = Page(figures.results_html([figures.Section("a", answers=answers(photos))], title="t"))
    (policy,) = [meta["content"] or "" for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


def test_hostile_names_neither_break_the_page_nor_the_lines(hostile: list[Answer]) -> None:
    section = figures.Section("<script>\nq\udcff", answers=hostile, query_image=hostile[0].path)
    text = figures.results_html([section], title="</title><script>")
    text.encode("utf-8")  # lone surrogates would fail here
    page = Page(text)
    assert not page.all("script")
    assert len(page.all("figure")) == len(hostile) + 1
    assert len(page.all("a")) == len(hostile)
    assert {tag for tag, _ in page.tags} <= {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "main", "section", "h2", "ul", "li",
        "figure", "img", "figcaption", "span", "a",
    }  # fmt: skip
    assert "two\\nlines\\x1b[31m.jpg" in page.words
    assert "not utf-8 \\xff\\xfe.jpg" in page.words
    assert "gull 👨‍👩‍👧 かもめ.jpg" in page.words
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_links_lead_to_the_files_whatever_they_are_called(hostile: list[Answer]) -> None:
    from urllib.parse import unquote_to_bytes

    page = Page(figures.results_html([figures.Section("q", answers=hostile)], title="t"))
    links = [unquote_to_bytes((link["href"] or "").removeprefix("file://")) for link in page.all("a")]
    assert links == [os.fsencode(answer.path) for answer in hostile]


def test_a_photograph_that_cannot_be_read_is_replaced_by_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photograph")
    found = [Answer(1, 0.3, tmp_path / "broken.jpg"), Answer(2, 0.2, tmp_path / "gone.jpg")]
    page = Page(figures.results_html([figures.Section("q", answers=found)], title="t"))
    assert not page.all("img")
    assert len([attributes for attributes in page.all("div") if attributes.get("class") == "gone"]) == 2
    assert figures.results_png([figures.Section("q", answers=found)]).mode == "RGB"


def test_no_answer_is_said_in_words() -> None:
    assert "Nothing found." in figures.results_html([figures.Section("q", answers=[])], title="t")
    assert figures.results_png([figures.Section("q", answers=[])]).width == 1200


def test_a_png_shows_the_photographs_in_rows_that_fit_its_width(photos: Path, tmp_path: Path) -> None:
    figures.write_png(tmp_path / "page.png", [figures.Section("two dogs", answers=answers(photos))])
    with Image.open(tmp_path / "page.png") as image:
        assert (image.format, image.mode, image.width) == ("PNG", "RGB", 1200)
        ten_in_rows = image.height
        margin = image.crop((image.width - 20, 0, image.width, image.height))
        assert margin.getcolors() == [(20 * image.height, (255, 255, 255))]
    one = figures.results_png([figures.Section("two dogs", answers=answers(photos)[:1])])
    assert ten_in_rows > one.height


def test_a_png_of_hostile_names_and_extreme_shapes_is_drawn(hostile: list[Answer], tmp_path: Path) -> None:
    for number, size in enumerate([(2000, 20), (20, 2000), (1, 1)]):
        Image.new("RGB", size, "red").save(tmp_path / f"shape-{number}.png")
    found = hostile + [
        Answer(7 + number, 0.0, tmp_path / f"shape-{number}.png", captions=("x" * 500,))
        for number in range(3)
    ]
    image = figures.results_png([figures.Section("long " * 100, answers=found, query_image=found[0].path)])
    assert image.width == 1200
    assert figures.results_html([figures.Section("q", answers=found)], title="t").count("<img") == len(found)
