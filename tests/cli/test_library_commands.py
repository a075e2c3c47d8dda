"""`sterna index`, `status`, `caption` and `doctor`."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Sterna

COUNTS = ["new", "changed", "moved", "removed", "failed", "offline"]
FOLDERS = ["unlisted", "left_out", "taken_in"]


def test_index_ends_with_counts_as_json(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    first = sterna("index", photos, "--model", tiny_model, "--format", "json")
    assert (first.code, first.err) == (0, "")
    assert list(first.json) == ["schema", *COUNTS, "seconds", *FOLDERS]
    assert (first.json["schema"], first.json["new"], first.json["failed"]) == (1, 12, 0)
    again = sterna("index", "--format", "json").json
    assert [again[name] for name in COUNTS] == [0, 0, 0, 0, 0, 0]
    assert [again[name] for name in FOLDERS] == [[], [], []]


def test_index_ends_with_counts_as_a_table(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    outcome = sterna("index", photos, "--exclude", "trip", "--model", tiny_model)
    names, counts, done = outcome.out.splitlines()
    assert dict(zip(names.split(), counts.split(), strict=True)) == {
        "new": "10", "changed": "0", "moved": "0", "removed": "0", "failed": "0", "offline": "0",
    }  # fmt: skip
    assert done.startswith("done in ")


def test_index_names_the_first_failures_and_where_all_are(
    sterna: Sterna, photos: Path, tiny_model: Path
) -> None:
    for number in range(12):
        (photos / f"broken-{number:02}.jpg").write_bytes(b"no photograph")
    outcome = sterna("index", photos, "--model", tiny_model, "--format", "json")
    assert (outcome.code, outcome.json["failed"]) == (0, 12)
    lines = outcome.err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(f"sterna: {photos / 'broken-00.jpg'}: ")
    assert lines[-1] == "sterna: and 2 more; `sterna status` shows all"


def test_index_names_the_failures_of_its_own_folders_alone(
    sterna: Sterna, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "scans"
    other.mkdir()
    for folder in (photos, other):
        (folder / "broken.jpg").write_bytes(b"no photograph")
    sterna("index", other, "--model", tiny_model)
    outcome = sterna("index", photos)
    assert [line.split(": ")[1] for line in outcome.err.splitlines()] == [str(photos / "broken.jpg")]


def test_index_gives_1_where_a_folder_cannot_be_listed_and_0_for_a_file(
    sterna: Sterna, photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(11):
        (photos / f"{place}.jpg").write_bytes(b"no photograph")
    (photos / "zoo").mkdir()
    assert sterna("index", photos, "--model", tiny_model).code == 0
    plain = os.scandir

    def scandir(path: Any) -> Any:
        if os.fsencode(path).rstrip(b"/") == os.fsencode(photos / "zoo"):
            raise PermissionError(13, "Permission denied")
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    closed = sterna("index", "--format", "json")
    assert (closed.code, closed.json["failed"]) == (1, 12)
    assert closed.json["unlisted"] == [str(photos / "zoo")]
    first, *_, last = closed.err.splitlines()
    assert first == f"sterna: {photos / 'zoo'}: cannot be listed: you have no permission to read it"
    assert last == "sterna: 1 folder could not be listed; what lies there was not looked at"


def test_index_says_which_folders_are_part_of_another_now(
    sterna: Sterna, photos: Path, tiny_model: Path
) -> None:
    (photos / "trips").mkdir()
    (photos / "photo-00.jpg").rename(photos / "trips" / "photo-00.jpg")
    sterna("index", photos / "trips", "--model", tiny_model)
    outcome = sterna("index", photos, "--format", "json")
    assert (outcome.code, outcome.err) == (0, f"sterna: {photos / 'trips'} is now part of {photos}\n")
    assert outcome.json["taken_in"] == [{"path": str(photos / "trips"), "into": str(photos)}]


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="it tells what is a drive")
def test_index_refuses_what_is_the_system_s_own(sterna: Sterna, tiny_model: Path) -> None:
    refused = sterna("index", "/proc/self", "--model", tiny_model)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "sterna: /proc/self: holds no files of a drive but what the system tells of itself; name a folder of "
        "photographs\n"
    )


def test_index_without_folders_in_an_empty_library_says_what_to_do(sterna: Sterna) -> None:
    outcome = sterna("index", "--format", "json")
    assert outcome.code in {1, 2}
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert "did not expect" not in outcome.err


def test_status_is_json_of_the_agreed_shape(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no photograph")
    sterna("index", photos, "--model", tiny_model)
    outcome = sterna("status", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    status = outcome.json
    assert list(status) == ["schema", "roots", "indexed", "stale", "failed", "models", "bytes"]
    assert status["roots"] == [{"path": str(photos), "online": True, "photos": 12}]
    assert (status["indexed"], status["stale"]) == (12, 0)
    assert [failure["path"] for failure in status["failed"]] == [str(photos / "broken.jpg")]
    assert status["failed"][0]["reason"]
    assert len(status["models"]) == 1
    assert status["bytes"] > 0


def test_status_as_a_table_names_folders_models_and_failures(
    sterna: Sterna, photos: Path, tiny_model: Path
) -> None:
    (photos / "bro\nken.jpg").write_bytes(b"no photograph")
    sterna("index", photos, "--model", tiny_model)
    printed = sterna("status").out
    assert "12 photographs can be found\n" in printed
    assert str(photos) in printed
    assert "tiny-0" in printed
    assert "failed (1)" in printed
    assert "bro\\nken.jpg" in printed


def test_one_photograph_is_told_as_one(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    alone = photos.parent / "alone"
    alone.mkdir()
    (photos / "photo-00.jpg").rename(alone / "photo-00.jpg")
    sterna("index", alone, "--model", tiny_model)
    assert "\n1 photograph can be found\n" in sterna("status").out
    assert " 1 photograph found by search, 0 failed" in sterna("doctor", "--model", tiny_model).out
    backup = sterna("library", "backup", photos.parent / "backup")
    assert backup.out.startswith("1 photograph, ")
    gone = sterna("library", "forget", alone, "--yes").out
    assert gone == f"{alone} is forgotten, and with it 1 photograph (1 file); the files are untouched\n"


def test_status_of_a_library_that_is_not_there_makes_none(sterna: Sterna, tmp_path: Path) -> None:
    outcome = sterna("status", "--format", "json")
    assert outcome.code == 0
    assert outcome.json["indexed"] == 0
    there = tmp_path / "library"
    said = sterna("status").out
    assert said == f"library {there}: nothing is indexed there yet; sterna index DIR begins it\n"
    assert not (tmp_path / "library").exists()


def test_caption_chooses_among_the_lines_of_a_file(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a dog\n\n  a cat \nthe beach\n", encoding="utf-8-sig")
    photo = indexed / "photo-00.jpg"
    args = ("caption", photo, "--captions", tmp_path / "captions.txt", "-k", "2")
    answer = sterna(*args, "--format", "json").json
    assert (answer["schema"], answer["photo"], len(answer["captions"])) == (1, str(photo), 2)
    assert [one["rank"] for one in answer["captions"]] == [1, 2]
    assert {one["caption"] for one in answer["captions"]} <= {"a dog", "a cat", "the beach"}
    table = sterna(*args).out.splitlines()
    assert table[0].split() == ["rank", "score", "caption"]
    assert table[1].endswith(answer["captions"][0]["caption"])


def test_caption_reads_standard_input(sterna: Sterna, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a dog\na tern über the sea\n".encode())))
    answer = sterna("caption", indexed / "photo-00.jpg", "--captions", "-", "--format", "json").json
    assert {one["caption"] for one in answer["captions"]} == {"a dog", "a tern über the sea"}


def test_caption_needs_no_library_when_it_is_given_captions(
    sterna: Sterna, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "captions.txt").write_text("a dog\na cat\n")
    outcome = sterna(
        "caption", photos / "photo-00.jpg", "--captions", tmp_path / "captions.txt", "--model", tiny_model
    )
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "library").exists()


def test_caption_of_an_unknown_file_or_photograph_is_one_sentence(
    sterna: Sterna, indexed: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    missing = sterna("caption", indexed / "photo-00.jpg", "--captions", tmp_path / "none.txt")
    assert missing.code == 1
    assert "one sentence a line" in missing.err
    assert sterna("caption", indexed / "photo-00.jpg", "--captions", tmp_path / "empty.txt").code == 1
    (tmp_path / "some.txt").write_text("a dog\n")
    for not_sentences in ("/dev/zero", indexed, indexed / "photo-00.jpg"):
        outcome = sterna("caption", indexed / "photo-00.jpg", "--captions", not_sentences)
        assert outcome.code == 1
        assert "one sentence a line" in outcome.err
    gone = sterna("caption", tmp_path / "gone.jpg", "--captions", tmp_path / "some.txt")
    assert gone.code == 1
    assert "gone.jpg" in gone.err


def test_doctor_looks_at_parts_model_and_library(sterna: Sterna, indexed: Path, tiny_model: Path) -> None:
    outcome = sterna("doctor", "--model", tiny_model, "--format", "json")
    assert outcome.code == 0, outcome.err
    answer = outcome.json
    assert (answer["schema"], answer["ok"]) == (1, True)
    checks = {check["what"]: check for check in answer["checks"]}
    assert checks["model"]["state"] == "ok"
    assert "12 photographs" in checks["library"]["detail"]
    assert "CPUExecutionProvider" in checks["onnxruntime providers"]["detail"]
    for check in checks.values():
        assert check["state"] in {"ok", "absent"}
        if check["state"] == "absent":
            assert "pip install 'sterna[" in check["detail"]
    assert "model" in sterna("doctor", "--model", tiny_model).out


def test_doctor_fails_where_something_is_broken(sterna: Sterna, tmp_path: Path) -> None:
    outcome = sterna("doctor", "--model", tmp_path, "--format", "json")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert outcome.err == "sterna: broken: model\n"


def test_doctor_opens_models_that_are_no_folder_of_ours(sterna: Sterna, tmp_path: Path) -> None:
    checks = sterna("doctor", "--model", f"hf:{tmp_path}", "--format", "json").json["checks"]
    (detail,) = [check["detail"] for check in checks if check["what"] == "model"]
    assert f"hf:{tmp_path}" in detail or "sterna[hf]" in detail


def test_status_shows_what_a_folder_leaves_out(sterna: Sterna, photos: Path, tiny_model: Path) -> None:
    sterna("index", photos, "--model", tiny_model, "--exclude", "*/raw/*", "--exclude", "*.gif")
    assert "*/raw/*, *.gif" in sterna("status").out
    sterna("index", photos, "--model", tiny_model, "--exclude", "")
    assert "*.gif" not in sterna("status").out


def test_damaged_vectors_are_told_of_and_mended(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    (segment,) = (tmp_path / "library" / "vectors").rglob("*.f16")
    segment.write_bytes(segment.read_bytes()[:-100])
    for command in (("search", "a dog"), ("doctor",)):
        outcome = sterna(*command)
        assert outcome.code == 1
        assert "sterna index" in outcome.err + outcome.out
    assert segment.name in sterna("status").out
    assert sterna("index").code == 0
    assert sterna("search", "a dog").code == 0


def test_a_folder_that_is_away_is_named(sterna: Sterna, indexed: Path) -> None:
    indexed.rename(indexed.with_name("away"))
    outcome = sterna("index")
    assert outcome.err == f"sterna: {indexed}: not there now; nothing of it was touched\n"
    assert f"some hits lie on what is not there now: {indexed}" in sterna("search", "a dog").err
