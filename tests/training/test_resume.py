from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.errors import DataError, ModelError, RunError, SternaError, StoppedError
from sterna.settings import load_settings
from sterna.training import TrainSettings, train
from sterna.training._checkpoint import Position, load_last, save_last
from sterna.training._folder import choose_settings
from tests.training.toy import make_toy, toy_settings

# All that could be forgotten: two views, a draw of captions, averages, blended images, steps of unequal parts.
HARD = {
    "ema": 0.9,
    "mixup": 0.5,
    "accumulation": 3,
    "captions_per_image": 2,
    "clip": 1.0,
    "epochs": 5,
    "validation": {"every": 2, "patience": 9},
}
SCRIPT = """
import json, os, signal, sys
from multiprocessing import active_children
from pathlib import Path
from sterna.settings import load_settings
from sterna.training import TrainSettings, train

folder, run, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def watch(progress):
    if progress.step == kill_at:
        print(json.dumps([child.pid for child in active_children()]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    settings = load_settings(TrainSettings, folder / "settings.yaml")
    train(settings, run, resume=run.exists(), progress=watch)
"""


class Stop(Exception):
    pass


def stopping_at(step):
    def watch(progress):
        if progress.step == step:
            raise Stop

    return watch


def hard_settings(folder: Path, **changes: object):
    settings = toy_settings(folder, **(HARD | changes))
    views = settings.features.model_copy(update={"views": ("original", "flip")})
    return settings.model_copy(update={"features": views})


def rows(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def assert_same(run: Path, other: Path) -> None:
    for which in ("best", "last"):
        one, two = (load_file(path / "checkpoints" / f"{which}.safetensors") for path in (run, other))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one), which
    assert rows(run) == rows(other)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def whole(toy):
    run = toy / "whole"
    result = train(hard_settings(toy), run)
    assert result.step == result.steps == 10
    return run


@pytest.mark.long
def test_a_run_stopped_at_any_step_ends_with_the_bits_of_one_never_stopped(toy, whole):
    for step in range(1, 11):
        run = toy / f"stopped-{step}"
        with pytest.raises(Stop):
            train(hard_settings(toy), run, progress=stopping_at(step))
        train(None if step > 2 else hard_settings(toy), run, resume=True)
        assert_same(run, whole)


def test_a_run_stopped_again_and_again_ends_with_the_same_bits(toy, whole):
    run = toy / "often"
    for step in (1, 4, 5, 7, 10):
        with pytest.raises(Stop):
            train(hard_settings(toy), run, resume=run.exists(), progress=stopping_at(step))
    train(None, run, resume=True)
    assert_same(run, whole)


def killed(toy: Path, run: Path, settings, *, at: int) -> list[int]:
    """Train in a process that kills itself after step `at`; the ids of its workers."""
    from sterna.settings import save_settings

    save_settings(settings, toy / "settings.yaml")
    script = toy / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, toy, run, str(at)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if at else 0), done.stderr
    return json.loads(done.stdout) if at else []


