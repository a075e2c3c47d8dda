"""What a run reads: data of any names, and features whoever made them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
from sterna.errors import StoreError
from sterna.training import train
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
