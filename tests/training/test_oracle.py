"""Runs computed again the slow, obvious way: one item at a time, every formula written out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.data import read
from sterna.features import FeatureStore
from sterna.objectives import Given, build_objective
from sterna.training import train
from sterna.training._learner import new_model, takes_means
from sterna.training._plan import Plan
from tests.training.toy import SOURCES, WORDS, make_toy, toy_settings

RATE, DECAY, EPSILON = (
    0.02,
    0.1,
    0.05,
)  # an epsilon this large keeps what gradients differ by small in the steps
TOWER = {"skip_hidden": 32, "skip_dropout": 0}
POOLED = {"embedding": 16, "image": TOWER, "text": TOWER}
LAYERED = {
    "embedding": 16,
    "width": 16,
    "heads": 2,
    "feedforward": 32,
    "dropout": 0,
    "image": {**TOWER, "layers": 1, "pooling": "max"},
    "text": {**TOWER, "layers": 1, "skip": False},
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"), train=24)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # items this small only wait for each other
    yield
    torch.set_num_threads(threads)


class Slow:
    """The features of the toy by image and caption, and a model that sees one of them at a time."""

    def __init__(self, toy: Path, settings) -> None:
        self.data = read(toy / "data")
        self.images = FeatureStore.open(toy / "features" / "images")
        self.captions = FeatureStore.open(toy / "features" / "captions")
        torch.manual_seed(settings.seed)
        self.model = new_model(settings.model, image_sources=SOURCES, text_sources=(WORDS,))
        self.objective = build_objective(settings.objective.name, settings.objective.params)

    def owned(self, image: str) -> list[str]:
        place = self.data.image_ids.index(image)
        return [
            name
            for name, owner in zip(self.data.caption_ids, self.data.owners, strict=True)
            if owner == place
        ]

    def see(self, image: str, view: str = "original") -> torch.Tensor:
        row = self.images.index_of(image)
        values, boxes = (torch.tensor(self.images.row(name, row)) for name in (view, f"{view}.boxes"))
        return self.model.encode_images(values[None].float(), torch.ones(1, len(values)).bool(), boxes[None])[
            0
        ]

    def words(self, caption: str) -> torch.Tensor:
        return torch.tensor(self.captions.row("values", self.captions.index_of(caption))).float()

    def read(self, caption: str) -> torch.Tensor:
        words = self.words(caption)
        return self.model.encode_texts(words[None], torch.ones(1, len(words)).bool())[0]

    def named(self) -> dict[str, torch.Tensor]:
        both = {"model": self.model, "objective": self.objective}
        return {
            f"{part}.{name}": value
            for part, module in both.items()
            for name, value in module.named_parameters()
        }


def slow_rate(step: int, steps: int, settings) -> float:
    rising = round(settings.schedule.warmup * steps)
    if step < rising:
        return settings.optimizer.rate * (step + 1) / (rising + 1)
    angle = math.pi * (step - rising) / (steps - rising)
    return settings.optimizer.rate * (1 + math.cos(angle)) / 2


def slow_run(toy: Path, settings) -> tuple[dict, dict, list[float]]:
    """Weights, averages and losses after every step of a run without accumulation and dropout."""
    slow = Slow(toy, settings)
    train_ids = slow.data.split("train").image_ids
    plan = Plan(
        images=len(train_ids),
        batch_images=settings.batch_images,
        accumulation=1,
        epochs=settings.epochs,
        seed=settings.seed,
        views=len(settings.features.views),
    )
    weights = slow.named()
    first = {name: torch.zeros_like(value) for name, value in weights.items()}
    second = {name: torch.zeros_like(value) for name, value in weights.items()}
    averages = {name: value.detach().clone() for name, value in weights.items()}
    losses = []
    for step in range(plan.steps):
        (part,) = plan.parts(step)
        images, captions, owners, targets = [], [], [], []
        for place, (image, view) in enumerate(zip(part.images, part.views, strict=True)):
            own = slow.owned(train_ids[image])
            if settings.captions_per_image != "all":
                chosen = plan.choose_captions(
                    part.epoch, image, owned=len(own), wanted=settings.captions_per_image
                )
                own = [own[one] for one in chosen]
            images.append(slow.see(train_ids[image], settings.features.views[view]))
            captions += [slow.read(one) for one in own]
            targets += [slow.words(one).mean(0) for one in own]
            owners += [place] * len(own)
        loss = slow.objective(
            torch.stack(images),
            torch.stack(captions),
            torch.tensor(owners),
            given=Given(targets=torch.stack(targets)),
        )
        losses.append(loss.item())
        gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
        length = math.sqrt(sum(float(one.double().square().sum()) for one in gradients.values()))
        shrunk = 1.0 if settings.clip is None else min(1.0, settings.clip / length)
        rate = slow_rate(step, plan.steps, settings)
        with torch.no_grad():
            for name, value in weights.items():
                if value.ndim > 1 and name.rpartition(".")[2].startswith("weight"):
                    value.mul_(1 - rate * DECAY)
                gradient = gradients[name] * shrunk
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient**2
                corrected = first[name] / (1 - 0.9 ** (step + 1))
                spread = (second[name] / (1 - 0.999 ** (step + 1))).sqrt()
                value.sub_(rate * corrected / (spread + EPSILON))
                kept = min(settings.ema or 0, (1 + step) / (10 + step))
                averages[name] = kept * averages[name] + (1 - kept) * value
    return weights, averages, losses


CASES = {
    "the rate of the schedule": {},
    "clipped gradients": {"clip": 0.05},
    "averaged weights": {"ema": 0.8},
    "one caption an image": {"captions_per_image": 1},
    "views side by side in a batch": {"views": ("original", "flip")},
    "layers over all regions": {"model": LAYERED},
    "layers over regions of several views": {"model": LAYERED, "views": ("original", "flip")},
    "soft targets": {
        "objective": {"name": "infonce", "params": {"soft_weight": 0.7, "soft_temperature": 0.2}}
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_what_the_slow_formulas_give(case, toy, tmp_path):
    changes = {"model": POOLED, **CASES[case]}
    views = changes.pop("views", ("original",))
    settings = toy_settings(
        toy,
        optimizer={"rate": RATE, "weight_decay": DECAY, "epsilon": EPSILON},
        schedule={"name": "cosine", "warmup": 0.3},
        epochs=2,
        log_every=1,
        **changes,
    )
    settings = settings.model_copy(update={"features": settings.features.model_copy(update={"views": views})})
    train(settings, tmp_path / "run")
    weights, averages, losses = slow_run(toy, settings)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    logged = [row["loss"] for row in map(json.loads, lines) if row["kind"] == "train"]
    assert logged == pytest.approx(losses, abs=1e-5)
    last = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
    for name, value in weights.items():
        torch.testing.assert_close(last[f"weights/{name}"], value.detach(), atol=1e-5, rtol=0)
    if settings.ema:
        for name, value in averages.items():
            torch.testing.assert_close(last[f"average/{name}"], value, atol=1e-5, rtol=0)


def slow_hits(scores: list[list[float]], right) -> list[float]:
    """Shares of queries (rows) with a right answer among the first 1, 5 and 10; ties count against."""
    ranks = []
    for query, row in enumerate(scores):
        if not any(right(query, answer) for answer in range(len(row))):
            continue
        best = max(score for answer, score in enumerate(row) if right(query, answer))
        ranks.append(1 + sum(score >= best for answer, score in enumerate(row) if not right(query, answer)))
    return [sum(rank <= cutoff for rank in ranks) / len(ranks) for cutoff in (1, 5, 10)]


def test_validation_measures_the_model_as_people_use_it_without_dropout(toy, tmp_path):
    tower = {"skip_hidden": 32, "skip_dropout": 0.9}
    settings = toy_settings(toy, model={"embedding": 16, "image": tower, "text": tower}, epochs=1)
    train(settings, tmp_path / "run")
    slow = Slow(toy, settings)
    slow.model.eval()
    weights = load_file(tmp_path / "run" / "checkpoints" / "best.safetensors")
    slow.model.load_state_dict(
        {
            name.removeprefix("weights/model."): value
            for name, value in weights.items()
            if name.startswith("weights/model.")
        }
    )
    dev = slow.data.split("dev")
    with torch.no_grad():
        images = torch.stack([slow.see(one) for one in dev.image_ids])
        captions = torch.stack([slow.read(one) for one in dev.caption_ids])
    scores = (images @ captions.T).tolist()
    i2t = slow_hits(scores, lambda image, caption: dev.owners[caption] == image)
    t2i = slow_hits(
        [list(column) for column in zip(*scores, strict=True)],
        lambda caption, image: dev.owners[caption] == image,
    )
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    (measured,) = [row for row in map(json.loads, lines) if row["kind"] == "validation"]
    assert [measured["i2t"]["hits"][cutoff] for cutoff in ("1", "5", "10")] == pytest.approx(i2t)
    assert [measured["t2i"]["hits"][cutoff] for cutoff in ("1", "5", "10")] == pytest.approx(t2i)
    assert measured["rsum"] == pytest.approx(100 * sum(i2t + t2i))


@pytest.mark.parametrize(
    "tower",
    [
        {},
        {"drop_items": 0.5},
        {"layers": 1},
        {"second_layers": 1},
        {"pooling": "max"},
        {"pooling": "first"},
        {"skip": False},
        {"skip": False, "pooling": "sum"},
        {"skip_pooling": "statistics"},
    ],
    ids=str,
)
def test_means_stand_in_for_items_only_where_the_tower_cannot_tell(tower):
    settings = toy_settings(Path("nowhere"), model=LAYERED | {"image": TOWER, "text": TOWER | tower}).model
    torch.manual_seed(0)
    model = new_model(settings, image_sources=SOURCES, text_sources=(WORDS,))
    if model.text.items is not None and model.text.items.correction is not None:
        torch.nn.init.normal_(model.text.items.correction.weight)  # it starts at zero
    words = torch.randn(20, 5, WORDS)
    mean = words.mean(1, keepdim=True)
    whole, pooled = (model.encode_texts(one, torch.ones(20, one.shape[1]).bool()) for one in (words, mean))
    cannot_tell = torch.allclose(whole, pooled, atol=1e-5)
    assert takes_means(model.text) is cannot_tell


def test_a_run_stops_after_as_many_validations_without_a_better_one_as_its_patience_has(toy, tmp_path):
    for patience in (1, 3):
        run = tmp_path / str(patience)
        optimizer = {"rate": 1e-12}
        result = train(
            toy_settings(toy, epochs=9, optimizer=optimizer, validation={"patience": patience}), run
        )
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        values = [row["rsum"] for row in lines if row["kind"] == "validation"]
        best, waited, wanted = -1.0, 0, 0
        for value in values:
            wanted += 1
            best, waited = (value, 0) if value > best else (best, waited + 1)
            if waited == patience:
                break
        assert (result.stopped_early, len(values), result.step) == (True, wanted, 2 * wanted)
        assert wanted == 1 + patience  # nothing moves, so the first is the best


def test_images_without_captions_are_left_out_of_training_and_stay_in_the_gallery(tmp_path):
    toy = make_toy(tmp_path)
    file = toy / "data" / "captions.token.txt"
    gone = ("000.jpg", "005.jpg", "050.jpg")  # the last is one of validation
    file.write_text("".join(line for line in file.open() if not line.startswith(gone)))
    train(toy_settings(toy, epochs=1), tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["data"]["splits"]["train"]["images"] == 48 - 2
    assert facts["data"]["splits"]["dev"]["images"] == 16
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [row["images"] for row in map(json.loads, lines) if row["kind"] == "validation"] == [16]
