"""`sterna eval`: protocols, committees, files in and out, and what does not go together."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Sterna
from tests.conftest import draw_photo


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """Eight drawn photographs with two captions each in Flickr's layout and two splits."""
    folder = tmp_path / "flickr"
    (folder / "images").mkdir(parents=True)
    for number in range(8):
        draw_photo(number, size=(64, 48)).save(folder / "images" / f"{number}.jpg")
    lines = [f"{n}.jpg#{k}\t{('a dog', 'two people')[k]} {n}" for n in range(8) for k in range(2)]
    (folder / "captions.token.txt").write_text("\n".join(lines) + "\n")
    (folder / "trainImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(4)))
    (folder / "devImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(4, 8)))
    return folder


@pytest.fixture
def vectors(tmp_path: Path) -> tuple[object, ...]:
    """Options that name vectors of six images with two captions each."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", random.normal(size=(6, 5)).astype(np.float32))
    np.save(tmp_path / "texts.npy", random.normal(size=(12, 5)).astype(np.float32))
    return ("eval", "--image-vectors", tmp_path / "images.npy", "--text-vectors", tmp_path / "texts.npy")


def test_a_committee_of_a_model_with_itself_is_that_model(
    sterna: Sterna, flickr: Path, tiny_model: Path
) -> None:
    one = ("eval", "--data", flickr, "--split", "dev", "--model", tiny_model)
    alone = sterna(*one, "--format", "json").json
    both = sterna(*one, "--model", tiny_model, "--format", "json").json
    assert (alone["model"], both["model"]) == ("tiny-0", "tiny-0 + tiny-0")
    assert {**both, "model": ""} == {**alone, "model": ""}


def test_hubs_are_corrected_only_when_asked_and_reported_apart(
    sterna: Sterna, flickr: Path, tiny_model: Path
) -> None:
    one = ("eval", "--data", flickr, "--split", "dev", "--model", tiny_model)
    plain = sterna(*one, "--format", "json").json
    assert plain["hubs"] is None
    hubs = ("--hubs", "csls", "--bank", "train", "--hubs-k", "3")
    found = sterna(*one, *hubs, "--format", "json").json
    about = {"correction": "csls", "k": 3, "bank": "train", "bank_images": 4, "bank_captions": 8}
    assert {key: found["hubs"][key] for key in about} == about
    assert {**found, "hubs": None} == plain
    lines = sterna(*one, *hubs).out.splitlines()
    assert "After a correction of hubs" in "\n".join(lines)
    assert lines[-1] == f"rsum {found['hubs']['rsum']:.1f}"
    assert sterna(*one).out.splitlines()[-1].startswith("rsum ")


def test_a_bank_that_is_measured_is_refused(sterna: Sterna, flickr: Path, tiny_model: Path) -> None:
    one = ("eval", "--data", flickr, "--split", "dev", "--model", tiny_model, "--hubs", "csls")
    outcome = sterna(*one, "--bank", "dev")
    assert (outcome.code, outcome.out) == (1, "")
    assert (
        "the bank 'dev' holds 4 images that are measured, such as '4.jpg'; name another split" in outcome.err
    )
    assert "no split 'test'" in sterna(*one, "--bank", "test").err
    outcome = sterna(*one)
    assert (outcome.code, outcome.err) == (2, "sterna: --hubs 'csls' needs a bank, such as the split train\n")


def test_relevance_files_say_what_is_right(
    sterna: Sterna, flickr: Path, tiny_model: Path, tmp_path: Path
) -> None:
    everything = {f"{n}.jpg#{k}": [f"{m}.jpg" for m in range(4, 8)] for n in range(4, 8) for k in range(2)}
    file = tmp_path / "all.json"
    file.write_text(json.dumps(everything))
    one = ("eval", "--data", flickr, "--split", "dev", "--model", tiny_model)
    found = sterna(*one, "--relevance", file, "--format", "json").json
    assert found["relevance"] == {"i2t": "captions", "t2i": "all.json"}
    assert found["t2i"]["precision"]["1"] == found["t2i"]["average_precision"] == 1
    assert "t2i: right is what all.json says" in sterna(*one, "--relevance", f"t2i={file}").out
    outcome = sterna(*one, "--relevance", tmp_path / "none.json")
    assert (outcome.code, outcome.err) == (1, f"sterna: {tmp_path / 'none.json'}: no such file\n")


def test_folds_cut_offs_and_chosen_metrics(sterna: Sterna, vectors: tuple[object, ...]) -> None:
    options = (
        "--captions-per-image",
        "2",
        "--protocol",
        "folds:3x2",
        "--at",
        "1,3",
        "--metrics",
        "hits,map,mrr",
    )
    found = sterna(*vectors, *options, "--format", "json").json
    assert (found["protocol"], found["score"], found["queries"]) == (
        "folds:3x2",
        "dot",
        {"i2t": 6, "t2i": 12},
    )
    assert {name: list(value) for name, value in found["t2i"].items() if name != "mrr"} == {
        "hits": ["1", "3"], "map": ["1", "3"]
    }  # fmt: skip
    lines = sterna(*vectors, *options).out.splitlines()
    assert lines[1] == "mean over folds:3x2"
    assert lines[2].split() == ["%", "@1", "@3", "MRR"]
    assert [line.split("  ")[0] for line in lines[3:7]] == ["i2t hits", "i2t map", "t2i hits", "t2i map"]
    alone = sterna(
        *vectors, "--captions-per-image", "2", "--metrics", "first_tier,median_rank"
    ).out.splitlines()
    single = ["i2t first_tier", "i2t median_rank", "t2i first_tier", "t2i median_rank"]
    assert [" ".join(line.split()[:2]) for line in alone[2:6]] == single


def test_a_distance_is_cut_off(sterna: Sterna, vectors: tuple[object, ...]) -> None:
    each = ("--captions-per-image", "2", "--format", "json")
    by_score = sterna(*vectors, *each, "--min-score", "0.5").json
    assert by_score["min_score"] == 0.5
    assert by_score["t2i"]["returned"] < 6
    assert sterna(*vectors, *each, "--max-distance", "0.5").json == by_score
    assert "score less than 0.5 are not returned" in sterna(*vectors, *each[:2], "--min-score", "0.5").out


def test_vectors_are_measured_by_data_too(
    sterna: Sterna, flickr: Path, vectors: tuple[object, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", np.eye(4, 5, dtype=np.float32))
    np.save(tmp_path / "texts.npy", np.repeat(np.eye(4, 5, dtype=np.float32), 2, axis=0))
    for photo in (flickr / "images").glob("*.jpg"):
        photo.unlink()  # vectors need no photographs
    found = sterna(*vectors, "--data", flickr, "--split", "dev", "--format", "json").json
    assert (found["data"], found["split"], found["rsum"]) == ("flickr", "dev", 600)
    outcome = sterna(*vectors, "--data", flickr, "--split", "train", "--captions-per-image", 2)
    assert (outcome.code, outcome.err) == (2, "sterna: --captions-per-image does not go with --data\n")
    np.save(tmp_path / "texts.npy", np.eye(5, dtype=np.float32))
    outcome = sterna(*vectors, "--data", flickr, "--split", "dev")
    assert (outcome.code, outcome.err) == (
        1,
        f"sterna: {tmp_path / 'texts.npy'}: has 5 rows for 8 captions\n",
    )


def test_vectors_have_their_own_bank(sterna: Sterna, vectors: tuple[object, ...]) -> None:
    folder = Path(str(vectors[2])).parent
    np.save(folder / "bank.npy", np.random.default_rng(1).normal(size=(12, 5)))
    bank = ("--bank-image-vectors", folder / "bank.npy", "--bank-text-vectors", folder / "bank.npy")
    each = ("--captions-per-image", "2", "--hubs", "inverted-softmax", "--hubs-beta", "5")
    found = sterna(*vectors, *each, *bank, "--format", "json").json
    assert (found["hubs"]["beta"], found["hubs"]["bank_captions"]) == (5, 12)
    assert "needs a bank" in sterna(*vectors, *each).err
    outcome = sterna(*vectors, *each, *bank[:3], vectors[4])
    assert (outcome.code, outcome.err) == (
        2,
        f"sterna: {vectors[4]}: is measured, and cannot be the bank too\n",
    )


def test_what_was_written_for_trec_is_measured_as_what_it_was_made_of(
    sterna: Sterna, vectors: tuple[object, ...], tmp_path: Path
) -> None:
    found = sterna(
        *vectors, "--captions-per-image", "2", "--trec-out", tmp_path / "out", "--format", "json"
    ).json
    run = ("eval", "--run", tmp_path / "out" / "t2i.run", "--qrels", tmp_path / "out" / "t2i.qrels")
    again = sterna(*run, "--format", "json").json
    assert again["figures"] == found["t2i"]
    assert (again["protocol"], again["queries"], again["answers"]) == ("run", 12, 6)
    lines = sterna(*run).out.splitlines()
    assert lines[0] == "images.npy, texts.npy by t2i.qrels: 12 queries, 6 answers"
    assert lines[2].startswith("hits")
    short = sterna(*vectors, "--captions-per-image", "2", "--trec-out", tmp_path / "out", "--trec-depth", "1")
    assert short.code == 0
    assert len((tmp_path / "out" / "t2i.run").read_text().splitlines()) == 12


def test_ranks_are_written(sterna: Sterna, flickr: Path, tiny_model: Path, tmp_path: Path) -> None:
    one = ("eval", "--data", flickr, "--split", "dev", "--model", tiny_model)
    assert sterna(*one, "--ranks", tmp_path / "ranks.csv").code == 0
    rows = list(csv.DictReader((tmp_path / "ranks.csv").read_text().splitlines()))
    assert [row["query"] for row in rows[:4]] == ["4.jpg", "5.jpg", "6.jpg", "7.jpg"]
    assert json.loads(rows[4]["answers"]) == ["4.jpg"]
    assert len(json.loads(rows[0]["first"])) == 8
    assert sterna(*one, "--ranks", tmp_path / "ranks.jsonl").code == 0
    assert len((tmp_path / "ranks.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--data is missing: name the captioned images to measure on"),
        (("--run", "a"), "--run and --qrels go together"),
        (("--run", "a", "--qrels", "b", "--data", "c"), "--data does not go with --run"),
        (
            ("--run", "a", "--qrels", "b", "--protocol", "folds:2x2"),
            "--protocol folds does not go with --run",
        ),
        (("--run", "a", "--qrels", "b", "--score", "order"), "--score does not go with --run"),
        (("--run", "a", "--qrels", "b", "--bank", "train"), "--bank does not go with --run"),
        (
            ("--image-vectors", "a.npy", "--text-vectors", "b.npy", "--data", "d", "--bank", "train"),
            "--bank does not go with --image-vectors",
        ),
        (("--data", "d", "--min-score", "inf"), "--min-score is inf; a finite number is needed"),
        (("--image-vectors", "a.npy"), "--image-vectors and --text-vectors go together"),
        (
            ("--image-vectors", "a.npy", "--text-vectors", "b.npy"),
            "--data or --captions-per-image is missing",
        ),
        (
            ("--image-vectors", "a.npy", "--text-vectors", "b.npy", "--model", "m"),
            "--model does not go with --image-vectors",
        ),
        (
            ("--data", "d", "--bank-image-vectors", "a"),
            "--bank-image-vectors and --bank-text-vectors go together",
        ),
        (("--data", "d", "--score", "dot"), "--score does not go with a model"),
        (
            ("--data", "d", "--at", "1,x"),
            "--at '1,x': write whole numbers from 1 with commas, such as 1,5,10",
        ),
        (("--data", "d", "--at", "0"), "--at '0': write whole numbers from 1"),
        (("--data", "d", "--metrics", "hits,"), "--metrics 'hits,': write names with commas"),
        (("--data", "d", "--metrics", "R@1"), "--metrics 'R@1' is not known; known: average_precision"),
        (("--data", "d", "--protocol", "1k"), "--protocol '1k'; known: full, and folds:FxN"),
        (("--data", "d", "--hubs", "x"), "--hubs 'x' is not known; known: csls, inverted-softmax"),
        (("--data", "d", "--min-score", "1", "--max-distance", "1"), "a lowest score or a largest distance"),
        (("--data", "d", "--ranks", "x.txt"), "--ranks x.txt: name a file that ends in .csv or .jsonl"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(sterna: Sterna, options: tuple[str, ...], told: str) -> None:
    outcome = sterna("eval", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--failures", "FILE/page.html"), 1, "FILE/page.html: cannot be written"),
        (("--ranks", "FILE/ranks.csv"), 1, "FILE/ranks.csv: cannot be written"),
        (("--trec-out", "FILE/trec"), 1, "FILE/trec/i2t.run: cannot be written"),
        (("--calibrate", "90"), 2, "sterna: --calibrate 90: must be above 0 and at most 1, such as 0.9"),
        (("--protocol", "folds:5x1000"), 1, "folds:5x1000 needs 5,000 images; there are 4"),
    ],
)
def test_what_cannot_be_is_found_out_before_anything_is_measured(
    sterna: Sterna,
    flickr: Path,
    tiny_model: Path,
    tmp_path: Path,
    options: tuple[str, str],
    code: int,
    told: str,
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "text.onnx").write_bytes(b"what is measured first, and cannot be loaded")
    file = tmp_path / "file"
    file.write_text("not a folder")
    named = [each.replace("FILE", str(file)) for each in options]
    outcome = sterna("eval", "--data", flickr, "--split", "dev", "--model", model, *named)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert told.replace("FILE", str(file)) in outcome.err
    assert file.read_text() == "not a folder"


def test_a_split_is_asked_for_by_its_option(sterna: Sterna, flickr: Path, tiny_model: Path) -> None:
    outcome = sterna("eval", "--data", flickr, "--model", tiny_model)
    told = f"{flickr}: there are several splits (dev, train); name one of them with --split"
    assert (outcome.code, outcome.err) == (1, f"sterna: {told}\n")
