"""Regions and words of models that tell them apart, and what others answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sterna.encoders import Aligns, aligned, alignments, fingerprint_folder, load, read_config
from sterna.errors import ModelError, PhotoError, UsageError
from tests.conftest import draw_photo


@pytest.fixture(scope="module")
def model(aligned_model: Path) -> Aligns:
    return aligned(load(aligned_model, threads=2))


@pytest.fixture
def copied(aligned_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(aligned_model, tmp_path / "copied"))


def change(folder: Path, **values: object) -> Path:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name, value in values.items():
        section, _, key = name.rpartition("__")
        (config[section] if section else config)[key] = value
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_regions_and_words_are_unit_vectors(model: Aligns, photos: Path) -> None:
    assert (model.score, model.alignment) == ("MrSw", "MrSw")
    regions, words = model.regions(photos / "photo-00.jpg"), model.words("Two red PEOPLE")
    assert (regions.shape, words.shape) == ((16, 32), (3, 32))
    for vectors in (regions, words):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.words("red two people"), words[[1, 0, 2]], atol=1e-6)
    assert model.words("").shape == (0, 32)
    assert model.words("dog " * 40).shape == (16, 32)
    assert np.array_equal(model.regions((photos / "photo-00.jpg").read_bytes()), regions)


def test_vectors_are_those_of_the_same_model_without_regions(
    model: Aligns, tiny_model: Path, photos: Path
) -> None:
    other, paths = load(tiny_model), sorted(photos.glob("*.jpg"))
    assert np.array_equal(model.encode_images(paths), other.encode_images(paths))


def test_alignments_are_each_word_s_best_region_added_up(model: Aligns, photos: Path) -> None:
    paths, sentences = sorted(photos.glob("*.jpg"))[:3], ["a red dog", "snow", ""]
    found = alignments(model, paths, sentences)
    for row, path in zip(found, paths, strict=True):
        for score, sentence in zip(row, sentences, strict=True):
            best = [max(float(r @ w) for r in model.regions(path)) for w in model.words(sentence)]
            assert score == pytest.approx(sum(best), abs=1e-5)


def test_an_unreadable_photograph_has_no_alignment_and_disturbs_no_other(
    model: Aligns, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "bad.jpg").write_bytes(b"no photograph")
    paths = [photos / "bad.jpg", *sorted(photos.glob("photo-*.jpg")), photos / "gone.jpg"]
    whole = alignments(model, paths, ["a dog"])
    assert np.isnan(whole[[0, -1]]).all()
    assert np.isfinite(whole[1:-1]).all()
    monkeypatch.setattr("sterna.encoders._align._AT_ONCE", 3)
    np.testing.assert_array_equal(alignments(model, paths, ["a dog"]), whole)
    with pytest.raises(PhotoError, match=r"bad\.jpg: not a photograph that can be read"):
        model.regions(photos / "bad.jpg")
    with pytest.raises(PhotoError, match=r"not a photograph that can be read"):
        model.regions(b"text")
    assert alignments(model, [], ["a dog"]).shape == (0, 1)
    assert alignments(model, paths[1:2], []).shape == (1, 0)


def test_a_model_that_compares_whole_photographs_says_so(tiny_model: Path) -> None:
    model = load(tiny_model)
    assert (model.score, model.alignment) == ("dot", None)  # type: ignore[attr-defined]
    sentence = (
        "tiny-0: this model compares whole photographs and sentences, and cannot align regions with words"
    )
    for ask in (
        lambda: aligned(model),
        lambda: alignments(model, [], []),
        lambda: model.regions(draw_photo(0)),  # type: ignore[attr-defined]
        lambda: model.words("a dog"),  # type: ignore[attr-defined]
    ):
        with pytest.raises(UsageError, match=sentence):
            ask()


def test_one_sentence_has_words(model: Aligns) -> None:
    with pytest.raises(UsageError, match="one sentence is needed; a list came"):
        model.words(["a dog", "a cat"])  # type: ignore[arg-type]


def test_the_fingerprint_does_not_know_how_items_are_compared(copied: Path) -> None:
    before = fingerprint_folder(copied)
    assert fingerprint_folder(change(copied, score="dot", alignment="scan-t2i")) == before
    assert (read_config(copied).score, read_config(copied).alignment) == ("dot", "scan-t2i")


def test_scores_that_are_not_known_are_named(copied: Path) -> None:
    change(copied, score="cosine", alignment="dot", image__items=["regions"])
    with pytest.raises(ModelError) as caught:
        read_config(copied)
    problems = str(caught.value)
    assert "score is 'cosine', known: MrAVGw, MrSw, MwSr, dot, order, scan-i2t" in problems
    assert "alignment is 'dot', known: MrAVGw, MrSw, MwSr, scan-i2t" in problems
    assert "image.items is ['regions'], the two names [regions, regions_mask] are needed" in problems


def test_networks_that_lack_the_items_that_config_json_promises_are_named(
    tiny_model: Path, tmp_path: Path, photos: Path
) -> None:
    folder = change(Path(shutil.copytree(tiny_model, tmp_path / "copied")), alignment="MrSw")
    with pytest.raises(
        ModelError, match=r"gives vectors; config.json says pixels and vectors, regions, regions_mask"
    ):
        aligned(load(folder)).regions(photos / "photo-00.jpg")
    folder = change(folder, image__items=["vectors", "vectors"])
    with pytest.raises(ModelError, match=r"image.onnx: gives \[1, 32\] for 1 inputs"):
        aligned(load(folder)).regions(photos / "photo-00.jpg")
