from __future__ import annotations

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
