"""What `stream_images` promises: order, bounds, no bad photograph spoiling others, no thread left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna.encoders import EncodedPhoto, Encoder, load
from sterna.errors import ModelError, PhotoError
from tests.conftest import draw_photo


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Encoder:
    return load(tiny_model, threads=2)


def content_of(seed: int, size: tuple[int, int] = (48, 36)) -> bytes:
    buffer = io.BytesIO()
    draw_photo(seed, size=size).save(buffer, "JPEG")
    return buffer.getvalue()


def our_threads() -> list[str]:
    ours = ("sterna-decode", "sterna-network")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


def test_one_answer_for_each_photograph_in_order(model: Encoder) -> None:
    contents = [content_of(seed % 30) for seed in range(100)]
    answers = list(model.stream_images(contents))
    expected = model.encode_images(contents[:30])
    assert len(answers) == 100
    for number, answer in enumerate(answers):
        assert answer.error is None
        assert answer.photo is not None
        assert (answer.photo.width, answer.photo.height) == (48, 36)
        assert answer.vector is not None
        assert np.abs(answer.vector - expected[number % 30]).max() < 1e-6


def test_bad_photographs_spoil_nothing_wherever_they_stand(model: Encoder, tmp_path: Path) -> None:
    good = [content_of(seed) for seed in range(5)]
    expected = model.encode_images(good)
    (tmp_path / "folder.jpg").mkdir()
    bad: list[bytes | Path] = [b"", b"text", good[0][:200], tmp_path / "gone.jpg", tmp_path / "folder.jpg"]
    mixed: list[bytes | Path] = []
    for number in range(60):
        mixed.append(bad[number % 5] if number % 3 or 20 < number < 40 else good[number % 5])
    answers = list(model.stream_images(mixed))
    assert len(answers) == 60
    for source, answer in zip(mixed, answers, strict=True):
        if source in good:
            assert np.abs(answer.vector - expected[good.index(source)]).max() < 1e-6
            assert answer.error is None
        else:
            assert answer.vector is None
            assert answer.photo is None
            assert isinstance(answer.error, PhotoError)
            assert answer.error.reason


def test_only_a_bounded_number_is_decoded_ahead(model: Encoder) -> None:
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield content

    content = content_of(1, (16, 12))
    stream = model.stream_images(source())
    for _ in range(3):
        next(stream)
    assert taken < 100
    stream.close()
    assert taken < 100


def test_stopping_early_leaves_no_thread(model: Encoder) -> None:
    stream = model.stream_images(content_of(seed) for seed in range(1000))
    next(stream)
    assert our_threads()
    stream.close()
    assert not our_threads()
    for _ in model.stream_images([content_of(1)] * 50):
        break  # the iterator is thrown away here
    assert not our_threads()
    list(model.stream_images([content_of(1)] * 5))
    assert not our_threads()
    model.stream_images([content_of(1)])  # never started
    assert not our_threads()


def test_an_interruption_leaves_no_thread(model: Encoder) -> None:
    def source() -> Iterator[bytes]:
        for seed in range(40):
            if seed == 35:
                raise KeyboardInterrupt
            yield content_of(seed)

    with pytest.raises(KeyboardInterrupt):
        list(model.stream_images(source()))
    assert not our_threads()


def test_a_failing_network_is_told_once_and_leaves_no_thread(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    broken = Path(shutil.copytree(tiny_model, tmp_path / "broken"))
    (broken / "image.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"image\.onnx"):
        list(load(broken).stream_images([content_of(1)] * 30))
    assert not our_threads()


def test_an_encoder_may_be_shared_by_threads(tiny_model: Path) -> None:
    fresh = load(tiny_model, threads=2)
    contents = [content_of(seed) for seed in range(12)]
    expected = load(tiny_model, threads=1).encode_images(contents)
    results: list[float] = []

    def work() -> None:
        fresh.encode_texts(["a dog", "two people"])
        results.append(float(np.abs(fresh.encode_images(contents) - expected).max()))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert max(results) < 1e-6


def test_the_notes_of_a_photograph_come_with_its_vector(model: Encoder) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Two dogs"
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    buffer = io.BytesIO()
    draw_photo(1, size=(64, 40)).save(buffer, "JPEG", exif=exif)
    (answer,) = model.stream_images([buffer.getvalue()])
    assert isinstance(answer, EncodedPhoto)
    assert answer.photo is not None
    assert (answer.photo.width, answer.photo.height) == (40, 64)
    assert answer.photo.descriptions == ("Two dogs",)
    assert answer.photo.taken_at is not None
    assert answer.photo.taken_at.year == 2020
