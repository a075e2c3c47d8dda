"""`sterna search`: what it prints, in every format, whatever photographs are called."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Sterna
from tests.conftest import draw_photo

pytestmark = pytest.mark.usefixtures("indexed")
HIT = {"rank", "score", "path", "root", "width", "height", "taken_at", "captions", "online", "also"}


def test_a_table_has_rank_score_and_path(sterna: Sterna, indexed: Path) -> None:
    outcome = sterna("search", "a dog", "-k", "3")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["rank", "score", "path"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
    assert all(line.split()[2].startswith(str(indexed)) for line in lines[1:])


def test_json_is_one_document_of_the_agreed_shape(sterna: Sterna, indexed: Path) -> None:
    outcome = sterna("search", "a dog", "-k", "3", "--format", "json")
    assert outcome.code == 0
    answer = outcome.json
    assert set(answer) == {"schema", "query", "model", "hits"}
    assert (answer["schema"], answer["query"], len(answer["hits"])) == (1, "a dog", 3)
    assert answer["model"] == "tiny-0"
    for hit in answer["hits"]:
        assert set(hit) == HIT
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    first = answer["hits"][0]
    assert (first["rank"], first["root"], first["width"], first["height"]) == (1, str(indexed), 320, 240)


def test_of_hits_that_look_the_same_the_best_tells_how_many_more_there_are(
    sterna: Sterna, indexed: Path
) -> None:
    everything = sterna("search", "a dog", "-k", "99", "--format", "json").json["hits"]
    best = Path(everything[0]["path"])
    with Image.open(best) as image:
        image.resize((300, 225)).save(indexed / "again.jpg", quality=95)
    sterna("index", str(indexed))
    ask = ("search", "a dog", "-k", "99", "--fold")
    hits = sterna(*ask, "--format", "json").json["hits"]
    assert sum(1 + hit.get("folded", 0) for hit in hits) == len(everything) + 1
    assert hits[0]["folded"] >= 1
    lines = sterna(*ask).out.splitlines()
    assert lines[0].split() == ["rank", "score", "more", "path"]
    assert lines[1].split()[2] == f"+{hits[0]['folded']}"
    rows = list(csv.DictReader(io.StringIO(sterna(*ask, "--format", "csv").out)))
    assert [int(row["folded"] or 0) for row in rows] == [hit.get("folded", 0) for hit in hits]
    assert len(sterna(*ask, "--format", "paths").out.splitlines()) == len(hits)


def test_jsonl_and_csv_have_a_record_a_line(sterna: Sterna) -> None:
    expected = sterna("search", "a dog", "--format", "json").json["hits"]
    lines = sterna("search", "a dog", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == expected
    rows = list(csv.DictReader(io.StringIO(sterna("search", "a dog", "--format", "csv").out)))
    assert [row["path"] for row in rows] == [hit["path"] for hit in expected]
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))


def test_paths_are_printed_one_a_line_or_with_nuls(sterna: Sterna) -> None:
    lines = sterna("search", "a dog", "--format", "paths").out.splitlines()
    assert len(lines) == 10
    assert all(Path(line).is_file() for line in lines)
    assert sterna("search", "a dog", "--format", "paths", "-0").out.split("\0") == [*lines, ""]


def test_a_photograph_finds_itself_first_unless_it_is_excluded(sterna: Sterna, indexed: Path) -> None:
    photo = indexed / "photo-03.jpg"
    first = sterna("search", "--image", photo, "--format", "json").json["hits"][0]
    assert first["path"] == str(photo)
    assert first["score"] == pytest.approx(1, abs=1e-3)
    others = sterna("search", "--image", photo, "--exclude-self", "-k", "50", "--format", "json").json["hits"]
    assert str(photo) not in [hit["path"] for hit in others]
    assert len(others) == 11


def test_operands_are_texts_files_and_weights(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    def scores(*args: object) -> dict[str, float]:
        hits = sterna("search", "a beach", "-k", "50", "--format", "json", *args).json["hits"]
        return {hit["path"]: hit["score"] for hit in hits}

    assert scores("--plus", "1:sunset") == scores("--plus", "sunset")
    assert scores("--plus", "0.5:sunset") != scores("--plus", "sunset")
    assert scores("--minus", "two people") != scores()
    assert scores("--plus", "2:the dog: red") != scores("--plus", "the dog: red")
    image = indexed / "photo-00.jpg"
    assert scores("--plus", f"9:{image}")[str(image)] > scores()[str(image)]


def test_hits_can_be_narrowed_by_score_folder_and_date(sterna: Sterna, indexed: Path) -> None:
    def paths(*args: object) -> list[str]:
        return [
            hit["path"]
            for hit in sterna("search", "a dog", "-k", "50", "--format", "json", *args).json["hits"]
        ]

    assert sorted(paths("--folder", "trip")) == [str(indexed / "trip" / f"photo-{n}.jpg") for n in (10, 11)]
    all_hits = sterna("search", "a dog", "-k", "50", "--format", "json").json["hits"]
    middle = all_hits[5]["score"] - 1e-6
    assert len(paths("--min-score", middle)) == 6
    assert paths("--before", "1990") == []
    assert len(paths("--after", "1990")) == 12


def test_nothing_found_is_said_on_stderr_and_is_no_failure(sterna: Sterna, indexed: Path) -> None:
    table = sterna("search", "a dog", "--before", "1990")
    assert (table.code, table.out, table.err) == (0, "", "sterna: nothing found\n")
    document = sterna("search", "a dog", "--min-score", "2", "--format", "json")
    assert (document.code, document.json["hits"]) == (0, [])
    assert document.err.startswith("sterna: nothing found with a score of 2 or more (the nearest scores ")
    nowhere = sterna("search", "a dog", "--folder", "nope", "--after", "2000")
    assert (nowhere.code, nowhere.err) == (
        0,
        f"sterna: nothing that is indexed lies in --folder nope; name one of {indexed}, or a folder in it\n",
    )
    assert sterna("search", "a dog", "--folder", "trip", "--before", "1990").err == "sterna: nothing found\n"
    (indexed.parent / "scans").mkdir()
    (indexed / "photo-00.jpg").rename(indexed.parent / "scans" / "photo-00.jpg")
    sterna("index", indexed.parent / "scans")
    roots = f"{indexed}, {indexed.parent / 'scans'}, or a folder in them"
    assert roots in sterna("search", "a dog", "--folder", "nope").err
    for root in (indexed, indexed.parent / "scans"):
        sterna("library", "forget", root, "--yes")
    assert sterna("search", "a dog", "--folder", "nope").err == (
        "sterna: nothing that is indexed lies in --folder nope: "
        "the library has no folders; `sterna index DIR` adds one\n"
    )
    asked = sterna("search", "a dog", "--min-score", "high")
    assert (asked.code, asked.err) == (2, "sterna: --min-score high: give a number, such as 0.3, or none\n")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], 2),
        (["a dog", "--after", "yesterday"], 2),
        (["a dog", "--after", "2020", "--before", "2019"], 2),
        (["--image", "missing.jpg"], 1),
        (["--image", ""], 2),
        (["a dog", "--copy-to", ""], 2),
        (["a dog", "--library", ""], 2),
        (["a dog", "--plus", "nan:sunset"], 2),
        (["a dog", "--html", "same", "--png", "same"], 2),
        (["a dog", "--html", "/dev/null"], 2),
        (["a dog", "--png", "/"], 2),
        (["a dog", "--model", "missing-model"], 1),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(sterna: Sterna, args: list[str], code: int) -> None:
    outcome = sterna("search", *args, "--format", "json")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.count("\n") == 1
    assert "did not expect" not in outcome.err


def test_what_is_wrong_with_dates_is_said_of_the_options(sterna: Sterna) -> None:
    told = "--after '2020' is not earlier than --before '2020-01-01': nothing lies between them"
    assert sterna("search", "a dog", "--after", "2020", "--before", "2020-01-01").err == f"sterna: {told}\n"
    assert sterna("search", "a dog", "--after", "foo").err.startswith("sterna: --after 'foo': not a date; ")
    assert sterna("search", "a dog", "--after", "2019", "--before", "2020").code == 0


def test_a_file_that_is_not_there_is_hinted_at(sterna: Sterna, indexed: Path) -> None:
    hinted = sterna("search", "trips/nope.JPG", "-k", "1")
    assert (hinted.code, len(hinted.out.splitlines())) == (0, 2)
    assert hinted.err == "sterna: trips/nope.JPG: no such file; what these words say is looked for\n"
    for query in (indexed / "photo-00.jpg", "a dog.", "a dog in Washington D.C.", "a file named x.docx"):
        assert sterna("search", query, "-k", "1").err == ""


def test_figures_and_copies_are_written_beside_the_answer(
    sterna: Sterna, indexed: Path, tmp_path: Path
) -> None:
    page, picture, copies = tmp_path / "hits.html", tmp_path / "hits.png", tmp_path / "copies"
    args = (
        "search",
        "a dog",
        "-k",
        "2",
        "--format",
        "json",
        "--html",
        page,
        "--png",
        picture,
        "--copy-to",
        copies,
    )
    outcome = sterna(*args)
    assert outcome.code == 0
    hits = [Path(hit["path"]) for hit in outcome.json["hits"]]
    assert page.read_text(encoding="utf-8").count("<img") == 2
    with Image.open(picture) as image:
        assert image.format == "PNG"
    assert sorted(file.name for file in copies.iterdir()) == [f"001-{hits[0].name}", f"002-{hits[1].name}"]
    assert (copies / f"001-{hits[0].name}").read_bytes() == hits[0].read_bytes()
    assert outcome.err.splitlines() == [
        f"sterna: wrote {page}",
        f"sterna: wrote {picture}",
        f"sterna: copied 2 photographs to {copies}",
    ]


def test_copies_never_overwrite_and_skip_what_has_gone(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    first = Path(sterna("search", "a dog", "-k", "1", "--copy-to", copies, "--format", "paths").out.strip())
    (copies / f"001-{first.name}").write_text("mine")
    sterna("search", "a dog", "-k", "1", "--copy-to", copies)
    assert (copies / f"001-{first.name}").read_text() == "mine"
    assert (copies / f"001-{first.stem}-2{first.suffix}").read_bytes() == first.read_bytes()
    first.unlink()
    outcome = sterna("search", "a dog", "-k", "12", "--copy-to", tmp_path / "more")
    assert outcome.code == 0
    assert len(list((tmp_path / "more").iterdir())) == 11
    first.mkdir()
    outcome = sterna("search", "a dog", "-k", "12", "--copy-to", tmp_path / "unreadable")
    assert (outcome.code, len(list((tmp_path / "unreadable").iterdir()))) == (0, 11)
    assert outcome.err.endswith(
        f"copied 11 photographs to {tmp_path / 'unreadable'}; 1 is not there any more\n"
    )


def test_what_was_copied_before_is_not_copied_again(sterna: Sterna, indexed: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    search = ("search", "a dog", "--copy-to", copies, "--format", "paths")
    best = sterna(*search, "-k", "2").out.splitlines()
    made = {file.name: file.stat().st_ino for file in copies.iterdir()}
    (copies / f"001-{Path(best[0]).name}").rename(copies / "mine.jpg")
    again = sterna(*search, "-k", "3")
    assert again.err == f"sterna: copied 1 photograph to {copies}; 2 were there already\n"
    third = Path(again.out.splitlines()[2]).name
    names = {"mine.jpg", f"002-{Path(best[1]).name}", f"003-{third}"}
    assert {file.name for file in copies.iterdir()} == names
    assert (copies / "mine.jpg").stat().st_ino in made.values()
    assert "copied 0 photographs" in sterna(*search, "-k", "3").err
    Path(best[0]).write_bytes(Path(best[0]).read_bytes() + b"another end")  # of another size
    sterna("index")
    assert "copied 1 photograph to" in sterna(*search, "-k", "3").err
    other = bytearray((copies / "mine.jpg").read_bytes())
    other[-3] ^= 1
    for file in copies.iterdir():
        file.unlink()
    (copies / "mine.jpg").write_bytes(other)  # of the same size
    assert sterna(*search, "-k", "1").err == f"sterna: copied 1 photograph to {copies}\n"


def test_names_that_break_lines_and_terminals_are_escaped_in_tables_and_raw_in_paths(
    sterna: Sterna, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    names = [
        b"two\nlines.jpg",
        b"\x1b[31mred.jpg",
        b"not utf-8 \xff.jpg",
        "gull かもめ.jpg".encode(),
        b"x" * 251 + b".jpg",
    ]
    for number, name in enumerate(names):
        draw_photo(100 + number).save(tmp_path / "drawn.jpg")
        (tmp_path / "drawn.jpg").rename(folder / os.fsdecode(name))
    sterna("index", folder, "--model", tiny_model)
    query = ("search", "a dog", "-k", "50", "--folder", folder)
    table = sterna(*query).out
    assert len(table.splitlines()) == len(names) + 1
    assert "\x1b" not in table
    assert "two\\nlines.jpg" in table
    assert "not utf-8 \\xff.jpg" in table
    assert "gull かもめ.jpg" in table
    hits = sterna(*query, "--format", "json").json["hits"]
    assert {os.fsencode(Path(hit["path"]).name) for hit in hits} == set(names)
    copies = tmp_path / "copies"
    assert (
        sterna(*query, "--copy-to", copies, "--html", tmp_path / "p.html", "--png", tmp_path / "p.png").code
        == 0
    )
    assert len(list(copies.iterdir())) == len(names)


def test_a_page_is_written_through_a_link(sterna: Sterna, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    assert sterna("search", "a dog", "-k", "1", "--html", tmp_path / "link.html").code == 0
    assert (tmp_path / "link.html").is_symlink()
    assert "<img" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_re_ranked_hits_show_their_alignments(sterna: Sterna, indexed: Path, aligned_model: Path) -> None:
    refused = sterna("search", "a dog", "--rerank", "3")
    assert refused.code == 2
    assert "tiny-0: this model compares whole photographs and sentences, and cannot align" in refused.err
    assert sterna("index", "--model", aligned_model).code == 0
    ask = ("search", "a red dog", "-k", "4", "--rerank", "3", "--model", aligned_model)
    lines = sterna(*ask).out.splitlines()
    assert lines[0].split() == ["rank", "alignment", "score", "path"]
    assert [len(line.split()) for line in lines[1:]] == [4, 4, 4, 3]
    hits = sterna(*ask, "--format", "json").json["hits"]
    assert [set(hit) - HIT for hit in hits] == [{"alignment"}] * 3 + [set()]
    aligned = [hit["alignment"] for hit in hits[:3]]
    assert aligned == sorted(aligned, reverse=True)
    rows = list(csv.DictReader(io.StringIO(sterna(*ask, "--format", "csv").out)))
    assert [row["alignment"] for row in rows] == [*map(str, aligned), ""]
    assert "alignment" not in sterna("search", "a dog", "--format", "csv").out


def test_eval_re_ranks_by_alignment(
    sterna: Sterna, photos: Path, aligned_model: Path, tiny_model: Path
) -> None:
    (photos / "captions.csv").write_text(
        "image,caption\n"
        + "".join(f"photo-0{n}.jpg,a {w} dog\n" for n, w in enumerate(["red", "green", "blue"]))
    )
    ask = ("eval", "--data", photos / "captions.csv", "--model")
    whole = sterna(*ask, aligned_model)
    assert (whole.code, "compared by MrSw" in whole.out) == (0, True)
    some = sterna(*ask, aligned_model, "--rerank", "2")
    assert "the first 2 answers re-ranked by MrSw" in some.out
    assert sterna(*ask, aligned_model, "--rerank", "2", "-f", "json").json["rerank"] == {
        "alignment": "MrSw",
        "first": 2,
    }
    assert "rerank" not in sterna(*ask, aligned_model, "--rerank", "0", "-f", "json").json
    refused = sterna(*ask, tiny_model, "--rerank", "2")
    assert (refused.code, "tiny-0: cannot be re-ranked" in refused.err) == (2, True)
    refused = sterna("eval", "--run", "a", "--qrels", "b", "--rerank", "2")
    assert (refused.code, "--rerank does not go with --run" in refused.err) == (2, True)
