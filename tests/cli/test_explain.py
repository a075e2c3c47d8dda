"""`sterna explain`: words with their shares, a picture, a page, and clear refusals."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sterna as package
from tests.cli.conftest import Sterna


def ask(photos: Path, model: Path, *more: object) -> tuple[object, ...]:
    return ("explain", photos / "photo-00.jpg", "a red dog", "--grid", "4", "--model", model, *more)


def test_words_are_printed_with_their_shares(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    done = sterna(*ask(photos, tiny_model))
    assert (done.code, done.err) == (0, "")
    first, names, *rows = done.out.splitlines()
    found = package.explain(photos / "photo-00.jpg", "a red dog", model=tiny_model, grid=4)
    assert first == f"score {found.score:.3f}"
    assert names.split() == ["word", "share", "alone", "where"]
    assert [row.split()[:3] for row in rows] == [
        [word.text, f"{word.share:.0%}", f"{word.score:.3f}"] for word in found.words
    ]


def test_json_has_all_that_python_gives(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    told = sterna(*ask(photos, tiny_model, "--format", "json")).json
    found = package.explain(photos / "photo-00.jpg", "a red dog", model=tiny_model, grid=4)
    assert told == {**found.as_json(), "photo": str(photos / "photo-00.jpg")}
    assert np.shape(told["boxes"]) == (4, 4, 4)
    assert np.shape(told["words"][1]["cells"]) == (4, 4)


def test_a_picture_and_a_page_are_written(
    sterna: Sterna, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    png, html = tmp_path / "why.png", tmp_path / "new" / "why.html"
    done = sterna(*ask(photos, tiny_model, "--png", png, "--html", html, "--fill", "mean"))
    assert (done.code, done.err) == (0, f"sterna: wrote {html}\nsterna: wrote {png}\n")
    assert Image.open(png).width == 1200
    assert html.read_text(encoding="utf-8").count('type="radio"') == 4


def read_all(terminal: int, parts: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        while part := os.read(terminal, 1 << 16):
            parts.append(part)


def test_a_terminal_shows_how_far_it_is_from_the_start(photos: Path, tiny_model: Path) -> None:
    pty = pytest.importorskip("pty")
    shown, terminal = pty.openpty()
    command = [sys.executable, "-m", "sterna", *map(str, ask(photos, tiny_model))]
    parts: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(shown, parts), daemon=True)
    reader.start()  # a terminal that nobody reads takes so much, and then whoever writes waits
    try:
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal, check=True, timeout=120)
    finally:
        os.close(terminal)
        reader.join(10)
        os.close(shown)
    drawn = b"".join(parts).decode()
    places = [drawn.index(what) for what in ("opening the model", "looking 0 of ", "looking 16 of 16 times")]
    assert places == sorted(places)


def test_a_model_that_aligns_says_alignment(sterna: Sterna, photos: Path, aligned_model: Path) -> None:
    done = sterna(*ask(photos, aligned_model))
    assert done.out.startswith("alignment ")
    assert sterna(*ask(photos, aligned_model, "-f", "json")).json["method"] == "alignment"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("gone.jpg", "a dog"), 1, "gone.jpg: no such file"),
        (("photo.jpg", ""), 2, "'': has no word; write what the photograph may show"),
        (("photo.jpg", "a dog", "--grid", "1"), 2, "--grid 1: a whole number from 2 to 20 is needed"),
        (("photo.jpg", "a dog", "--png", "."), 2, "--png .: a folder; name a file in it"),
        (("photo.jpg", "a dog", "--png", "x", "--html", "x"), 2, "--html and --png: both name x"),
        (("photo.jpg", "a dog", "--model", "nowhere"), 1, "nowhere: no model of any known kind"),
        (("photo.jpg",), 2, "missing argument 'TEXT'"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_sentence(
    sterna: Sterna,
    photos: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    (photos / "photo-00.jpg").rename(photos / "photo.jpg")
    monkeypatch.chdir(photos)
    more = () if "--model" in arguments else ("--model", tiny_model)
    done = sterna("explain", *arguments, *more)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
