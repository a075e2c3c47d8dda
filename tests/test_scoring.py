"""Similarities against loops that anyone can follow, of NumPy and of torch."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna import errors
from sterna.scoring import (
    ALIGNMENTS,
    SCORES,
    Items,
    align,
    align_blocks,
    blocks,
    dot,
    mrsw,
    order,
    pad,
    scan_i2t,
    scan_t2i,
)

E = 6


def _vectors(seed: int, rows: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, E)).astype(dtype)


def _sets(seed: int, lengths: list[int], *, dtype: str = "float64", unit: bool = True) -> list[np.ndarray]:
    """A set of vectors of each length."""
    sets = [_vectors(seed + place, length, dtype) for place, length in enumerate(lengths)]
    return [one / np.linalg.norm(one, axis=1, keepdims=True) for one in sets] if unit else sets


# Vectors


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("float16", "float16", "float32"),
        ("float32", "float16", "float32"),
        ("float32", "float64", "float32"),
        ("float64", "float64", "float64"),
    ],
)
def test_dot_products_are_those_of_every_pair(first: str, second: str, result: str) -> None:
    queries, gallery = _vectors(0, 3, first), _vectors(1, 4, second)
    found = dot(queries, gallery)
    assert found.dtype == result
    slow = [[sum(float(a) * float(b) for a, b in zip(q, g, strict=True)) for g in gallery] for q in queries]
    np.testing.assert_allclose(found, slow, rtol=1e-5, atol=1e-6)


def test_order_violations_are_those_of_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    images, captions = _vectors(0, 3), _vectors(1, 4)
    slow = [
        [
            -(sum(max(0.0, abs(float(b)) - abs(float(a))) ** 2 for a, b in zip(i, c, strict=True)) ** 0.5)
            for c in captions
        ]
        for i in images
    ]
    for cells in (1, 60, 1 << 22):  # one image at a time, two, all
        monkeypatch.setattr("sterna.scoring._vectors._CELLS", cells)
        found = order(images, captions)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, slow, rtol=1e-5, atol=1e-6)
    assert order(images[:0], captions).shape == (0, 4)
    assert order(images, captions[:0]).shape == (3, 0)


def test_a_caption_that_says_no_more_than_its_image_violates_nothing() -> None:
    image = _vectors(0, 1)
    assert order(image, image / 2)[0, 0] == 0
    assert order(image / 2, image)[0, 0] < 0


@pytest.mark.parametrize("score", [dot, order])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 8, 1000])
def test_blocks_cover_all_queries_once_and_in_order(score: object, block: int) -> None:
    queries, gallery = _vectors(0, 7), _vectors(1, 5)
    parts = list(blocks(queries, gallery, block=block, score=score))  # type: ignore[arg-type]
    assert [number for part, _ in parts for number in range(part.start, part.stop)] == list(range(7))
    assert max(len(similarities) for _, similarities in parts) <= block
    whole = score(queries, gallery)  # type: ignore[operator]
    np.testing.assert_allclose(np.concatenate([similarities for _, similarities in parts]), whole, atol=1e-6)


def test_no_queries_give_no_blocks() -> None:
    assert list(blocks(_vectors(0, 0), _vectors(1, 5))) == []


# Alignment: the same, a word and a region at a time


def slow_teran(kind: str, regions: np.ndarray, words: np.ndarray) -> float:
    matches = [[sum(float(x) * float(y) for x, y in zip(r, w, strict=True)) for w in words] for r in regions]
    if not len(regions) or not len(words):
        return 0.0
    by_word = sum(max(row[j] for row in matches) for j in range(len(words)))
    by_region = sum(max(row) for row in matches)
    return {
        "MrSw": by_word,
        "MrAVGw": by_word / len(words),
        "MwSr": by_region,
        "symm": by_word + by_region,
    }[kind]


def slow_scan(askers: np.ndarray, sources: np.ndarray, *, sharpness: float, lse: float | None) -> float:
    """Every vector that an asker gathers is written out, and compared."""
    if not len(askers) or not len(sources):
        return 0.0
    attention = np.array([[float(asker @ source) for source in sources] for asker in askers])
    attention = np.where(attention > 0, attention, attention * 0.1)
    for k in range(len(sources)):
        attention[:, k] /= math.sqrt(sum(value * value for value in attention[:, k])) + 1e-8
    cosines = []
    for asker, row in zip(askers, attention, strict=True):
        powers = [math.exp(sharpness * value) for value in row]
        gathered = sum(power / sum(powers) * source for power, source in zip(powers, sources, strict=True))
        cosines.append(float(asker @ gathered) / (np.linalg.norm(asker) * np.linalg.norm(gathered)))
    if lse is None:
        return sum(cosines) / len(cosines)
    return math.log(sum(math.exp(lse * cosine) for cosine in cosines)) / lse


def slow(name: str, regions: np.ndarray, words: np.ndarray) -> float:
    if not name.startswith("scan"):
        return slow_teran(name, regions, words)
    lse = {"scan-i2t-lse": 5.0, "scan-t2i-lse": 6.0}.get(name)
    if name.startswith("scan-t2i"):
        return slow_scan(words, regions, sharpness=9, lse=lse)
    return slow_scan(regions, words, sharpness=4, lse=lse)


def slow_all(name: str, images: list[np.ndarray], captions: list[np.ndarray]) -> list[list[float]]:
    return [[slow(name, regions, words) for words in captions] for regions in images]


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("name", ALIGNMENTS)
def test_an_alignment_is_what_one_word_and_region_at_a_time_give(name: str, unit: bool) -> None:
    images, captions = _sets(0, [4, 1, 3], unit=unit), _sets(9, [2, 5, 1, 3], unit=unit)
    found = ALIGNMENTS[name](pad(images), pad(captions))
    np.testing.assert_allclose(found, slow_all(name, images, captions), rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(ALIGNMENTS)),
    images=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    captions=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    block=st.integers(1, 40),
)
def test_blocks_of_any_size_give_what_loops_give(
    name: str, images: list[int], captions: list[int], seed: int, block: int
) -> None:
    regions, words = _sets(seed, images), _sets(seed + 50, captions)
    found = align(regions, words, score=name, block=block)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_all(name, regions, words), rtol=1e-4, atol=1e-5)


def test_blocks_are_as_small_as_asked_and_cover_every_pair_once() -> None:
    images, captions = _sets(0, [4, 4, 1, 2, 3, 9]), _sets(20, [2, 8, 8, 3])
    seen = np.zeros((6, 4), dtype=int)
    for rows, columns, found in align_blocks(images, captions, score="MrSw", block=8):
        assert found.shape == (len(rows), len(columns))
        assert len(rows) == 1 or len(rows) * max(len(images[row]) for row in rows) <= 8
        assert len(columns) == 1 or len(columns) * max(len(captions[column]) for column in columns) <= 8
        seen[np.ix_(rows, columns)] += 1
    assert (seen == 1).all()


def test_nobody_against_anybody_is_an_empty_matrix() -> None:
    assert align([], _sets(0, [2]), score="MrSw").shape == (0, 1)
    assert align(_sets(0, [2]), [], score="MrSw").shape == (1, 0)


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_padding_changes_nothing_whatever_stands_there(name: str) -> None:
    images, captions = pad(_sets(0, [3, 2])), pad(_sets(9, [2, 4, 1]))
    wanted = ALIGNMENTS[name](images, captions)
    for rubbish in (100.0, -100.0, np.nan, np.inf):
        longer = []
        for values, mask in (images, captions):
            more = np.full((len(values), values.shape[1] + 3, E), rubbish)
            more[:, : values.shape[1]] = np.where(mask[..., None], values, rubbish)
            longer.append(Items(more, np.pad(mask, ((0, 0), (0, 3)))))
        found = ALIGNMENTS[name](*longer)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_the_order_of_regions_and_of_words_does_not_matter(name: str) -> None:
    images, captions = _sets(0, [5]), _sets(9, [4])
    turned = ALIGNMENTS[name](pad([images[0][::-1].copy()]), pad([captions[0][[2, 0, 3, 1]]]))
    np.testing.assert_allclose(turned, ALIGNMENTS[name](pad(images), pad(captions)), atol=1e-12)


def test_negative_matches_count_as_they_are() -> None:
    """No clamp at 0: the best region of a word may still be a bad one."""
    word = np.array([[1.0, 0.0]])
    regions = np.array([[-1.0, 0.0], [-0.5, 0.0]])
    assert mrsw(pad([regions]), pad([word]))[0, 0] == -0.5


@pytest.mark.parametrize(("score", "asks"), [(scan_t2i, "words"), (scan_i2t, "regions")])
@pytest.mark.parametrize("lse", [None, 20.0])
def test_the_sharpness_of_attention_and_of_its_sum_can_be_chosen(score, asks: str, lse: float | None) -> None:
    (regions,), (words,) = _sets(0, [4]), _sets(9, [3])
    found = score(pad([regions]), pad([words]), sharpness=2.5, lse=lse)[0, 0]
    both = (words, regions) if asks == "words" else (regions, words)
    assert found == pytest.approx(slow_scan(*both, sharpness=2.5, lse=lse), abs=1e-6)


# NumPy and torch


def _torch(items: Items) -> Items:
    torch = pytest.importorskip("torch")
    return Items(torch.from_numpy(items.values), torch.from_numpy(items.mask))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", SCORES)
def test_torch_and_numpy_agree(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    if name in ALIGNMENTS:
        both = pad(_sets(0, [4, 1, 3], dtype=dtype)), pad(_sets(9, [2, 5], dtype=dtype))
        found = ALIGNMENTS[name](*map(_torch, both))
    else:
        both = _vectors(0, 5, dtype), _vectors(1, 4, dtype)
        found = SCORES[name](*map(torch.from_numpy, both))
    wanted = SCORES[name](*both)
    assert wanted.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert str(found.dtype) == f"torch.{wanted.dtype}"
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_blocks_take_tensors_too() -> None:
    torch = pytest.importorskip("torch")
    images, captions = _sets(0, [4, 1, 3]), _sets(9, [2, 5])
    tensors = [[torch.from_numpy(one).requires_grad_() for one in side] for side in (images, captions)]
    found = align(*tensors, score="symm", block=6)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, align(images, captions, score="symm"), atol=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_gradients_are_those_of_small_steps(name: str) -> None:
    torch = pytest.importorskip("torch")
    if name not in ALIGNMENTS:
        values = [torch.from_numpy(_vectors(seed, 3, "float64")).requires_grad_() for seed in (0, 1)]
        assert torch.autograd.gradcheck(SCORES[name], values)
        return
    images, captions = map(_torch, (pad(_sets(0, [3, 2])), pad(_sets(9, [1, 4]))))

    def score(regions, words):
        return ALIGNMENTS[name](Items(regions, images.mask), Items(words, captions.mask))

    assert torch.autograd.gradcheck(score, (images.values.requires_grad_(), captions.values.requires_grad_()))


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_gradients_are_finite_and_none_at_padding_and_where_there_is_nothing(name: str) -> None:
    torch = pytest.importorskip("torch")
    images, captions = map(_torch, (pad(_sets(0, [3, 0])), pad(_sets(9, [0, 4]))))
    regions, words = images.values.requires_grad_(), captions.values.requires_grad_()
    ALIGNMENTS[name](images, captions).sum().backward()
    for values, mask in ((regions, images.mask), (words, captions.mask)):
        assert torch.isfinite(values.grad).all()
        assert (values.grad[~mask] == 0).all()
        assert values.grad[mask].abs().sum() > 0


def test_order_has_a_finite_gradient_where_nothing_is_violated() -> None:
    torch = pytest.importorskip("torch")
    images = torch.tensor([[0.6, 0.8]], requires_grad=True)
    captions = torch.tensor([[0.6, 0.8], [0.1, 0.2], [0.9, 0.1]], requires_grad=True)
    order(images, captions).sum().backward()
    assert torch.isfinite(images.grad).all()
    assert torch.equal(captions.grad[:2], torch.zeros(2, 2))
    assert torch.allclose(captions.grad[2], torch.tensor([-1.0, 0.0]))


def test_scoring_does_not_bring_torch() -> None:
    program = (
        "import sys, numpy, sterna.scoring as s; i = s.pad([numpy.ones((2, 3))]); s.symm(i, i); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Errors


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(errors.UsageError, match=r"shapes \(2, 6\) and \(2, 5\); \[Q, E\] and \[G, E\]"):
        dot(_vectors(0, 2), _vectors(1, 2)[:, :5])
    with pytest.raises(errors.UsageError, match=r"shapes \(6,\) and \(2, 6\)"):
        order(_vectors(0, 2)[0], _vectors(1, 2))
    with pytest.raises(errors.UsageError, match="block is 0; at least 1 is needed"):
        next(blocks(_vectors(0, 2), _vectors(1, 2), block=0))
    with pytest.raises(errors.UsageError, match="block is 0; at least 1 is needed"):
        align(_sets(0, [2]), _sets(1, [2]), score="MrSw", block=0)
    with pytest.raises(errors.UsageError, match=r"score='dot' is not known; known: MrAVGw, MrSw, MwSr, scan"):
        align(_sets(0, [2]), _sets(1, [2]), score="dot")
    with pytest.raises(errors.UsageError, match=r"items: there are none"):
        pad([])
    with pytest.raises(errors.UsageError, match=r"items of shapes \(2, 6\) and \(2, 5\); all \[R, E\]"):
        pad([_vectors(0, 2), _vectors(0, 2)[:, :5]])
    two, one = pad(_sets(0, [2])), pad([_vectors(0, 2)[:, :5]])
    with pytest.raises(errors.UsageError, match=r"items of shapes \(1, 2, 6\) and \(1, 2, 5\)"):
        mrsw(two, one)
    with pytest.raises(errors.UsageError, match=r"items and mask of shapes \(1, 2, 6\) and \(1, 1\)"):
        mrsw(Items(two.values, two.mask[:, :1]), two)
