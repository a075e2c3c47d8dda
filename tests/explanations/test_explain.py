"""Explanations point at what a model looks at, for a sentence and for each of its words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sterna
from sterna.encoders import alignments, load
from sterna.errors import PhotoError, UsageError
from sterna.explanations import FILLS, Explanation, explain
from tests.conftest import draw_photo
from tests.explanations.seeing import Seeing, painted

TOP_LEFT, BOTTOM_RIGHT = (0, 0, 60, 60), (100, 100, 160, 160)


def strongest(cells: np.ndarray, found: Explanation) -> tuple[float, float]:
    """The middle of the cells' centre of weight, x and y in 0..1 of the photograph."""
    weights = np.clip(cells, 0, None) / np.clip(cells, 0, None).sum()
    boxes = found.boxes
    return (
        float((weights * (boxes[..., 0] + boxes[..., 2]) / 2).sum()),
        float((weights * (boxes[..., 1] + boxes[..., 3]) / 2).sum()),
    )


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("grid", [2, 3, 5, 8, 11])
def test_a_sentence_is_explained_by_the_corner_that_shows_it(grid: int, fill: str) -> None:
    photo = painted(("red", BOTTOM_RIGHT))
    found = explain(photo, "something red", model=Seeing(), grid=grid, fill=fill)  # type: ignore[arg-type]
    assert found.cells.shape == (grid, grid)
    assert found.cells.dtype == np.float32
    x, y = strongest(found.cells, found)
    assert min(x, y) > 0.6
    assert np.unravel_index(found.cells.argmax(), found.cells.shape) >= (grid // 2, grid // 2)


def test_an_encoder_that_looks_at_one_corner_is_explained_by_that_corner() -> None:
    photo = Image.new("RGB", (160, 160), (255, 0, 0))
    photo.paste((0, 0, 255), (0, 0, 80, 80))
    corner = (slice(0, 32), slice(0, 32))
    found = explain(photo, "blue", model=Seeing(corner=corner), fill="mean")
    assert max(strongest(found.cells, found)) < 0.4
    assert np.abs(found.cells[6:, 6:]).max() < 1e-6


def test_each_word_is_explained_by_its_own_corner() -> None:
    photo = painted(("red", TOP_LEFT), ("green", BOTTOM_RIGHT))
    found = explain(photo, "a red thing, a green one!", model=Seeing(), fill="mean")
    words = {word.text: word for word in found.words}
    assert [word.text for word in found.words] == ["a", "red", "thing", "a", "green", "one"]
    assert max(strongest(words["red"].cells, found)) < 0.4
    assert min(strongest(words["green"].cells, found)) > 0.6
    assert all(found.sentence[slice(*word.span)] == word.text for word in found.words)


def test_contributions_are_what_the_score_loses_without_the_word() -> None:
    photo, model = painted(("red", TOP_LEFT), ("green", BOTTOM_RIGHT)), Seeing()
    found = explain(photo, "red and green", model=model)
    score = (model.encode_images(photo) @ model.encode_texts(["red and green", "and green", "and"]).T)[0]
    assert found.score == pytest.approx(score[0], abs=1e-6)
    red, word_and, green = found.words
    assert red.contribution == pytest.approx(score[0] - score[1], abs=1e-6)
    assert (word_and.contribution, word_and.share) == (0.0, 0.0)
    assert np.abs(word_and.cells).max() == 0
    assert red.share + green.share == pytest.approx(1)


def test_what_speaks_against_a_sentence_is_negative() -> None:
    photo = painted(("red", TOP_LEFT), ("blue", BOTTOM_RIGHT))
    found = explain(photo, "red", model=Seeing(), fill="mean")
    assert found.cells[:3, :3].min() > 0
    assert found.cells[-3:, -3:].max() < 0


@pytest.mark.parametrize("size", [(320, 160), (160, 320)])
def test_a_grid_lies_on_what_the_model_looks_at(size: tuple[int, int]) -> None:
    long = max(size)
    middle = (long - 160) // 2
    spot = (middle, 0, middle + 60, 60) if size[0] == long else (0, middle, 60, middle + 60)
    whole = np.array([0, 0, 1, 1], dtype=np.float32)
    for fit in ("squeeze", "crop", "letterbox", "own"):
        found = explain(painted(("red", spot), size=size), "red", model=Seeing(fit))
        cut = np.array([0.25, 0, 0.75, 1] if size[0] == long else [0, 0.25, 1, 0.75], dtype=np.float32)
        assert found.area == pytest.approx(cut if fit == "crop" else whole)
        assert found.boxes[0, 0, :2] == pytest.approx(found.area[:2])
        assert found.boxes[-1, -1, 2:] == pytest.approx(found.area[2:])
        x, y = strongest(found.cells, found)
        assert abs(x * size[0] - (spot[0] + spot[2]) / 2) < 0.15 * size[0], fit
        assert abs(y * size[1] - (spot[1] + spot[3]) / 2) < 0.15 * size[1], fit


def test_a_turned_photograph_is_explained_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    painted(("red", TOP_LEFT)).save(tmp_path / "turned.png", exif=exif)
    found = explain(tmp_path / "turned.png", "red", model=Seeing())
    assert min(strongest(found.cells, found)) > 0.6


def test_a_large_photograph_is_explained_like_a_small_one() -> None:
    small = painted(("red", TOP_LEFT), size=(160, 160))
    large = small.resize((2000, 2000), Image.Resampling.NEAREST)
    one, other = (explain(photo, "red", model=Seeing()) for photo in (small, large))
    np.testing.assert_allclose(one.cells, other.cells, atol=0.02)
    assert other.score == pytest.approx(
        float(Seeing().encode_images(large)[0] @ Seeing().encode_texts("red")[0])
    )


def test_the_thinnest_photograph_is_explained() -> None:
    for size in ((1, 1), (3000, 1), (1, 500)):
        for fit in ("squeeze", "crop", "letterbox"):
            assert np.isfinite(explain(Image.new("RGB", size), "red", model=Seeing(fit), grid=3).cells).all()


def test_the_model_looks_once_for_every_other_cell_and_tells_how_far_it_is() -> None:
    model, told = Seeing(), []
    explain(painted(), "red", model=model, grid=8, progress=lambda done, total: told.append((done, total)))
    assert sum(model.looks) == 32 + 1
    assert (told[0], told[-1]) == ((0, 32), (32, 32))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_real_model_folder_explains_through_the_package_s_door(tiny_model: Path, photos: Path) -> None:
    found = sterna.explain(photos / "photo-00.jpg", "a red dog", model=tiny_model, grid=4)
    assert isinstance(found, sterna.Explanation)
    assert (found.method, found.model) == ("occlusion", "tiny-0")
    model = load(tiny_model)
    score = model.encode_images(photos / "photo-00.jpg")[0] @ model.encode_texts("a red dog")[0]
    assert found.score == pytest.approx(float(score), abs=1e-6)
    again = sterna.explain((photos / "photo-00.jpg").read_bytes(), "a red dog", model=model, grid=4)
    np.testing.assert_array_equal(found.cells, again.cells)
    assert json.loads(json.dumps(found.as_json()))["words"][2]["word"] == "dog"


def test_a_model_that_aligns_is_explained_by_its_regions_after_one_look(
    aligned_model: Path, photos: Path
) -> None:
    told: list[tuple[int, int]] = []
    photo = photos / "photo-03.jpg"
    found = explain(photo, "red dog", model=aligned_model, progress=lambda *done: told.append(done))
    assert (found.method, found.cells.shape, len(told)) == ("alignment", (4, 4), 2)
    model = load(aligned_model)
    sentences = ["red dog", "dog", "red"]
    score, without, alone = alignments(model, [photo], sentences)[0]
    assert found.score == pytest.approx(score, abs=1e-5)
    assert found.words[0].contribution == pytest.approx(score - without, abs=1e-5)
    assert found.words[0].score == pytest.approx(alone, abs=1e-5)


def test_the_region_that_a_word_aligns_with_stands_out(aligned_model: Path) -> None:
    model = load(aligned_model)
    word = model.words("dog")[0]  # type: ignore[attr-defined]
    colours = [
        Image.new("RGB", (32, 32), tuple(c)) for c in np.random.default_rng(0).integers(0, 256, (60, 3))
    ]
    fits = [float(model.regions(one)[0] @ word) for one in colours]  # type: ignore[attr-defined]
    photo = colours[int(np.argmin(fits))].resize((160, 160))
    photo.paste(colours[int(np.argmax(fits))].resize((40, 40)), (120, 0))  # the cell at the top right
    found = explain(photo, "dog", model=model)
    assert np.unravel_index(found.cells.argmax(), (4, 4)) == (0, 3)
    assert np.count_nonzero(np.abs(found.cells) > 1e-6) == 1
    assert found.boxes[0, 3] == pytest.approx([0.75, 0, 1, 0.25])


def test_the_only_word_of_a_sentence_is_all_of_it_to_a_model_that_aligns(
    aligned_model: Path, photos: Path
) -> None:
    found = explain(photos / "photo-03.jpg", "dog", model=aligned_model)
    (word,) = found.words
    assert found.method == "alignment"
    assert (word.text, word.span) == ("dog", (0, 3))
    assert word.score == pytest.approx(found.score, abs=1e-6)
    score, nothing = alignments(load(aligned_model), [photos / "photo-03.jpg"], ["dog", ""])[0]
    assert found.score == pytest.approx(score, abs=1e-5)
    assert word.contribution == pytest.approx(score - nothing, abs=1e-5)
    assert word.share == (1.0 if word.contribution > 0 else 0.0)
    assert np.isfinite(word.cells).all()
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["words"][0]["word"] == "dog"


class Elsewhere:
    """An encoder that aligns, but whose regions lie anywhere, as a detector's do."""

    def __init__(self, path: Path, *, fit: str) -> None:
        self._model = load(path)
        self.fit, self.name, self.alignment = fit, "elsewhere", "MrSw"

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


def test_regions_that_are_no_grid_are_explained_by_hiding(aligned_model: Path) -> None:
    photo = draw_photo(1)
    found = explain(photo, "red dog", model=Elsewhere(aligned_model, fit="own"), grid=4)  # type: ignore[arg-type]
    assert (found.method, found.cells.shape) == ("occlusion", (4, 4))
    assert found.score == pytest.approx(
        float(alignments(load(aligned_model), [photo], ["red dog"])[0, 0]), abs=1e-5
    )


def test_cells_of_a_letterbox_end_where_the_photograph_ends(aligned_model: Path) -> None:
    model = Elsewhere(aligned_model, fit="letterbox")
    found = explain(draw_photo(1, size=(200, 100)), "red dog", model=model)  # type: ignore[arg-type]
    assert found.area == pytest.approx((0, -0.5, 1, 1.5))
    assert found.boxes[0, 0] == pytest.approx([0, 0, 0.25, 0])
    assert found.boxes[1, 0] == pytest.approx([0, 0, 0.25, 0.5])
    assert found.boxes[3, 3] == pytest.approx([0.75, 1, 1, 1])


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Don't drop the T-shirt, please.", ["Don't", "drop", "the", "T-shirt", "please"]),
        ("1,000 people;two dogs (wet)", ["1,000", "people", "two", "dogs", "wet"]),
        ("  un été à la plage ", ["un", "été", "à", "la", "plage"]),
        ("समुद्र तट", ["समुद्र", "तट"]),
        ("a 👨‍👩‍👧 !", ["a", "👨‍👩‍👧"]),
        ("-- 'dog' --", ["dog"]),
    ],
)
def test_words_are_what_a_person_takes_for_words(sentence: str, words: list[str]) -> None:
    found = explain(painted(), sentence, model=Seeing(), grid=2)
    assert [word.text for word in found.words] == words


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"grid": 1}, "grid=1: a whole number from 2 to 20 is needed"),
        ({"grid": 21}, "grid=21: a whole number"),
        ({"grid": True}, "grid=True: a whole number"),
        ({"grid": 4.0}, "grid=4.0: a whole number"),
        ({"fill": "black"}, "fill='black' is not known; known: blur, mean"),
        ({"sentence": ""}, "'': has no word; write what the photograph may show"),
        ({"sentence": " -- ?! "}, "has no word"),
        ({"sentence": ["a dog"]}, "one sentence is needed; a list came"),
        ({"sentence": "dog " * 101}, "a sentence of 101 words: at most 100 can be explained"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], sentence: str) -> None:
    text = options.pop("sentence", "red")
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?")):
        explain(painted(), text, model=Seeing(), **options)  # type: ignore[arg-type]


def test_a_photograph_that_cannot_be_read_is_named(
    tmp_path: Path, tiny_model: Path, aligned_model: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"text")
    for model in (tiny_model, aligned_model):
        with pytest.raises(PhotoError, match=r"bad\.jpg: not a photograph that can be read"):
            explain(tmp_path / "bad.jpg", "a dog", model=model)
        with pytest.raises(PhotoError, match=r"gone\.jpg: no such file"):
            explain(tmp_path / "gone.jpg", "a dog", model=model)
