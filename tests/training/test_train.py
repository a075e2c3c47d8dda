from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.errors import DataError, DiskError, LockedError, RunError, UsageError
from sterna.features import ColumnSpec, FeatureStore
from sterna.files import FileLock
from sterna.objectives import Objective, build_objective
from sterna.training import train
from sterna.training._batches import read_batches
from sterna.training._inputs import find_inputs
from sterna.training._learner import Batch, Learner, new_model
from sterna.training._means import keep_means, mean_column
from sterna.training._plan import Plan
from sterna.training._readers import Reader
from tests.training.toy import SOURCES, WORDS, make_toy, toy_settings


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


def rows(run: Path, kind: str) -> list[dict]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def test_training_learns_and_tells_how(toy):
    told = []
    result = train(toy_settings(toy, tensorboard=True), toy / "learns", progress=told.append)
    measured = rows(toy / "learns", "validation")
    assert [row["step"] for row in measured] == [4, 8, 12, 16]
    assert result.best == max(row["rsum"] for row in measured) > 380  # chance is about 200
    assert [row["step"] for row in rows(toy / "learns", "train")] == [3, 4, 6, 8, 9, 12, 15, 16]
    assert [one.step for one in told] == list(range(1, 17))
    assert told[-1].seconds_left == 0
    assert told[-1].detail.startswith("epoch 4 of 4 · loss ")
    assert list((toy / "learns" / "tensorboard").iterdir())


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(toy):
    figures = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        train(toy_settings(toy, seed=seed, epochs=2), toy / f"seed-{name}")
        figures.append([row["loss"] for row in rows(toy / f"seed-{name}", "train")])
    assert figures[0] == figures[1] != figures[2]


def test_the_callers_random_numbers_and_threads_are_left_alone(toy):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    train(toy_settings(toy, epochs=1), toy / "aside")
    assert torch.equal(torch.rand(3), wanted)
    assert torch.get_num_threads() == threads


def test_weight_decay_acts_on_the_matrices_of_layers_and_on_nothing_else(toy):
    image = {"skip": False, "layers": 1, "cls_token": True, "pooling": "first", "positions": "learned"}
    settings = toy_settings(toy, epochs=1, optimizer={"rate": 1e-4, "weight_decay": 1e4})
    settings = settings.model_copy(
        update={
            "model": settings.model.model_copy(
                update={"image": settings.model.image.model_copy(update=image)}
            )
        }
    )
    train(settings, toy / "decayed")
    weights = load_file(toy / "decayed" / "checkpoints" / "last.safetensors")
    for name, values in weights.items():
        if name.startswith("weights/model.") and not name.endswith("bias"):
            gone = float(values.abs().max()) < 1e-3
            assert gone is (values.ndim > 1 and name.endswith("weight")), name


def test_kept_means_train_as_the_regions_do(toy):
    train(toy_settings(toy, epochs=1), toy / "means")
    rows_, views = np.arange(20), np.zeros(20, dtype=np.int64)
    whole = Reader(toy / "features", views=["original"], image_means=False, text_means=False)
    means = Reader(toy / "features", views=["original"], image_means=True, text_means=True)
    values, mask, _ = whole.regions(rows_, views)
    kept, kept_mask, _ = means.regions(rows_, views)
    assert kept_mask.all()
    assert kept.shape[1] == 1
    torch.testing.assert_close(kept[:, 0], values.float().mean(1))
    values, mask = whole.tokens(rows_)
    wanted = torch.stack([one[real].float().mean(0) for one, real in zip(values, mask, strict=True)])
    torch.testing.assert_close(means.tokens(rows_)[0][:, 0], wanted)
    assert mean_column("original") in whole.images.columns


def test_a_transformer_over_regions_trains_from_the_whole_store(toy):
    model = {
        "embedding": 16,
        "width": 16,
        "heads": 2,
        "feedforward": 32,
        "shared_layers": 1,
        "image": {"layers": 1, "skip_hidden": 32, "drop_items": 0.2},
        "text": {"layers": 1, "skip": False, "pooling": "first"},
    }
    result = train(
        toy_settings(toy, model=model, objective={"name": "infonce", "params": {"soft_weight": 0.2}}),
        toy / "layers",
    )
    assert result.best > 300


def test_a_run_without_progress_stops_early(toy):
    settings = toy_settings(toy, epochs=20, optimizer={"rate": 1e-12}, validation={"patience": 2})
    result = train(settings, toy / "patience")
    assert result.stopped_early
    assert result.step < result.steps
    assert train(None, toy / "patience", resume=True).step == result.step


