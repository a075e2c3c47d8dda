"""Every optimizer by name: what it takes, what it refuses, and that a stopped run ends with the same bits."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.errors import SettingsError, UsageError
from sterna.settings import load_settings
from sterna.training import OptimizerSettings, ScheduleSettings, TrainSettings, train
from sterna.training._checkpoint import Position, load_last, save_last
from sterna.training._optimizer import OPTIMIZERS, build_optimizer, set_rates
from sterna.training._schedule import Schedule
from tests.training.toy import make_toy, toy_settings


class Stop(Exception):
    pass


def stopping_at(step):
    def watch(progress):
        if progress.step == step:
            raise Stop

    return watch


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"), train=24)


def small(settings, *, rows=3):
    torch.manual_seed(0)
    learner = torch.nn.ModuleDict({"model": torch.nn.Linear(4, rows), "objective": torch.nn.LayerNorm(rows)})
    return learner, build_optimizer(learner, settings)


# What is not the optimizer's own default, where it has arguments worth it.
PARAMS = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "adam": {"amsgrad": True},
    "adagrad": {"lr_decay": 0.01},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_an_optimizer_remembers_survives_its_checkpoint_bit_for_bit(name, tmp_path):
    settings = OptimizerSettings(name=name, rate=0.01, params=PARAMS.get(name, {}))

    def steps(learner, optimizer, numbers):
        for number in numbers:
            optimizer.zero_grad()
            learner["objective"](learner["model"](torch.full((2, 4), number + 1.0))).pow(3).sum().backward()
            optimizer.step()

    whole, optimizer = small(settings)
    steps(whole, optimizer, range(5))
    first, optimizer = small(settings)
    steps(first, optimizer, range(2))
    save_last(tmp_path, Position(step=2), learner=first, optimizer=optimizer, average=None)
    second, optimizer = small(settings)
    load_last(tmp_path, learner=second, optimizer=optimizer, average=None)
    optimizer.load_state_dict(optimizer.state_dict())  # as Accelerate does to have it on its device
    steps(second, optimizer, range(2, 5))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "name",
    [*("sgd", "muon"), *(pytest.param(name, marks=pytest.mark.long) for name in OPTIMIZERS)],
)
def test_a_run_goes_on_with_the_bits_of_one_never_stopped_whatever_the_optimizer(name, toy, tmp_path):
    optimizer = {"name": name, "rate": 0.003, "params": PARAMS.get(name, {})}
    schedule = {"name": "1cycle", "momentum": (0.8, 0.9)} if name in ("sgd", "nadam", "muon") else {}
    settings = toy_settings(toy, epochs=2, optimizer=optimizer, schedule=schedule, checkpoint_every=1)
    train(settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(2))
    train(None, tmp_path / "stopped", resume=True)
    one, other = (
        load_file(tmp_path / run / "checkpoints" / "last.safetensors") for run in ("whole", "stopped")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    start = train_start(settings, toy, tmp_path)
    moved = [key for key in start if not torch.equal(start[key], one[key])]
    assert len(moved) == len(start)


def train_start(settings, toy, folder):
    """The weights before the first step."""
    from sterna.training._learner import new_model
    from tests.training.toy import SOURCES, WORDS

    torch.manual_seed(settings.seed)
    model = new_model(settings.model, image_sources=SOURCES, text_sources=(WORDS,))
    return {f"weights/model.{key}": value for key, value in model.named_parameters()}


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_toy_is_learned_by_every_optimizer(name, toy, tmp_path):
    rates = {"sgd": 0.5, "asgd": 0.5, "adadelta": 1.0, "adagrad": 0.03, "adafactor": 0.03}
    optimizer = {"name": name, "rate": rates.get(name, 0.005), "params": PARAMS.get(name, {})}
    result = train(toy_settings(toy, epochs=15, optimizer=optimizer), tmp_path / "run")
    assert result.best > 260  # chance is about 200


def test_steps_are_those_of_the_optimizer_with_its_arguments():
    settings = OptimizerSettings(name="SGD", rate=0.5, weight_decay=0.1, params={"momentum": 0.9})
    learner, optimizer = small(settings)
    twin, _ = small(settings)
    theirs = torch.optim.SGD(
        [
            {"params": [twin["model"].weight], "weight_decay": 0.1},
            {"params": [twin["model"].bias, *twin["objective"].parameters()]},
        ],
        lr=0.5,
        momentum=0.9,
    )
    for _ in range(3):
        for module, one in ((learner, optimizer), (twin, theirs)):
            one.zero_grad()
            module["objective"](module["model"](torch.ones(2, 4))).pow(3).sum().backward()
            one.step()
    for mine, wanted in zip(learner.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, wanted)


def test_muon_steps_the_matrices_and_adamw_the_rest():
    settings = OptimizerSettings(name="muon", rate=0.01, weight_decay=0.1)
    learner, optimizer = small(settings)
    twin, _ = small(settings)
    muon = torch.optim.Muon([twin["model"].weight], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    rest = [twin["model"].bias, *twin["objective"].parameters()]
    adamw = torch.optim.AdamW(rest, lr=0.01, weight_decay=0)
    for _ in range(3):
        for module, some in ((learner, [optimizer]), (twin, [muon, adamw])):
            module.zero_grad()
            module["objective"](module["model"](torch.ones(2, 4))).pow(3).sum().backward()
            for one in some:
                one.step()
    for mine, wanted in zip(learner.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, wanted)
    assert len(optimizer.state) == 4


def test_decay_is_of_adamw_unless_it_is_named():
    assert OptimizerSettings().weight_decay == 0.3
    assert OptimizerSettings(name="sgd").weight_decay == 0
    assert OptimizerSettings(name="sgd", weight_decay=0.01).weight_decay == 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lion"}, r"optimizer\.name='lion' is not known; known: adadelta, adafactor, .*, sgd"),
        (
            {"name": "sgd", "params": {"momentun": 0.9}},
            "momentun: is no argument of sgd; known: dampening, mom",
        ),
        ({"name": "sgd", "params": {"lr": 0.9}}, r"optimizer\.params\.lr: is no argument of sgd"),
        ({"name": "sgd", "betas": (0.9, 0.99)}, r"optimizer\.betas: sgd has none; leave it out"),
        (
            {"name": "sgd", "params": {"momentum": -1}},
            r"optimizer sgd: torch refuses its arguments \(Invalid",
        ),
        ({"name": "sgd", "params": {"momentum": "much"}}, r"optimizer sgd: torch refuses its arguments"),
        ({"name": "rprop", "weight_decay": 0.1}, r"weight_decay=0\.1: rprop knows no decay"),
        ({"betas": (0.9, 0.99), "params": {"betas": (0.9, 0.99)}}, "is there as optimizer.betas too"),
        ({"parts": {"text_backbone": {"rate": 1}}}, "nothing of it is trained; what is: model, objective"),
        ({"parts": {"model": {"start_epoch": 4}}}, "start_epoch=4 is never reached in 4 epochs"),
        (
            {"parts": {"model": {"start_epoch": 1}, "objective": {"start_epoch": 1}}},
            "nothing is trained in epoch 0",
        ),
    ],
)
def test_an_optimizer_that_is_none_is_refused_before_anything_is_written(settings, message, toy, tmp_path):
    with pytest.raises(UsageError, match=message):
        train(toy_settings(toy, optimizer=settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_momentum_that_is_not_there_cannot_go_up_and_down(toy, tmp_path):
    changes = {"optimizer": {"name": "adagrad"}, "schedule": {"name": "1cycle", "momentum": (0.8, 0.9)}}
    with pytest.raises(UsageError, match=r"schedule\.momentum: adagrad has no momentum"):
        train(toy_settings(toy, **changes), tmp_path / "run")


def test_an_unknown_part_is_refused():
    with pytest.raises(SettingsError, match=r"optimizer\.parts"):
        load_settings(TrainSettings, {"optimizer": {"parts": {"head": {"rate": 1}}}})


def test_a_part_has_its_own_rate_and_decay_and_is_frozen_until_its_epoch():
    settings = OptimizerSettings(
        rate=0.1, parts={"objective": {"rate": 0.01, "start_epoch": 2, "weight_decay": 0.5}}
    )
    learner, optimizer = small(settings)
    schedule = Schedule(ScheduleSettings(name="constant", warmup=0), 6, 2)
    before = [one.clone() for one in learner["objective"].parameters()]
    for step in range(6):
        rates = set_rates(optimizer, settings, schedule, step=step, held=0.5)
        frozen = step < 4
        assert rates == {"model": 0.1, "objective": 0.0 if frozen else 0.01}
        optimizer.zero_grad()
        learner["objective"](learner["model"](torch.ones(2, 4))).pow(3).sum().backward()
        assert all((one.grad is None) is frozen for one in learner["objective"].parameters())
        optimizer.step()
        pairs = zip(before, learner["objective"].parameters(), strict=True)
        assert all(torch.equal(*pair) is frozen for pair in pairs)
    decays = {group["part"]: group["weight_decay"] for group in optimizer.param_groups if group["matrices"]}
    assert decays == {"model": 0.3}  # a norm has no matrices


def test_a_part_that_begins_later_survives_being_stopped(toy, tmp_path):
    settings = toy_settings(
        toy, optimizer={"parts": {"objective": {"start_epoch": 2, "rate": 0.1}}}, checkpoint_every=1, epochs=4
    )
    train(settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(3))
    train(None, tmp_path / "stopped", resume=True)
    one, other = (
        load_file(tmp_path / run / "checkpoints" / "last.safetensors") for run in ("whole", "stopped")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_plateaus_memory_survives_being_stopped(toy, tmp_path):
    schedule = {"name": "plateau", "patience": 0, "gamma": 0.5, "threshold": 0.2, "cooldown": 1, "warmup": 0}
    settings = toy_settings(toy, schedule=schedule, epochs=8)
    told = []
    train(settings, tmp_path / "whole", progress=lambda one: told.append(one.rate))
    assert len(set(told)) > 2
    assert sorted(told, reverse=True) == told
    for step in (9,):
        run, gone = tmp_path / f"stopped-{step}", []
        with pytest.raises(Stop):
            train(settings, run, progress=stopping_at(step))
        train(None, run, resume=True, progress=lambda one, gone=gone: gone.append(one.rate))
        assert gone == told[-len(gone) :]
        one, other = (
            load_file(path / "checkpoints" / "last.safetensors") for path in (tmp_path / "whole", run)
        )
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    "metric", ["rsum", "t2i.hits.20", "i2t.hits.5", "t2i.map_at_r", "i2t.ndcg.10", "t2i.median_rank"]
)
def test_any_figure_of_a_report_may_decide(metric, toy, tmp_path):
    result = train(toy_settings(toy, validation={"metric": metric}, epochs=1), tmp_path / "run")
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for key in metric.split("."):
        row = row[key]
    assert result.best == row


@pytest.mark.parametrize(
    "metric",
    ["hits.5", "i2t.hits", "i2t.hits.0", "i2t.hits.05", "i2t.mrr.5", "i2t.returned", "i2t.rsum", "t2i."],
)
def test_what_is_no_figure_of_a_report_cannot_decide(metric):
    with pytest.raises(
        SettingsError, match=r"a metric is rsum, or i2t\. or t2i\. and one of hits\.K, recall\.K"
    ):
        load_settings(TrainSettings, {"validation": {"metric": metric}})


def test_the_best_by_ranks_is_the_lowest(toy, tmp_path):
    validation = {"metric": "i2t.mean_rank"}
    result = train(toy_settings(toy, validation=validation, epochs=5), tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    ranks = [row["i2t"]["mean_rank"] for row in log if row["kind"] == "validation"]
    assert result.best == min(ranks) < max(ranks)
