"""The names of classes beside what is learned, held against the paper's formula computed the slow way."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import numpy as np

from sterna.errors import UsageError
from sterna.model import TERN, Names, build_model

SOURCES, WIDTH, LEARNED = [6, 10], 8, 16


def make(weight: float = 0.5) -> TERN:
    torch.manual_seed(0)
    model = build_model(SOURCES, [WIDTH], embedding=LEARNED + WIDTH, names=weight)
    generator = torch.Generator().manual_seed(1)
    classifiers = [
        (torch.randn(1000, source, generator=generator), torch.randn(1000, generator=generator))
        for source in SOURCES
    ]
    assert model.names is not None
    model.names.learn(classifiers, torch.randn(1000, WIDTH, generator=generator))
    return model.requires_grad_(False).eval()


def batch(seed: int, dim: int, *, rows: int = 5, items: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and mask; what stands at padding is not a number."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, items + 1, (rows, 1), generator=generator)
    mask = torch.arange(items) < lengths
    values = torch.randn(rows, items, dim, generator=generator)
    return values.masked_fill(~mask[..., None], torch.nan), mask


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def named(model: TERN, values: np.ndarray) -> np.ndarray:
    """Equation 3 of the paper for one image, with every class taking part."""
    assert model.names is not None
    mean = values.mean(0)
    likely, start = [], 0
    for layer in model.names.classifiers:
        weight, bias = layer.weight.numpy(), layer.bias.numpy()
        logits = weight @ mean[start : start + weight.shape[1]] + bias
        likely.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
        start += weight.shape[1]
    names = model.names.names.weight.numpy().T
    return sum(p * name for p, name in zip(np.mean(likely, 0), names, strict=True))


def train_once(model: TERN, images: int, texts: int) -> None:
    model.train()
    model.encode_images(*batch(images, sum(SOURCES)))
    model.encode_texts(*batch(texts, WIDTH))
    model.eval()


def test_an_image_is_the_mean_of_its_classes_names_beside_what_its_tower_says() -> None:
    model = make(weight=0.5)
    train_once(model, 3, 4)
    values, mask = batch(5, sum(SOURCES))
    vectors = model.encode_images(values, mask).numpy()
    alone = model.image(values, mask, None).numpy()
    common = np.mean(
        [named(model, one[real].numpy()) for one, real in zip(*batch(3, sum(SOURCES)), strict=True)], 0
    )
    for vector, tower, one, real in zip(vectors, alone, values, mask, strict=True):
        expected = unit(named(model, one[real].numpy()) - common)
        np.testing.assert_allclose(vector[:LEARNED], tower / 1.5**0.5, atol=1e-5)
        np.testing.assert_allclose(vector[LEARNED:], (0.5 / 1.5) ** 0.5 * expected, atol=1e-5)


def test_a_sentence_is_the_mean_of_its_tokens_without_what_sentences_share() -> None:
    model = make()
    train_once(model, 3, 4)
    values, mask = batch(6, WIDTH)
    common = np.mean([unit(one[real].numpy().mean(0)) for one, real in zip(*batch(4, WIDTH), strict=True)], 0)
    vectors = model.encode_texts(values, mask).numpy()[:, LEARNED:]
    for vector, one, real in zip(vectors, values, mask, strict=True):
        np.testing.assert_allclose(unit(vector), unit(unit(one[real].numpy().mean(0)) - common), atol=1e-5)


@pytest.mark.parametrize("weight", [0.1, 1.0, 4.0])
def test_a_cosine_is_the_weighted_mean_of_both(weight: float) -> None:
    model = make(weight)
    regions, tokens = batch(1, sum(SOURCES)), batch(2, WIDTH)
    seen, said = model.encode_images(*regions), model.encode_texts(*tokens)
    towers = model.image(*regions, None) @ model.text(*tokens).T
    names = (
        torch.nn.functional.normalize(seen[:, LEARNED:], dim=1)
        @ torch.nn.functional.normalize(said[:, LEARNED:], dim=1).T
    )
    torch.testing.assert_close(seen @ said.T, (towers + weight * names) / (1 + weight), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(len(seen)))


def test_what_is_shared_is_the_mean_over_all_batches_of_training_and_stays_in_evaluation() -> None:
    model = make()
    train_once(model, 3, 4)
    train_once(model, 7, 8)
    assert model.names is not None
    kept = model.names.text_mean.clone()
    expected = [
        unit(one[real].numpy().mean(0))
        for seed in (4, 8)
        for one, real in zip(*batch(seed, WIDTH), strict=True)
    ]
    np.testing.assert_allclose(kept.numpy(), np.mean(expected, 0), atol=1e-6)
    model.encode_texts(*batch(9, WIDTH))
    assert torch.equal(model.names.text_mean, kept)


def test_a_vector_does_not_depend_on_its_batch_and_means_do_as_well_as_regions() -> None:
    model = make()
    values, mask = batch(1, sum(SOURCES))
    together = model.encode_images(values, mask)
    for row in range(len(values)):
        torch.testing.assert_close(
            model.encode_images(values[row : row + 1], mask[row : row + 1])[0], together[row]
        )
        mean = values[row][mask[row]].mean(0)[None, None]
        torch.testing.assert_close(
            model.encode_images(mean, torch.ones(1, 1, dtype=torch.bool))[0], together[row]
        )


def test_names_are_not_trained_and_come_back_with_the_weights() -> None:
    model = make()
    train_once(model, 3, 4)
    assert model.names is not None
    fresh = build_model(SOURCES, [WIDTH], embedding=LEARNED + WIDTH, names=1.0)
    trained = {name.partition(".")[0] for name, one in fresh.named_parameters() if one.requires_grad}
    assert trained == {"image", "text"}
    again = TERN.from_config(model.config()).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(
        again.encode_images(*batch(1, sum(SOURCES))), model.encode_images(*batch(1, sum(SOURCES)))
    )
    assert torch.equal(again.encode_texts(*batch(2, WIDTH)), model.encode_texts(*batch(2, WIDTH)))


def test_what_does_not_fit_together_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"embedding=8: names take 8 of these numbers.* name more, such as 520"
    ):
        build_model(SOURCES, [WIDTH], embedding=8, names=0.5)
    with pytest.raises(UsageError, match=r"names=0\.5: adds to dot products"):
        build_model(SOURCES, [WIDTH], embedding=24, names=0.5, absolute=True)
    with pytest.raises(UsageError, match=r"names=-1\.0: a weight above 0 is needed"):
        build_model(SOURCES, [WIDTH], embedding=24, names=-1.0)
    with pytest.raises(
        UsageError, match=r"classifiers of \[\(1000, 6\), \(1000, 10\)\] and names of \(1000, 8\)"
    ):
        Names(SOURCES, WIDTH, weight=1.0).learn([], torch.zeros(3, 3))
    with pytest.raises(UsageError, match=r"model\.names: adds to vectors of whole images"):
        make().read_images(*batch(1, sum(SOURCES)))
    with pytest.raises(UsageError, match=r"model\.names: adds to vectors of whole images"):
        make().read_texts(*batch(1, WIDTH))
