"""`sterna library`: check, backup, restore, duplicates, forget."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Sterna
from tests.conftest import draw_photo


def test_check_says_that_everything_is_well(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    outcome = sterna("library", "check")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"library {tmp_path / 'library'}: everything is as it was written\n"
    answer = sterna("library", "check", "--format", "json").json
    assert answer == {"schema": 1, "library": str(tmp_path / "library"), "problems": []}


def test_check_gives_1_where_something_is_wrong(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    (segment,) = (tmp_path / "library" / "vectors").rglob("*.f16")
    segment.write_bytes(segment.read_bytes()[:100])
    outcome = sterna("library", "check")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"sterna: {segment}: the file is cut short")
    assert "run `sterna index` to make its vectors anew" in outcome.err
    json = sterna("library", "check", "--format", "json")
    assert json.code == 1
    assert len(json.json["problems"]) == 1


def test_check_of_no_library_is_not_well(sterna: Sterna, tmp_path: Path) -> None:
    outcome = sterna("library", "check", "--library", tmp_path / "typo")
    assert outcome.code == 1
    assert "nothing is indexed yet" in outcome.err


def test_a_library_is_backed_up_and_restored(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    made = sterna("library", "backup", tmp_path / "backup", "--format", "json").json
    assert (made["schema"], made["path"], made["photos"]) == (1, str(tmp_path / "backup"), 12)
    again = sterna("library", "backup", tmp_path / "backup")
    assert (again.code, again.out) == (1, "")
    assert "--overwrite" in again.err
    more = sterna("library", "backup", tmp_path / "backup", "--overwrite")
    assert more.out.startswith("12 photographs, ")
    restored = sterna("library", "restore", tmp_path / "backup", "--library", tmp_path / "new")
    assert restored.out == f"library {tmp_path / 'new'}: 12 photographs can be found\n"
    assert sterna("library", "restore", tmp_path / "backup").code == 1
    answer = sterna("library", "restore", tmp_path / "backup", "--overwrite", "--format", "json").json
    assert answer == {
        "schema": 1, "library": str(tmp_path / "library"), "indexed": 12, "offline": [],
    }  # fmt: skip
    indexed.rename(tmp_path / "unplugged")
    away = sterna("library", "restore", tmp_path / "backup", "--overwrite")
    assert away.err == f"sterna: not there now: {indexed}\n"


@pytest.fixture
def copied(sterna: Sterna, photos: Path, tiny_model: Path) -> Path:
    """Photographs, one of them small and another twice."""
    draw_photo(3).resize((160, 120)).save(photos / "small.jpg", quality=90)
    (photos / "again.jpg").write_bytes((photos / "photo-05.jpg").read_bytes())
    assert sterna("index", photos, "--model", tiny_model).code == 0
    return photos


def test_duplicates_are_listed_best_first(sterna: Sterna, copied: Path) -> None:
    outcome = sterna("library", "duplicates", "--min-score", "0.999")
    assert (outcome.code, outcome.err) == (0, "")
    title, best, other, count = outcome.out.splitlines()
    assert title.split() == ["group", "score", "pixels", "taken", "at", "path"]
    assert best.split() == ["1", "best", "320x240", str(copied / "photo-03.jpg")]
    assert other.split()[2:] == ["160x120", str(copied / "small.jpg")]
    assert count == "groups: 1; files beside the best of them: 1"


def test_equal_files_are_listed_where_asked(sterna: Sterna, copied: Path) -> None:
    answer = sterna("library", "duplicates", "--min-score", "0.999", "--copies", "--format", "json").json
    assert (answer["schema"], answer["min_score"]) == (1, 0.999)
    first, second = answer["groups"]
    assert [(one["path"], one["also"]) for one in first] == [
        (str(copied / "again.jpg"), [str(copied / "photo-05.jpg")])
    ]
    assert [one["path"] for one in second] == [str(copied / "photo-03.jpg"), str(copied / "small.jpg")]
    assert list(second[0]) == ["score", "path", "also", "width", "height", "taken_at", "online"]
    table = sterna("library", "duplicates", "--min-score", "0.999", "--copies").out.splitlines()
    assert table[2].split() == ["1", "same", str(copied / "photo-05.jpg")]


def test_duplicates_make_a_page_with_pictures(sterna: Sterna, copied: Path, tmp_path: Path) -> None:
    page = tmp_path / "duplicates.html"
    done = sterna("library", "duplicates", "--min-score", "0.999", "--html", page)
    assert (done.code, done.err) == (0, f"sterna: wrote {page}\n")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 2
    assert "1. photo-03.jpg" in text
    assert "same: " not in text
    sterna("library", "duplicates", "--min-score", "0.999", "--copies", "--html", page)
    assert f"same: {copied / 'photo-05.jpg'}<" in page.read_text(encoding="utf-8")


def test_no_duplicates_and_bad_scores_are_a_sentence(sterna: Sterna, indexed: Path) -> None:
    none = sterna("library", "duplicates", "--min-score", "1")
    assert (none.code, none.out, none.err) == (0, "", "sterna: no photographs are as like as 1\n")
    assert sterna("library", "duplicates", "--min-score", "7").code == 2


def test_forget_says_what_went(sterna: Sterna, indexed: Path) -> None:
    outcome = sterna("library", "forget", indexed / "trip")
    assert outcome.code == 2
    assert f"a part of {indexed}" in outcome.err
    outcome = sterna("library", "forget", indexed, "--yes")
    assert outcome.out == (
        f"{indexed} is forgotten, and with it 12 photographs (12 files); the files are untouched\n"
    )
    assert sterna("status", "--format", "json").json["roots"] == []
    assert len(list(indexed.rglob("*.jpg"))) == 12


@pytest.mark.parametrize(("answer", "left"), [("n\n", 12), ("\n", 12), ("y\n", 0)])
def test_forget_asks_on_a_terminal(
    sterna: Sterna, indexed: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    outcome = sterna("library", "forget", indexed)
    assert "its photographs stay where they are" in outcome.err
    assert outcome.code == (0 if left == 0 else 1)
    assert ("nothing was changed" in outcome.err) == (left > 0)
    assert sterna("status", "--format", "json").json["indexed"] == left


def test_a_name_that_is_no_text_is_shown_escaped(sterna: Sterna, copied: Path) -> None:
    os.rename(copied / "small.jpg", os.fsencode(copied) + b"/sm\xff\n.jpg")  # noqa: PTH104 (bytes)
    sterna("index")
    assert "sm\\xff\\n.jpg" in sterna("library", "duplicates", "--min-score", "0.999").out