def test_averaged_weights_are_what_is_measured_and_kept(toy):
    train(toy_settings(toy, ema=0.9, epochs=1), toy / "ema")
    best = load_file(toy / "ema" / "checkpoints" / "best.safetensors")
    last = load_file(toy / "ema" / "checkpoints" / "last.safetensors")
    for name, value in best.items():
        average = last[name.replace("weights/", "average/")]
        assert torch.equal(value, average)
    assert any(not torch.equal(value, last[name]) for name, value in best.items())


class Seen(Objective):
    """An objective that remembers in what precision its similarities came out."""

    def forward(self, images, captions, owners, *, given):
        similarities = images @ captions.T
        self.dtype = similarities.dtype
        return similarities.mean()


def test_the_objective_computes_in_float32_where_the_model_does_not(toy):
    model = new_model(toy_settings(toy).model, image_sources=SOURCES, text_sources=(WORDS,))
    learner = Learner(model, Seen())
    mask = torch.ones(2, 3, dtype=torch.bool)
    batch = Batch(
        torch.rand(2, 3, sum(SOURCES)),
        mask,
        torch.rand(2, 3, 4),
        torch.rand(2, 3, WORDS),
        mask,
        owners=torch.arange(2),
        places=torch.arange(2),
        epoch=torch.tensor(0.0),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        learner(batch)
    assert learner.objective.dtype == torch.float32


def test_an_accumulated_step_is_a_step_on_the_mean_of_its_parts(toy):
    tower = {"skip_hidden": 32, "skip_dropout": 0}
    settings = toy_settings(
        toy,
        model={"embedding": 16, "image": tower, "text": tower},
        accumulation=4,
        epochs=1,
        optimizer={"rate": 0.01, "weight_decay": 0},
        schedule={"name": "constant", "warmup": 0},
    )
    train(settings, toy / "parts")
    torch.manual_seed(settings.seed)
    model = new_model(settings.model, image_sources=SOURCES, text_sources=(WORDS,))
    learner = Learner(model, build_objective("infonce"))
    inputs = find_inputs(
        settings.data,
        settings.features,
        finetune=settings.finetune,
        folder=toy / "features",
        threads=1,
        progress=None,
    )
    plan = Plan(images=48, batch_images=12, accumulation=4, epochs=1, seed=0)
    reader = Reader(toy / "features", views=["original"], image_means=True, text_means=True)
    batches = list(read_batches(reader, inputs.train, plan, start=0, captions_per_image=None, workers=0))
    assert len(batches) == 4
    loss = torch.stack([learner(batch) for batch in batches]).mean()
    loss.backward()
    assert rows(toy / "parts", "train")[0]["loss"] == pytest.approx(loss.item(), abs=1e-5)
    trained = load_file(toy / "parts" / "checkpoints" / "last.safetensors")
    for name, parameter in learner.named_parameters():
        gradient = parameter.grad
        # AdamW's first step, the slow way: both corrected moments are the gradient and its square.
        wanted = parameter.detach() - 0.01 * gradient / (gradient.abs() + 1e-8)
        sure = gradient.abs() > 1e-5
        torch.testing.assert_close(trained[f"weights/{name}"][sure], wanted[sure], atol=1e-4, rtol=0)


def test_what_is_missing_is_named(toy, tmp_path):
    with pytest.raises(RunError, match=r"data\.path: no data is named"):
        train(toy_settings(toy, data={}), tmp_path / "a")
    with pytest.raises(DataError, match="no split 'test'; its splits are dev, train"):
        train(toy_settings(toy, data={"path": toy / "data", "validation": "test"}), tmp_path / "b")


def test_a_model_is_not_measured_on_what_it_is_trained_on(toy, tmp_path):
    with pytest.raises(
        UsageError, match="data.validation='train': is what the model is trained on; name ano"
    ):
        train(toy_settings(toy, data={"path": toy / "data", "validation": "train"}), tmp_path / "run")


def test_what_was_left_out_is_told_and_written_down(tmp_path):
    make_toy(tmp_path)
    data, features = tmp_path / "data", tmp_path / "features" / "images"
    (data / "images" / "999.jpg").write_bytes(b"no photograph")
    with (data / "trainImages.txt").open("a") as file:
        file.write("999.jpg\n")
    with (data / "captions.token.txt").open("a") as file:
        file.writelines(f"broken line {number}\n" for number in range(60))
    failure = {"id": "999.jpg", "path": str(data / "images" / "999.jpg"), "reason": "not a photograph"}
    (features / "failed.jsonl").write_text(json.dumps(failure) + "\n")
    result = train(toy_settings(tmp_path, epochs=1), tmp_path / "run")
    assert len(result.left_out) == 61
    assert result.left_out[-1] == f"{failure['path']}: not a photograph"
    written = json.loads((tmp_path / "run" / "run.json").read_text())["left_out"]
    assert (written["count"], written["first"]) == (61, list(result.left_out[:50]))


def test_two_processes_do_not_train_in_one_folder(toy, tmp_path):
    with (
        FileLock(tmp_path / "run" / ".lock", what="the run"),
        pytest.raises(LockedError, match="another process"),
    ):
        train(toy_settings(toy), tmp_path / "run")


def test_a_loss_that_is_not_a_number_is_told_with_its_remedy(toy):
    with pytest.raises(RunError, match=r"the loss is nan at step \d+; try a lower optimizer.rate"):
        train(toy_settings(toy, optimizer={"rate": 1e30}), toy / "nan")


def test_data_without_splits_is_split_by_its_ids(toy, tmp_path):
    shutil.copytree(toy / "data", tmp_path / "data")
    for name in ("trainImages.txt", "devImages.txt"):
        (tmp_path / "data" / name).unlink()
    settings = toy_settings(toy, data={"path": tmp_path / "data", "holdout": 0.3}, epochs=1)
    train(settings, tmp_path / "run")
    splits = json.loads((tmp_path / "run" / "run.json").read_text())["data"]["splits"]
    assert splits["train"]["images"] + splits["held-out"]["images"] == 64
    assert 8 < splits["held-out"]["images"] < 32


def test_features_that_cannot_be_added_to_train_the_same_model(toy, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise DiskError("cannot be written")

    whole = make_toy(tmp_path)
    # an epsilon this large keeps what sums in another order differ by small
    settings = toy_settings(whole, optimizer={"rate": 0.02, "epsilon": 0.05})
    monkeypatch.setattr("sterna.training._readers.keep_means", refuse)
    train(settings, tmp_path / "run")
    assert "original.mean" not in FeatureStore.open(whole / "features" / "images").columns
    monkeypatch.undo()
    train(settings, tmp_path / "again")
    assert "original.mean" in FeatureStore.open(whole / "features" / "images").columns
    one, other = (load_file(tmp_path / run / "checkpoints" / "last.safetensors") for run in ("run", "again"))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=1e-5, rtol=0)


def test_the_mean_of_no_items_is_the_zero_that_the_model_has_for_it(tmp_path):
    store = FeatureStore.create(tmp_path / "store", {"values": ColumnSpec("float16", 3)})
    store.append(["none", "two"], {"values": [np.zeros((0, 3)), np.array([[0, 1, 2], [2, 3, 6]])]})
    kept = keep_means(store, "values", ["none", "two"])
    assert kept.row(mean_column("values"), 0).tolist() == [[0, 0, 0]]
    assert kept.row(mean_column("values"), 1).tolist() == [[1, 2, 4]]


def test_a_full_disk_leaves_the_last_checkpoint(toy, tmp_path, monkeypatch):
    def watch(progress):
        if progress.step == 5:
            monkeypatch.setattr(Path, "write_bytes", full)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskError, match=r"last\.safetensors: the disk is full; free some space"):
        train(toy_settings(toy), tmp_path / "run", progress=watch)
    monkeypatch.undo()
    assert sorted(file.name for file in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "best.safetensors",
        "last.safetensors",
    ]
    assert train(None, tmp_path / "run", resume=True).step == 16


def test_resuming_in_a_folder_of_something_else_writes_nothing(tmp_path: Path) -> None:
    make_toy(tmp_path)
    other = tmp_path / "photographs"
    other.mkdir()
    (other / "one.jpg").write_bytes(b"a photograph")
    with pytest.raises(RunError, match="not a training run"):
        train(toy_settings(tmp_path), other, resume=True)
    assert [entry.name for entry in other.iterdir()] == ["one.jpg"]


def test_a_model_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    make_toy(tmp_path)
    model = {"width": 10, "heads": 3, "image": {"layers": 1}}
    with pytest.raises(UsageError, match="heads=3"):
        train(toy_settings(tmp_path, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()
