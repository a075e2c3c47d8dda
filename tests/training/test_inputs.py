"""What a run reads: data of any names, and features whoever made them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
from sterna.data import read
from sterna.errors import DataError, RunError, StoreError, UsageError
from sterna.training import TrainSettings, encode_features, export, load_run, train
from tests.training.toy import make_stores, make_toy, toy_settings


@pytest.mark.parametrize(
    ("kind", "key"), [("images", "backbone"), ("images", "sources"), ("captions", "dim")]
)
def test_features_that_do_not_say_what_they_are_of_are_refused(tmp_path: Path, kind: str, key: str) -> None:
    toy = make_toy(tmp_path, train=6, dev=4)
    file = toy / "features" / kind / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["meta"][key]
    file.write_text(json.dumps(manifest))
    with pytest.raises(
        StoreError, match=f"features/{kind}: its manifest's meta does not say {key}; train on"
    ):
        train(toy_settings(toy), tmp_path / "run")


def test_data_that_is_not_there_leaves_no_folder_of_a_run(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, train=6, dev=4)
    gone = tmp_path / "gone"
    for data in ({"path": gone}, {"path": toy / "data", "images": gone}):
        with pytest.raises(DataError, match="gone: no such file or folder"):
            train(toy_settings(toy, data=data), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_photographs_whose_names_are_not_utf_8_are_trained_on(tmp_path: Path) -> None:
    photographs = tmp_path / "data"
    photographs.mkdir()
    for number in range(16):
        name = os.fsdecode(b"latin-\xe9-%02d.jpg" % number)
        try:
            (photographs / name).touch()
        except OSError:
            pytest.skip("the file system takes UTF-8 alone")
        (photographs / f"{name}.txt").write_text("a caption")
    make_stores(tmp_path)
    settings = toy_settings(tmp_path, data={"path": photographs, "holdout": 0.4}, epochs=1, batch_images=4)
    train(settings, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert sum(split["images"] for split in facts["data"]["splits"].values()) == 16
    assert all(Path(path).is_file() for path in facts["samples"]["photographs"])


def imported_toy(folder: Path) -> Path:
    """A toy whose stores say that they were imported, as `sterna features import` writes them."""
    toy = make_toy(folder, train=12, dev=4)
    for kind in ("images", "captions"):
        file = toy / "features" / kind / "manifest.json"
        manifest = json.loads(file.read_text())
        unknown = {"size": None, "fit": None, "regions": None} if kind == "images" else {"max_tokens": None}
        manifest["meta"] |= {"backbone": "imported", **unknown}
        file.write_text(json.dumps(manifest))
    return toy


def imported_settings(toy: Path, **changes: object) -> TrainSettings:
    features = {"path": toy / "features", "image": "imported", "text": "imported"}
    return toy_settings(toy, features=features | changes, epochs=1, batch_images=6)


def test_imported_features_are_trained_on_and_cannot_be_exported(tmp_path: Path) -> None:
    toy = imported_toy(tmp_path)
    train(imported_settings(toy), tmp_path / "run")
    data = read(toy / "data").split("dev")
    images, captions = encode_features(tmp_path / "run", data, toy / "features")
    assert (len(images), len(captions)) == (4, len(data.captions))
    for use in (load_run, lambda run: export(run, tmp_path / "model")):
        with pytest.raises(
            RunError, match="trained on imported features, and nothing here makes such of photog"
        ):
            use(tmp_path / "run")


def test_what_imported_features_lack_is_one_sentence(tmp_path: Path) -> None:
    toy = imported_toy(tmp_path)
    with (toy / "data" / "devImages.txt").open("a") as file:
        file.write("new.jpg\nother.jpg\n")
    with (toy / "data" / "captions.token.txt").open("a") as file:
        file.write("new.jpg#0\ta new one\nother.jpg#0\tanother\n")
    for name in ("new.jpg", "other.jpg"):
        (toy / "data" / "images" / name).write_bytes((toy / "data" / "images" / "000.jpg").read_bytes())
    message = (
        "features/images: lacks 'original' of 2 of the 6 items of a split, first 'new.jpg'; import them too"
    )
    with pytest.raises(StoreError, match=message):
        train(imported_settings(toy), tmp_path / "run")


def test_features_that_sterna_made_are_not_taken_for_imported_ones(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, train=6, dev=4)
    with pytest.raises(
        StoreError, match=r"holds features that toy made, not imported ones; name that as features\.im"
    ):
        train(imported_settings(toy), tmp_path / "run")


def test_there_is_no_backbone_of_imported_features_to_train(tmp_path: Path) -> None:
    settings = toy_settings(imported_toy(tmp_path), finetune={"image": {"stages": 1}})
    imported = settings.features.model_copy(update={"image": "imported"})
    with pytest.raises(
        UsageError, match=r"finetune\.image: of imported features there is no backbone to train"
    ):
        train(settings.model_copy(update={"features": imported}), tmp_path / "run")
