"""A model folder on ONNX Runtime, through `sterna.encoders.load`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sterna.encoders import (
    Encoder,
    damaged_files,
    default_model,
    fingerprint_folder,
    load,
    read_config,
    write_calibration,
)
from sterna.errors import LockedError, ModelError, PhotoError, UsageError
from sterna.files import sole_writer
from sterna.images import open_photo, to_square
from tests.conftest import draw_photo


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Encoder:
    return load(tiny_model, threads=2)


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copied"))


def change(folder: Path, **values: object) -> Path:
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for name, value in values.items():
        section, _, key = name.rpartition("__")
        target = config[section] if section else config
        target[key] = value
    file.write_text(json.dumps(config), encoding="utf-8")
    return folder


def is_unit(vectors: np.ndarray) -> bool:
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5))


# Photographs


def test_photographs_become_unit_vectors_in_order(model: Encoder, photos: Path) -> None:
    paths = sorted(photos.rglob("*.jpg"))
    vectors = model.encode_images(paths)
    assert vectors.shape == (12, model.dim)
    assert vectors.dtype == np.float32
    assert is_unit(vectors)
    for path, vector in zip(paths, vectors, strict=True):
        assert np.abs(model.encode_images([path])[0] - vector).max() < 1e-6


def test_a_path_its_text_its_bytes_and_its_image_are_the_same_photograph(
    model: Encoder, photos: Path
) -> None:
    path = photos / "photo-00.jpg"
    expected = model.encode_images([path])
    for source in (path, str(path), path.read_bytes()):
        assert np.array_equal(model.encode_images(source), expected)
    assert float(model.encode_images(Image.open(path))[0] @ expected[0]) > 0.999  # decoded at its full scale


def test_a_folder_gives_the_vectors_that_its_networks_give(
    model: Encoder, tiny_model: Path, photos: Path
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tiny_model / "image.onnx"))
    path = photos / "photo-03.jpg"
    pixels = to_square(open_photo(path, at_least=32).image, 32, "squeeze")
    (expected,) = session.run(["vectors"], {"pixels": pixels[None]})
    assert np.abs(model.encode_images(path) - expected).max() < 1e-6


def test_no_photographs_and_no_sentences_give_empty_matrices(model: Encoder) -> None:
    assert model.encode_images([]).shape == (0, model.dim)
    assert model.encode_texts([]).shape == (0, model.dim)
    assert list(model.stream_images([])) == []


def test_an_unreadable_photograph_is_named(model: Encoder, photos: Path) -> None:
    bad = photos / "bad.jpg"
    bad.write_bytes(b"")
    with pytest.raises(PhotoError, match=r"bad\.jpg: the file is empty"):
        model.encode_images([photos / "photo-00.jpg", bad])
    with pytest.raises(PhotoError, match="photograph 2 of 2: not a photograph that can be read"):
        model.encode_images([draw_photo(1), b"text"])


def test_what_is_no_photograph_is_a_wrong_use(model: Encoder) -> None:
    with pytest.raises(UsageError, match="a int came"):
        model.encode_images(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a int came"):
        model.encode_images([3])  # type: ignore[list-item]


# Sentences


def test_sentences_become_unit_vectors_in_order(model: Encoder) -> None:
    sentences = ["the cat", "a dog", "two people the beach sunset a red dog", "snow"]
    vectors = model.encode_texts(sentences)
    assert vectors.shape == (4, model.dim)
    assert vectors.dtype == np.float32
    assert is_unit(vectors)
    for sentence, vector in zip(sentences, vectors, strict=True):
        assert np.abs(model.encode_texts(sentence)[0] - vector).max() < 1e-6


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "dog", "cat", "snow", "zebra"]), min_size=1, max_size=30), min_size=1
    )
)
@settings(max_examples=40, deadline=None)
def test_an_embedding_does_not_depend_on_its_batch(model: Encoder, words: list[list[str]]) -> None:
    sentences = [" ".join(item) for item in words]
    together = model.encode_texts(sentences)
    alone = np.concatenate([model.encode_texts(sentence) for sentence in sentences])
    assert np.abs(together - alone).max() < 1e-6


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_encoded(model: Encoder, text: str) -> None:
    assert np.isfinite(model.encode_texts([text, "a dog"])).all()


@pytest.mark.parametrize("text", ["", "   ", "\ud800 dog", "dog \udcff", "\0", "👩‍👩‍👧 dog", "e\u0301" * 40])
def test_odd_texts_are_encoded(model: Encoder, text: str) -> None:
    assert np.isfinite(model.encode_texts(text)).all()


def test_a_long_text_is_cut_at_the_most_tokens(model: Encoder) -> None:
    start = "dog " * 16
    assert np.array_equal(model.encode_texts(start + "cat " * 400_000), model.encode_texts(start))


def test_lower_casing_is_the_models_choice(copied: Path) -> None:
    file = copied / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    tokenizer["normalizer"] = None
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    lowered = load(copied)
    assert np.array_equal(lowered.encode_texts("DOG"), lowered.encode_texts("dog"))
    kept = load(change(copied, text__lowercase=False))
    assert not np.array_equal(kept.encode_texts("DOG"), kept.encode_texts("dog"))


def test_few_words_are_read_within_the_sentence_of_the_model(copied: Path) -> None:
    plain = load(copied)
    texts = ["dog", " two  dogs ", "dogs in snow", "", "   "]
    framed = ["there is dog", "there is  two  dogs ", "dogs in snow", "", "   "]
    wanted = plain.encode_texts(framed)
    assert not np.allclose(plain.encode_texts(texts)[:2], wanted[:2], atol=1e-3)
    before = fingerprint_folder(copied)
    model = load(change(copied, text__few_words="there is {}"))
    np.testing.assert_allclose(model.encode_texts(texts), wanted, atol=1e-5)
    assert fingerprint_folder(copied) != before  # its vectors are others
    for wrong in ("there is", "{} and {}", 3):
        with pytest.raises(ModelError, match="text.few_words is .*, a sentence with one {} is needed"):
            read_config(change(copied, text__few_words=wrong))


def test_a_sentence_is_text(model: Encoder) -> None:
    for wrong in (5, None):
        with pytest.raises(
            UsageError, match="sentences are texts, alone or in a list; a (int|NoneType) came"
        ):
            model.encode_texts(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sentence 1 of 1: text is needed, a bytes came"):
        model.encode_texts(b"dog")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sentence 2 of 2: text is needed, a int came"):
        model.encode_texts(["dog", 5])  # type: ignore[list-item]


# The folder


def test_name_dim_and_fingerprint_come_from_the_folder(model: Encoder, tiny_model: Path) -> None:
    assert (model.name, model.dim) == ("tiny-0", 32)
    assert model.fingerprint == fingerprint_folder(tiny_model)


def test_the_stated_fingerprint_is_taken_and_can_be_verified(copied: Path) -> None:
    actual = fingerprint_folder(copied)
    change(copied, fingerprint="f" * 64)
    assert load(copied).fingerprint == "f" * 64
    assert fingerprint_folder(copied) == actual


def test_the_fingerprint_changes_with_what_decides_a_vector_and_with_nothing_else(copied: Path) -> None:
    first = fingerprint_folder(copied)
    change(copied, name="renamed", results={"rsum": 300})
    assert fingerprint_folder(copied) == first
    change(copied, image__fit="crop")
    second = fingerprint_folder(copied)
    with (copied / "tokenizer.json").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert len({first, second, fingerprint_folder(copied)}) == 3


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(
        ModelError, match=f"{name}: missing from the model folder; copy the whole folder again"
    ):
        load(copied)


def test_a_damaged_file_is_named_when_it_is_needed(copied: Path, photos: Path) -> None:
    for name in ("image.onnx", "text.onnx", "tokenizer.json"):
        content = (copied / name).read_bytes()
        (copied / name).write_bytes(content[: len(content) // 2])
    model = load(copied)
    with pytest.raises(ModelError, match=r"image\.onnx: not a network that ONNX Runtime can load"):
        model.encode_images(photos / "photo-00.jpg")
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a tokenizer that can be loaded"):
        model.encode_texts("a dog")


def test_only_the_network_that_is_needed_is_loaded(copied: Path, photos: Path) -> None:
    (copied / "image.onnx").write_bytes(b"damaged")
    assert load(copied).encode_texts("a dog").shape == (1, 32)


def test_networks_and_config_that_disagree_are_told_apart(copied: Path, photos: Path) -> None:
    wrong_name = load(change(copied, image__input="pictures"))
    with pytest.raises(
        ModelError, match=r"takes pixels and gives vectors; config.json says pictures and vectors"
    ):
        wrong_name.encode_images(photos / "photo-00.jpg")
    wrong_dim = load(change(copied, image__input="pixels", dim=64))
    with pytest.raises(ModelError, match=r"gives \[1, 32\] for 1 inputs; config.json says dim 64"):
        wrong_dim.encode_images(photos / "photo-00.jpg")
    wrong_size = load(change(copied, dim=32, image__size=40))
    with pytest.raises(ModelError, match=r"image.onnx: the network failed \("):
        wrong_size.encode_images(photos / "photo-00.jpg")


def test_every_mistake_in_config_json_is_named_at_once(copied: Path) -> None:
    change(
        copied,
        name="",
        dim=True,
        image__size="big",
        image__fit="stretch",
        text__inputs=["ids"],
        text__lowercase=1,
    )
    change(copied, image__file="../image.onnx")
    with pytest.raises(ModelError) as caught:
        read_config(copied)
    assert str(caught.value).split(": ", 1)[1].split("; ") == [
        "name is '', text is needed",
        "dim is True, a whole number from 1 is needed",
        "image.file is '../image.onnx', the name of a file in the model folder is needed",
        "image.size is 'big', a whole number from 1 is needed",
        "image.fit is 'stretch', known: squeeze, crop, letterbox",
        "text.lowercase is 1, true or false is needed",
        "text.inputs is ['ids'], the two names [ids, mask] are needed",
    ]


def test_a_config_of_another_schema_or_shape_says_so(copied: Path) -> None:
    change(copied, schema=2)
    with pytest.raises(ModelError, match="schema is 2; this version of Sterna reads schema 1"):
        load(copied)
    (copied / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="holds a list; an object of settings is needed"):
        load(copied)
    (copied / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json: not valid JSON"):
        load(copied)
    change_nothing = json.dumps({"schema": 1, "name": "x", "dim": 3, "image": 5})
    (copied / "config.json").write_text(change_nothing, encoding="utf-8")
    with pytest.raises(ModelError, match=r"image\.size is None, a whole number from 1 is needed"):
        load(copied)


# Loading


def test_an_unknown_model_is_answered_with_what_is_accepted(tmp_path: Path) -> None:
    for name in ("nonsense", str(tmp_path), str(tmp_path / "gone")):
        with pytest.raises(ModelError) as caught:
            load(name)
        message = str(caught.value)
        assert message.startswith(f"{name}: ")
        for kind in ("hf:NAME", "training run", "model folder"):
            assert kind in message


def test_a_folder_may_begin_with_a_tilde(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(copied.parent))
    assert load("~/copied").fingerprint == load(Path("~/copied")).fingerprint == load(copied).fingerprint
    with pytest.raises(ModelError, match="nobody-of-this-name"):
        load("~nobody-of-this-name/model")


def test_a_hugging_face_folder_may_begin_with_a_tilde() -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ModelError, match="nobody-of-this-name"):
        load("hf:~nobody-of-this-name/model")


def test_at_least_one_thread_is_needed(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="threads=0: at least 1 is needed"):
        load(tiny_model, threads=0)


def test_the_number_of_threads_changes_nothing(tiny_model: Path, photos: Path) -> None:
    paths = sorted(photos.glob("*.jpg"))
    one = load(tiny_model, threads=1).encode_images(paths)
    many = load(str(tiny_model), threads=5).encode_images(paths)
    assert np.abs(one - many).max() < 1e-6


def test_the_shipped_model_lies_in_the_package() -> None:
    import sterna

    assert default_model() == Path(sterna.__file__).parent / "models" / "base"


# Its least score

CALIBRATION = {
    "min_score": 0.25, "recall": 0.9, "precision": 0.1, "hidden": 0.8, "images": 3, "captions": 6,
    "data": "flickr", "split": "dev",
}  # fmt: skip


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_calibration_that_is_killed_leaves_a_sound_model_and_the_next_one_clears_up(
    copied: Path, killed_at: int
) -> None:
    program = "\n".join(
        [
            "import json, os, signal, sys",
            "from pathlib import Path",
            "from sterna.encoders import write_calibration",
            "done, rename = 0, Path.replace",
            "def replace(self, target):",
            "    global done",
            "    done += 1",
            "    if done == int(sys.argv[2]):",
            "        os.kill(os.getpid(), signal.SIGKILL)",
            "    return rename(self, target)",
            "Path.replace = replace",
            "write_calibration(sys.argv[1], json.loads(sys.argv[3]))",
        ]
    )
    write_calibration(copied, {**CALIBRATION, "min_score": 0.5})
    files = sorted(copied.iterdir())
    command = [sys.executable, "-c", program, str(copied), str(killed_at), json.dumps(CALIBRATION)]
    assert subprocess.run(command, check=False).returncode < 0
    least = read_config(copied).min_score
    assert least == (0.5 if killed_at == 1 else 0.25)  # what decides was written first, or nothing was
    assert len(sorted(copied.iterdir())) == len(files) + 1
    write_calibration(copied, {**CALIBRATION, "min_score": 0.125})
    assert sorted(copied.iterdir()) == files
    assert read_config(copied).min_score == 0.125
    assert "score less than 0.125" in (copied / "README.md").read_text(encoding="utf-8")


def test_two_processes_do_not_calibrate_one_folder_at_once(copied: Path) -> None:
    before = (copied / "config.json").read_bytes()
    with (
        sole_writer(copied, "config.json"),
        pytest.raises(LockedError, match="is being written by another process"),
    ):
        write_calibration(copied, CALIBRATION)
    assert (copied / "config.json").read_bytes() == before


# What is damaged


def test_files_that_cannot_be_loaded_are_named(copied: Path) -> None:
    assert damaged_files(copied) == []
    network = (copied / "image.onnx").read_bytes()
    (copied / "image.onnx").write_bytes(network[: len(network) // 2])
    (copied / "tokenizer.json").write_text("{", encoding="utf-8")
    words = damaged_files(copied)
    assert [word.partition(": ")[0] for word in words] == [
        str(copied / "tokenizer.json"),
        str(copied / "image.onnx"),
    ]
    (copied / "image.onnx").write_bytes(network)
    change(copied, image__output="nope")
    assert "takes pixels and gives vectors; config.json says pixels and nope" in damaged_files(copied)[1]


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        ("x", "calibration is 'x', an object of settings is needed"),
        ([], "calibration is [], an object of settings is needed"),
        ({"min_score": 5}, "calibration.min_score is 5, a number from -1 to 1 is needed"),
        ({"min_score": "high"}, "calibration.min_score is 'high', a number is needed"),
        ({"min_score": True}, "calibration.min_score is True, a number is needed"),
    ],
)
def test_a_least_score_that_cannot_be_is_refused(copied: Path, calibration: object, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_config(change(copied, calibration=calibration))
    assert str(caught.value) == f"{copied / 'config.json'}: {says}"
