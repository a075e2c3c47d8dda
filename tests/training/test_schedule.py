"""Rates held against torch's own schedulers, which remember, over whole runs."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import settings as each_case
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from sterna.errors import SettingsError
from sterna.settings import load_settings
from sterna.training import PartSettings, ScheduleSettings, TrainSettings
from sterna.training._schedule import Plateau, Schedule

RATE = 0.2


def rates_of_torch(make, *, steps, each=lambda scheduler, step: scheduler.step()):
    """The rate at every step, by one of torch's schedulers, and the momentum."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler, rates, momenta = make(optimizer), [], []
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if step + 1 < steps:
                each(scheduler, step + 1)
    return rates, momenta


def rates_of(settings, *, steps, steps_per_epoch=1):
    schedule = Schedule(ScheduleSettings(**settings), steps, steps_per_epoch)
    return [RATE * schedule.factor(step) for step in range(steps)]


def same(ours, theirs):
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["cosine", "linear", "constant"])
def test_the_rate_climbs_to_one_and_falls_to_its_floor(name):
    floor = {} if name == "constant" else {"floor": 0.05}
    schedule = Schedule(ScheduleSettings(name=name, warmup=0.1, **floor), 100, 10)
    factors = [schedule.factor(step) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1
    assert factors[11:] == sorted(factors[11:], reverse=True)
    assert factors[100] == pytest.approx(1 if name == "constant" else 0.05)
    assert factors[55] == pytest.approx(1 if name == "constant" else 0.525)


@each_case(deadline=None, max_examples=50)
@given(steps=st.integers(2, 80), floor=st.sampled_from([0.0, 0.1]))
def test_without_a_climb_cosine_and_linear_are_torchs(steps, floor):
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.CosineAnnealingLR(one, steps, eta_min=RATE * floor), steps=steps
    )
    same(rates_of({"name": "cosine", "warmup": 0, "floor": floor}, steps=steps), theirs)
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.LinearLR(one, 1.0, floor, total_iters=steps), steps=steps
    )
    same(rates_of({"name": "linear", "warmup": 0, "floor": floor}, steps=steps), theirs)


@each_case(deadline=None, max_examples=50)
@given(
    epochs=st.integers(1, 12),
    per_epoch=st.integers(1, 5),
    every=st.integers(1, 4),
    gamma=st.sampled_from([0.1, 0.5]),
)
def test_a_rate_in_steps_is_torchs(epochs, per_epoch, every, gamma):
    def each(scheduler, step):
        if step % per_epoch == 0:
            scheduler.step()

    steps = epochs * per_epoch
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.StepLR(one, every, gamma=gamma), steps=steps, each=each
    )
    settings = {"name": "step", "warmup": 0, "gamma": gamma}
    same(rates_of(settings | {"every": every}, steps=steps, steps_per_epoch=per_epoch), theirs)
    milestones = [every, every + 2, 7]
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.MultiStepLR(one, milestones, gamma=gamma), steps=steps, each=each
    )
    same(rates_of(settings | {"milestones": milestones}, steps=steps, steps_per_epoch=per_epoch), theirs)


@each_case(deadline=None, max_examples=50)
@given(
    steps=st.integers(6, 90),
    warmup=st.sampled_from([0.2, 0.3, 0.45]),
    anneal=st.sampled_from(["cosine", "linear"]),
    three_phase=st.booleans(),
    start=st.sampled_from([0.04, 0.1]),
    floor=st.sampled_from([4e-6, 0.01]),
)
def test_one_cycle_is_torchs_with_its_momentum(steps, warmup, anneal, three_phase, start, floor):
    theirs, momenta = rates_of_torch(
        lambda one: lr_scheduler.OneCycleLR(
            one,
            RATE,
            total_steps=steps,
            pct_start=warmup,
            anneal_strategy="cos" if anneal == "cosine" else "linear",
            base_momentum=0.8,
            max_momentum=0.95,
            div_factor=1 / start,
            final_div_factor=start / floor,
            three_phase=three_phase,
        ),
        steps=steps,
    )
    settings = {
        "name": "1cycle",
        "warmup": warmup,
        "anneal": anneal,
        "three_phase": three_phase,
        "start": start,
        "floor": floor,
        "momentum": (0.8, 0.95),
    }
    same(rates_of(settings, steps=steps), theirs)
    schedule = Schedule(ScheduleSettings(**settings), steps, 1)
    same([schedule.momentum(step) for step in range(steps)], momenta)


