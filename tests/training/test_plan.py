from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from sterna.training._plan import BatchOrder, Plan, seed_of

plans = st.builds(
    Plan,
    images=st.integers(2, 60),
    batch_images=st.integers(2, 20),
    accumulation=st.integers(1, 4),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 9),
    views=st.integers(1, 3),
)


@given(plans)
def test_an_epoch_shows_no_image_twice_and_leaves_out_less_than_a_batch(plan):
    for epoch in range(plan.epochs):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        shown = np.concatenate([part.images for step in steps for part in plan.parts(step)])
        assert len(set(shown)) == len(shown) <= plan.images
        assert plan.images - len(shown) < plan.batch_images
        assert all(part.epoch == epoch for step in steps for part in plan.parts(step))


def padded(plan, lengths):
    """Tokens of all batches of an epoch that stand for nothing."""
    parts = [part.images for step in range(plan.steps_per_epoch) for part in plan.parts(step)]
    return sum(int((lengths[images].max() - lengths[images]).sum()) for images in parts)


@given(plans, st.integers(0, 99))
def test_batches_of_like_lengths_show_the_same_images_once_and_pad_no_more(plan, seed):
    lengths = np.random.default_rng(seed).integers(1, 40, plan.images)
    bucketed = dataclasses.replace(plan, lengths=tuple(lengths.tolist()))
    for epoch in range(plan.epochs):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        one, other = (
            np.concatenate([part.images for step in steps for part in each.parts(step)])
            for each in (plan, bucketed)
        )
        assert sorted(one) == sorted(other)  # what is left out is chosen whatever its length
    assert padded(bucketed, lengths) <= padded(plan, lengths)


def test_batches_of_like_lengths_are_shuffled_and_pad_far_less():
    lengths = np.random.default_rng(0).poisson(12, 6000) + 2
    plan = Plan(
        images=6000, batch_images=50, accumulation=1, epochs=2, seed=0, lengths=tuple(lengths.tolist())
    )
    plain = dataclasses.replace(plan, lengths=None)
    assert padded(plan, lengths) < 0.15 * padded(plain, lengths)
    means = [lengths[plan.parts(step)[0].images].mean() for step in range(plan.steps_per_epoch)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3  # not from short to long
    first, second = ({frozenset(plan.parts(step)[0].images) for step in range(s, s + 120)} for s in (0, 120))
    assert not first & second  # other company every epoch
    distinct = dataclasses.replace(plan, lengths=tuple(range(6000)))
    once, twice = ({frozenset(distinct.parts(s)[0].images) for s in range(b, b + 120)} for b in (0, 120))
    assert not once & twice  # not even where every length is there only once
    again = dataclasses.replace(plan, lengths=tuple(lengths.tolist()))
    assert np.array_equal(plan.parts(150)[0].images, again.parts(150)[0].images)


@given(plans, st.data())
def test_the_order_from_a_step_on_is_the_end_of_the_whole_order(plan, data):
    start = data.draw(st.integers(0, plan.steps))
    whole, rest = list(BatchOrder(plan, 0)), list(BatchOrder(plan, start))
    assert len(whole) == len(BatchOrder(plan, 0))
    assert len(rest) == len(BatchOrder(plan, start))
    for one, other in zip(whole[len(whole) - len(rest) :], rest, strict=True):
        assert one.step == other.step
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.views, other.views)


def test_epochs_and_seeds_have_orders_of_their_own():
    plan = Plan(images=50, batch_images=50, accumulation=1, epochs=2, seed=0, views=4)
    other = Plan(images=50, batch_images=50, accumulation=1, epochs=2, seed=1, views=4)
    first, second = plan.parts(0)[0], plan.parts(1)[0]
    assert not np.array_equal(first.images, second.images)
    assert not np.array_equal(first.images, other.parts(0)[0].images)
    assert set(first.views) == {0, 1, 2, 3}
    by_image = [dict(zip(part.images, part.views, strict=True)) for part in (first, second)]
    assert by_image[0] != by_image[1]


def test_every_forward_pass_has_its_own_seed():
    seeds = {seed_of(0, step, part) for step in range(100) for part in range(4)} | {seed_of(1, 0, 0)}
    assert len(seeds) == 401
    assert seed_of(3, 14, 1) == seed_of(3, 14, 1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_captions_are_drawn_without_repetition(owned, wanted, epoch):
    plan = Plan(images=2, batch_images=2, accumulation=1, epochs=1, seed=0)
    chosen = plan.choose_captions(epoch, 1, owned=owned, wanted=wanted)
    assert len(set(chosen)) == len(chosen) == min(owned, wanted)
    assert all(0 <= one < owned for one in chosen)
