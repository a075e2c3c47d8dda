"""`sterna model info` and `sterna eval`."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Sterna
from tests.conftest import draw_photo


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """Eight drawn photographs with uneven captions in Flickr's layout and two splits."""
    folder = tmp_path / "flickr"
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(8):
        draw_photo(number).save(folder / "images" / f"{number}.jpg")
        lines += [
            f"{number}.jpg#{k}\t{('a dog', 'two people', 'the red beach')[k]}" for k in range(1 + number % 3)
        ]
    (folder / "captions.token.txt").write_text("\n".join(lines) + "\n")
    (folder / "trainImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(5)))
    (folder / "devImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(5, 8)))
    return folder


def test_model_info_shows_what_a_model_is(sterna: Sterna, tiny_model: Path) -> None:
    outcome = sterna("model", "info", tiny_model, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    answer = outcome.json
    assert (answer["schema"], answer["name"], answer["path"]) == (1, "tiny-0", str(tiny_model))
    assert answer["verified"] is None
    assert answer["bytes"] == sum(answer["files"].values()) > 0
    assert answer["config"]["dim"] == 32
    printed = sterna("model", "info", tiny_model).out
    assert printed.startswith("tiny-0\n")
    assert answer["fingerprint"] in printed
    assert "image.size" in printed


def test_model_info_verifies_the_files(sterna: Sterna, tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["fingerprint"] = sterna("model", "info", model, "--format", "json").json["fingerprint"]
    (model / "config.json").write_text(json.dumps(config))
    assert sterna("model", "info", model, "--verify", "--format", "json").json["verified"] is True
    with (model / "tokenizer.json").open("a") as file:
        file.write("\n")
    changed = sterna("model", "info", model, "--verify", "--format", "json")
    assert (changed.code, changed.json["verified"]) == (1, False)
    told = f"sterna: {model}: the files are not those that the fingerprint was made of ("
    cure = "); copy the whole folder again from where it came from\n"
    assert changed.err == (
        f"{told}image.onnx, text.onnx, tokenizer.json, or image or text in config.json, was changed and still "
        f"works{cure}"
    )
    network = (model / "image.onnx").read_bytes()
    (model / "image.onnx").write_bytes(network[: len(network) // 2])
    damaged = sterna("model", "info", model, "--verify").err
    assert damaged.startswith(f"{told}{model / 'image.onnx'}: not a network that ONNX Runtime can load (")
    assert damaged.endswith(cure)
    assert damaged.count("\n") == 1
    assert f"{model / 'image.onnx'}: not a network" in sterna("doctor", "--model", model).out


def test_model_info_is_readable_whatever_a_model_is_made_of(
    sterna: Sterna, tiny_model: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    way = {"hits": {"1": 0.30000000000000004}, "f1": {"1": 0.2}, "mrr": 0.5}
    same = {"backbone": "minilm", "model": {"width": 512, "sources": [1280, 384]}}
    members = [
        {**same, "seed": seed, "results": {"dev": {"rsum": 360.74 + seed, "i2t": way}}} for seed in (0, 1)
    ]
    members[1]["backbone"] = "other"
    config |= {
        "architecture": {**same, "members": members},
        "results": {"dev": {"rsum": 366.34000000000003, "i2t": way}},
        "calibration": {"min_score": 0.18400000035762787},
    }
    (model / "config.json").write_text(json.dumps(config))
    printed = sterna("model", "info", model).out
    table = printed.partition("setting")[2].splitlines()[1:]
    rows = dict(line.split(maxsplit=1) for line in table if line and not line.endswith("json"))
    wanted = {
        "architecture.backbone": "minilm",
        "architecture.model.width": "512",
        "architecture.model.sources": "1280, 384",
        "architecture.members.0.seed": "0",
        "architecture.members.0.results.dev.rsum": "360.74",
        "architecture.members.1.backbone": "other",
        "architecture.members.1.seed": "1",
        "architecture.members.1.results.dev.rsum": "361.74",
        "results.dev.rsum": "366.34",
        "results.dev.i2t.hits.1": "0.3",
        "results.dev.i2t.mrr": "0.5",
        "calibration.min_score": "0.184",
    }
    assert {
        name: value for name, value in rows.items() if name.split(".")[0] not in {"dim", "image", "text"}
    } == wanted
    assert printed.endswith("12 more with --format json\n")
    assert sterna("model", "info", model, "--format", "json").json["config"]["results"]["dev"]["i2t"] == way


def test_a_calibrated_model_hides_what_does_not_match(
    sterna: Sterna, tiny_model: Path, flickr: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    before = sterna("model", "info", model, "--format", "json").json
    (model / "README.md").write_text(
        "# tiny\n\n## Scores\n\nunknown\n\n## What it was made from\n\nnothing\n"
    )
    asked = ("eval", "--model", model, "--data", flickr, "--split", "dev", "--calibrate", "1")
    for _ in range(2):  # the second takes the place of the first
        came = sterna(*asked, "--format", "json")
        assert came.code == 0, came.err
        assert (came.json["threshold"]["recall"], came.json["threshold"]["captions"]) == (1.0, 6)
    least = came.json["threshold"]["score"]
    assert f"least score {least:g}: 100.0% of the captions find" in sterna(*asked).out
    after = sterna("model", "info", model, "--format", "json").json
    assert after["config"]["calibration"]["min_score"] == least
    assert after["fingerprint"] == before["fingerprint"]
    card = (model / "README.md").read_text()
    assert card.startswith("# tiny\n\n## Scores\n\nSearching for a sentence leaves out")
    assert card.endswith("\n\n## What it was made from\n\nnothing\n")
    assert (card.count("## Scores"), "unknown" in card) == (1, False)

    assert sterna("index", flickr / "images", "--model", model).code == 0

    def scores(*args: object) -> list[float]:
        return [hit["score"] for hit in sterna("search", *args, "-k", "9", "--format", "json").json["hits"]]

    whole = scores("a dog", "--min-score", "none")
    assert len(whole) == 8
    assert scores("a dog") == [score for score in whole if score >= least]
    image = flickr / "images" / "1.jpg"
    assert len(scores("--image", image)) == len(scores("a dog", "--plus", "a cat")) == 8

    config = json.loads((model / "config.json").read_text())
    config["calibration"]["min_score"] = 0.999
    (model / "config.json").write_text(json.dumps(config))
    nothing = sterna("search", "a dog")
    assert (nothing.code, nothing.out) == (0, "")
    assert f"nothing here looks like that (the nearest scores {whole[0]:.3f}; --min-score none" in nothing.err

    config["calibration"]["min_score"] = "high"
    (model / "config.json").write_text(json.dumps(config))
    assert "calibration.min_score is 'high', a number is needed" in sterna("model", "info", model).err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--calibrate", "0.9"), "--calibrate changes the config of one model folder: name it as --model"),
        (("--model", "nowhere", "--calibrate", "0.9"), "--calibrate changes the config of one model folder"),
        (("--model", "MODEL", "--model", "MODEL", "--calibrate", "0.9"), "of one model folder"),
        (("--model", "MODEL", "--calibrate", "2"), "--calibrate 2: must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_calibrated_is_one_sentence(
    sterna: Sterna, tiny_model: Path, flickr: Path, args: tuple[str, ...], says: str
) -> None:
    named = [tiny_model if arg == "MODEL" else arg for arg in args]
    outcome = sterna("eval", "--data", flickr, "--split", "dev", *named)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert says in outcome.err


def test_a_run_and_a_folder_that_cannot_be_written_are_not_calibrated(
    sterna: Sterna, tiny_model: Path, flickr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("eval", "--data", flickr, "--split", "dev", "--calibrate", "0.9", "--model")
    run = tmp_path / "run"
    run.mkdir()
    (run / "settings.yaml").write_text("")
    outcome = sterna(*asked, run)
    assert outcome.code == 2
    assert f"{run} is a training run; make one of it with sterna export {run} --out FOLDER" in outcome.err

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "text.onnx").write_bytes(b"what is measured first, and cannot be loaded")
    monkeypatch.setattr(os, "open", refuse)  # who may do everything can write to any folder
    outcome = sterna(*asked, model)
    monkeypatch.undo()
    assert outcome.code == 1
    assert f"{model / 'config.json'}: cannot be written (Read-only file system)" in outcome.err


def test_a_page_of_what_is_not_found(sterna: Sterna, tiny_model: Path, flickr: Path, tmp_path: Path) -> None:
    page = tmp_path / "failures.html"
    asked = ("eval", "--data", flickr, "--split", "train", "--model", tiny_model, "--failures", page)
    printed = sterna(*asked)
    assert printed.code == 0, printed.err
    assert "no person or animal" in printed.out
    assert "hubs: one photograph is among the first ten of" in printed.out
    text = page.read_text()
    assert len(re.findall(r"its own photograph \(first\) comes at place [1-5] of 5<", text)) == 9
    own = re.findall(
        r'<figure class="query">.*?<span class="rank">[1-5]</span> <span class="score">(-?0\.\d{3})</span>'
        r'<a class="name" href="[^"]*">\d\.jpg</a>',
        text,
    )
    assert len(own) == text.count('class="caption">the caption&#x27;s own photograph<') == 9
    assert "Hubs: photographs that are among the first ten" in text
    assert text.count('<span class="score">100.0% of all</span>') == 5
    assert '<tr><th scope="row">all</th><td>9</td>' in text
    assert '<th scope="row">no person or animal</th>' in text
    found = sterna(*asked, "--format", "json").json
    assert found["failures"]["kinds"][0]["hits"]["1"] == found["t2i"]["hits"]["1"]
    folds = sterna(*asked, "--protocol", "folds:2x2")
    assert (folds.code, folds.err.count("\n")) == (2, 1)
    assert "--failures does not go with --protocol folds" in folds.err


def test_model_info_of_anything_else_is_one_sentence(sterna: Sterna, tmp_path: Path) -> None:
    outcome = sterna("model", "info", tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == f"sterna: {tmp_path}: not a model folder, for it has no config.json\n"


def test_eval_prints_one_json_document_of_the_agreed_shape(
    sterna: Sterna, flickr: Path, tiny_model: Path
) -> None:
    outcome = sterna("eval", "--data", flickr, "--split", "dev", "--model", tiny_model, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    answer = outcome.json
    promised = "schema model data split images captions i2t t2i rsum intervals".split()
    assert list(answer)[: len(promised)] == promised
    assert (answer["schema"], answer["model"], answer["data"]) == (1, "tiny-0", "flickr")
    assert (answer["split"], answer["images"], answer["captions"]) == ("dev", 3, 6)
    for way in ("i2t", "t2i"):
        assert list(answer[way])[:5] == ["hits", "recall", "median_rank", "mean_rank", "mrr"]
        assert list(answer[way]["hits"]) == ["1", "5", "10"]
    hits = [answer[way]["hits"][k] for way in ("i2t", "t2i") for k in ("1", "5", "10")]
    assert answer["rsum"] == pytest.approx(100 * sum(hits))


def test_eval_prints_a_table(sterna: Sterna, flickr: Path, tiny_model: Path) -> None:
    lines = sterna("eval", "--data", flickr, "--split", "dev", "--model", tiny_model).out.splitlines()
    assert lines[0] == "tiny-0 on flickr, split dev: 3 images, 6 captions"
    assert [line.split("  ")[0] for line in lines[2:6]] == [
        "i2t hits",
        "i2t recall",
        "t2i hits",
        "t2i recall",
    ]
    assert lines[-1].startswith("rsum ")


def test_eval_asks_for_a_split_where_there_are_several(
    sterna: Sterna, flickr: Path, tiny_model: Path
) -> None:
    outcome = sterna("eval", "--data", flickr, "--model", tiny_model, "--format", "json")
    assert (outcome.code, outcome.out) == (1, "")
    assert "dev, train" in outcome.err
    (flickr / "trainImages.txt").unlink()
    assert sterna("eval", "--data", flickr, "--model", tiny_model, "--format", "json").json["split"] == "dev"


def test_eval_reads_tables_with_named_columns(
    sterna: Sterna, flickr: Path, tiny_model: Path, tmp_path: Path
) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("file,text\n0.jpg,a dog\n1.jpg,two people\n9.jpg,the beach\n")
    args = ("eval", "--data", table, "--images", flickr / "images", "--columns", "image=file,caption=text")
    outcome = sterna(*args, "--model", tiny_model, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert (outcome.json["images"], outcome.json["captions"]) == (2, 2)
    assert "captions.csv" in outcome.err
    assert "9.jpg" in outcome.err


def test_model_import_makes_a_run_of_a_checkpoint(sterna: Sterna, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from tests.training.test_import import teran

    teran(tmp_path / "model.pth.tar")
    outcome = sterna("model", "import", tmp_path / "model.pth.tar", "--out", tmp_path / "run")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'run'}: ")
    assert lines[0].endswith("weights of model.pth.tar (tern)")
    assert (
        lines[2]
        == "a region of zeros is put before each image's, as in training (--no-zero-region: it is not)"
    )
    again = ("model", "import", tmp_path / "model.pth.tar", "--no-zero-region", "--format", "json", "--out")
    answer = sterna(*again, tmp_path / "two").json
    assert (answer["schema"], answer["kind"], answer["zero_region"]) == (1, "tern", False)
    refused = sterna(*again, tmp_path / "two")
    assert refused.code == 1
    assert f"{tmp_path / 'two'}: already " in refused.err


def test_a_run_in_place_of_a_model_folder_is_told_apart(sterna: Sterna, tmp_path: Path) -> None:
    for name in ("settings.yaml", "run.json"):
        (tmp_path / name).write_text("{}")
    outcome = sterna("model", "info", tmp_path)
    assert outcome.err == (
        f"sterna: {tmp_path}: a training run, not a model folder; make one of it with "
        f"sterna export {tmp_path} --out FOLDER\n"
    )