def test_one_cycle_unless_told_otherwise_is_torchs_unless_told_otherwise():
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.OneCycleLR(one, RATE, total_steps=50, cycle_momentum=False), steps=50
    )
    same(rates_of({"name": "1cycle"}, steps=50), theirs)


@each_case(deadline=None, max_examples=50)
@given(
    epochs=st.integers(1, 20),
    per_epoch=st.integers(1, 4),
    period=st.integers(1, 4),
    growth=st.integers(1, 2),
    floor=st.sampled_from([0.0, 0.2]),
)
def test_warm_restarts_are_torchs(epochs, per_epoch, period, growth, floor):
    steps = epochs * per_epoch
    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.CosineAnnealingWarmRestarts(one, period, growth, eta_min=RATE * floor),
        steps=steps,
        each=lambda scheduler, step: scheduler.step(step / per_epoch),
    )
    settings = {"name": "restarts", "warmup": 0, "period": period, "growth": growth, "floor": floor}
    same(rates_of(settings, steps=steps, steps_per_epoch=per_epoch), theirs)


@each_case(deadline=None, max_examples=50)
@given(
    values=st.lists(st.sampled_from([1.0, 1.00005, 2.0, 3.0, 3.1]), min_size=1, max_size=30),
    lower=st.booleans(),
    patience=st.integers(0, 2),
    cooldown=st.integers(0, 2),
    floor=st.sampled_from([0.0, 0.3]),
)
def test_a_plateau_is_torchs_whichever_way_is_better(values, lower, patience, cooldown, floor):
    def each(scheduler, step):
        scheduler.step(values[step - 1])

    theirs, _ = rates_of_torch(
        lambda one: lr_scheduler.ReduceLROnPlateau(
            one,
            "min" if lower else "max",
            factor=0.5,
            patience=patience,
            cooldown=cooldown,
            min_lr=RATE * floor,
            eps=0,
        ),
        steps=len(values) + 1,
        each=each,
    )
    settings = ScheduleSettings(
        name="plateau", warmup=0, gamma=0.5, patience=patience, cooldown=cooldown, floor=floor
    )
    schedule, plateau = Schedule(settings, len(values) + 1, 1), Plateau()
    ours = [RATE * schedule.factor(0, held=plateau.factor)]
    for step, value in enumerate(values):
        plateau.see(value, settings, lower=lower)
        ours.append(RATE * schedule.factor(step + 1, held=plateau.factor))
    same(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "cosine"},
        {"name": "step", "every": 2},
        {"name": "restarts", "period": 2},
        {"name": "plateau"},
        {"name": "constant"},
    ],
)
def test_a_part_stays_still_until_its_epoch_and_then_climbs_to_the_schedule_of_all(settings):
    schedule = Schedule(ScheduleSettings(warmup=0.1, **settings), 100, 10)
    part = PartSettings(start_epoch=3, warmup=0.05)
    late = [schedule.factor(step, part) for step in range(100)]
    common = [schedule.factor(step) for step in range(100)]
    assert late[:30] == [0] * 30
    assert late[30:35] == pytest.approx([common[30 + k] * (k + 1) / 6 for k in range(5)])
    assert late[35:] == common[35:]
    at_once = [schedule.factor(step, PartSettings(warmup=0)) for step in range(100)]
    assert at_once[:10] == [1] * 10
    assert at_once[10:] == common[10:]


def test_a_part_of_one_cycle_climbs_only_where_it_is_asked_to():
    schedule = Schedule(ScheduleSettings(name="1cycle"), 100, 10)
    common = [schedule.factor(step) for step in range(100)]
    assert [schedule.factor(step, PartSettings(rate=3)) for step in range(100)] == common
    late = [schedule.factor(step, PartSettings(start_epoch=1, warmup=0.01)) for step in range(100)]
    assert late == [0] * 10 + [common[10] / 2] + common[11:]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "constant", "floor": 0.1},
            r"floor=0\.1 would change nothing: a constant rate takes warmup",
        ),
        ({"gamma": 0.5}, r"gamma=0\.5 would change nothing: a cosine rate takes warmup, floor"),
        ({"name": "step"}, "step needs milestones or every, in epochs, and not both"),
        (
            {"name": "step", "every": 1, "milestones": [2]},
            "step needs milestones or every, in epochs, and not",
        ),
        ({"name": "restarts"}, "restarts needs period"),
        ({"name": "1cycle", "three_phase": True, "warmup": 0.6}, "at most 0.5"),
        ({"name": "1cycle", "momentum": [0.95, 0.85]}, "the lower comes first"),
    ],
)
def test_a_schedule_that_is_none_is_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(TrainSettings, {"schedule": settings})