@pytest.mark.long
def test_a_run_killed_with_worker_processes_leaves_none_and_ends_with_the_same_bits(toy, whole):
    run = toy / "killed"
    settings = hard_settings(toy, workers=2)
    workers = killed(toy, run, settings, at=2) + killed(toy, run, settings, at=7)
    assert len(workers) == 4
    deadline = time.monotonic() + 30
    while any(is_running(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(worker) for worker in workers)
    killed(toy, run, settings, at=0)
    assert_same(run, whole)


def is_running(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_an_interrupt_saves_and_says_how_to_go_on(toy, whole):
    run = toy / "interrupted"
    settings = hard_settings(toy, checkpoint_every=1000, epochs=5)

    def interrupt(progress):
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError) as caught:
        train(settings, run, progress=interrupt)
    assert str(caught.value) == (
        f"{run}: stopped after step 3 of 10; go on with: sterna train --out {run} --resume"
    )
    steps = []
    train(None, run, resume=True, progress=lambda progress: steps.append(progress.step))
    assert steps == list(range(4, 11))
    assert_same(run, whole)


def test_going_on_with_a_finished_run_leaves_it_as_it_is(toy, whole):
    before = {path: path.stat().st_mtime_ns for path in (whole / "checkpoints").iterdir()}
    result = train(None, whole, resume=True)
    assert result.step == result.steps
    assert before == {path: path.stat().st_mtime_ns for path in (whole / "checkpoints").iterdir()}


def test_other_settings_are_named(toy, whole):
    changed = hard_settings(toy, epochs=6, optimizer={"rate": 0.5}, workers=1)
    with pytest.raises(RunError) as caught:
        train(changed, whole, resume=True)
    assert str(caught.value) == (
        f"{whole}: was begun with other settings (optimizer.rate was 0.01, now 0.5; "
        "optimizer.weight_decay was 0.1, now 0.3; epochs was 5, now 6); "
        "go on with its own, or train to a new folder"
    )


def test_a_folder_that_is_there_is_not_trained_over(toy, whole, tmp_path):
    with pytest.raises(RunError, match="already holds a run, at step 10; add --resume to go on with it"):
        train(hard_settings(toy), whole)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    with pytest.raises(RunError, match="already exists and is not a training run"):
        train(hard_settings(toy), tmp_path / "letters")
    with pytest.raises(RunError, match="there is no run to go on with"):
        train(None, tmp_path / "nothing", resume=True)


def test_other_data_is_refused(toy, whole, tmp_path):
    other = make_toy(tmp_path / "other", train=30)
    with pytest.raises(RunError, match="its data or features are not those it was begun with"):
        train(hard_settings(other), whole, resume=True)


def test_a_run_goes_on_with_its_own_places_where_none_are_named(toy, whole):
    run = toy / "places"
    with pytest.raises(Stop):
        train(hard_settings(toy), run, progress=stopping_at(5))
    settings = hard_settings(toy, data={}, checkpoint_every=7)
    nowhere = settings.model_copy(update={"features": settings.features.model_copy(update={"path": None})})
    train(nowhere, run, resume=True)
    assert_same(run, whole)
    kept = load_settings(TrainSettings, run / "settings.yaml")
    assert (kept.data.path, kept.features.path) == (toy / "data", toy / "features")
    assert kept.checkpoint_every == 7


def test_a_wrong_place_named_when_going_on_is_not_written_down(toy, whole, tmp_path):
    before = (whole / "settings.yaml").read_text()
    with pytest.raises(SternaError):
        train(hard_settings(toy, data={"path": tmp_path / "nowhere"}), whole, resume=True)
    assert (whole / "settings.yaml").read_text() == before


@pytest.mark.parametrize("resume", [True, False])
def test_a_mistake_found_in_the_data_can_be_mended_in_the_same_folder(toy, tmp_path, resume):
    with pytest.raises(DataError, match="no split 'tset'"):
        train(toy_settings(toy, data={"path": toy / "data", "validation": "tset"}), tmp_path / "run")
    assert train(toy_settings(toy, epochs=1), tmp_path / "run", resume=resume).step == 4


def test_what_a_killed_process_left_behind_is_no_hindrance_and_goes(toy, whole):
    for name, step in (("left-early", 0), ("left-late", 5)):
        run = toy / name
        left = [run / ".settings.yaml.abc.tmp", run / "checkpoints" / ".last.safetensors.abc.tmp"]
        if step:
            with pytest.raises(Stop):
                train(hard_settings(toy), run, progress=stopping_at(step))
        else:
            run.mkdir()
        for file in left[: 1 if not step else 2]:
            file.write_bytes(b"half")
        train(hard_settings(toy), run, resume=bool(step))
        assert_same(run, whole)
        assert not list(run.rglob(".*.tmp"))


def test_a_run_goes_on_with_as_many_threads_as_it_began_with(toy):
    run, used = toy / "threads", []

    def once(progress):
        used.append(torch.get_num_threads())
        raise Stop

    kept = torch.get_num_threads()
    free, two = (toy_settings(toy, threads=threads, epochs=1, checkpoint_every=1) for threads in (None, 2))
    try:
        for settings, of_torch in ((free, 3), (None, 1), (two, 1), (free, 1)):
            torch.set_num_threads(of_torch)
            with pytest.raises(Stop):
                train(settings, run, resume=run.exists(), progress=once)
    finally:
        torch.set_num_threads(kept)
    assert used == [3, 3, 2, 2]


def test_other_terms_of_the_data_are_taken_over(toy, tmp_path):
    run = tmp_path / "run"
    train(toy_settings(toy, epochs=1), run)
    train(toy_settings(toy, epochs=1, data={"path": toy / "data", "terms": "Ask first."}), run, resume=True)
    assert json.loads((run / "run.json").read_text())["data"]["terms"] == "Ask first."


def test_a_finished_run_opens_no_log_when_gone_on_with(toy, tmp_path):
    run = tmp_path / "run"
    train(toy_settings(toy, epochs=1, tensorboard=True), run)
    files = list((run / "tensorboard").iterdir())
    result = train(None, run, resume=True)
    assert (result.step, list((run / "tensorboard").iterdir())) == (4, files)


def test_backbones_in_a_folder_are_found_from_anywhere(toy, tmp_path, monkeypatch):
    (tmp_path / "vit+1").mkdir()
    (tmp_path / "vit").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, whole_name in (
        ("hf:./vit", f"hf:{tmp_path}/vit"),
        ("hf:vit+1", f"hf:{tmp_path}/vit+1"),
        ("efficientnet-lite0+hf:vit", f"efficientnet-lite0+hf:{tmp_path}/vit"),
        ("hf:openai/clip", "hf:openai/clip"),
    ):
        settings = toy_settings(toy)
        features = settings.features.model_copy(update={"image": name})
        chosen = choose_settings(
            tmp_path / "run", settings.model_copy(update={"features": features}), resume=False
        )
        assert chosen.features.image == whole_name


def test_every_moment_of_the_optimizer_is_put_where_its_weights_are(toy, tmp_path):
    """Where the counts of steps lay on the CPU, fused AdamW refuses them beside weights on an accelerator."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_last(tmp_path, Position(step=1), learner=layer, optimizer=optimizer, average=None)
    elsewhere = torch.nn.Linear(3, 2, device="meta")
    other = torch.optim.AdamW(elsewhere.parameters(), fused=True)
    load_last(tmp_path, learner=elsewhere, optimizer=other, average=None)
    assert {value.device.type for state in other.state.values() for value in state.values()} == {"meta"}
    assert {key for state in other.state.values() for key in state} == {"step", "exp_avg", "exp_avg_sq"}


def test_there_must_be_a_run_to_go_on_with(toy, tmp_path):
    with pytest.raises(
        RunError, match=r"there is no run to go on with \(no settings.yaml\); leave --resume out"
    ):
        train(toy_settings(toy), tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("step", [5, 10])
def test_a_best_checkpoint_that_was_lost_is_made_anew(toy, whole, tmp_path, step):
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(hard_settings(toy), run, progress=stopping_at(step))
    (run / "checkpoints" / "best.safetensors").unlink()
    result = train(None, run, resume=True)
    assert (run / "checkpoints" / "best.safetensors").is_file()
    log = [row for row in rows(run) if row["kind"] == "validation"]
    assert result.best == max(row["rsum"] for row in log if row["step"] >= step)
    one, other = (load_file(path / "checkpoints" / "last.safetensors") for path in (run, whole))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_alone_are_nothing_to_go_on_from(toy, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    shutil.copyfile(run / "checkpoints" / "best.safetensors", run / "checkpoints" / "last.safetensors")
    with pytest.raises(ModelError, match="holds weights alone"):
        train(None, run, resume=True)
