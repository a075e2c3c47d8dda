"""Where a run computes: what is chosen and refused here, and that float16's scaling survives being stopped."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.cli import main
from sterna.errors import UsageError
from sterna.settings import load_settings, save_settings
from sterna.training import TrainSettings, train
from sterna.training._checkpoint import checkpoint_path, read_position
from sterna.training._device import choose_device, new_accelerator
from tests.training.toy import make_toy, toy_settings

without_accelerator = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")


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


@without_accelerator
def test_auto_is_the_cpu_where_there_is_nothing_else():
    assert choose_device("auto", "bfloat16") == choose_device("cpu", "float32") == torch.device("cpu")


@without_accelerator
@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cuda", "float32", "device='cuda' is not to be found here; there is: auto, cpu"),
        ("cuda:3", "float32", "device='cuda:3' is not to be found here"),
        ("mps", "float32", "device='mps' is not to be found here"),
        ("meta", "float32", "device='meta' is not to be found here"),
        ("gpu", "float32", "device='gpu' is none; there is: auto, cpu"),
        (
            "cpu",
            "float16",
            r"precision=float16: the CPU \(device=cpu\) does not train in it; use float32 or bf",
        ),
        ("auto", "float16", r"precision=float16: the CPU \(device=auto\) does not train in it"),
    ],
)
def test_a_device_or_precision_that_is_not_there_is_refused_before_anything_is_written(
    device, precision, message, toy, tmp_path
):
    with pytest.raises(UsageError, match=message.replace("bf", "")):
        train(toy_settings(toy, device=device, precision=precision), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def faked(monkeypatch, *, cards, numbers):
    """Let torch say that it has `cards` of NVIDIA, which compute in bfloat16 or not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: numbers)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda")
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: cards)


def test_cards_are_chosen_by_number_and_auto_takes_the_one_there_is(monkeypatch):
    faked(monkeypatch, cards=2, numbers=True)
    assert choose_device("auto", "float16") == torch.device("cuda")
    assert choose_device("cuda:1", "bfloat16") == torch.device("cuda:1")
    with pytest.raises(
        UsageError, match="device='cuda:2' is not to be found here; there is: auto, cpu, cuda, cu"
    ):
        choose_device("cuda:2", "float32")
    with pytest.raises(UsageError, match="precision=float16: the CPU"):
        choose_device("cpu", "float16")


def test_bfloat16_is_refused_by_cards_without_it(monkeypatch):
    faked(monkeypatch, cards=1, numbers=False)
    with pytest.raises(
        UsageError, match="precision=bfloat16: cuda has no such numbers; use float16 or float32"
    ):
        choose_device("cuda", "bfloat16")


def test_accelerate_takes_the_device_that_was_chosen_each_time_anew(monkeypatch):
    monkeypatch.delenv("ACCELERATE_TORCH_DEVICE", raising=False)
    monkeypatch.setattr("sterna.training._device.choose_device", lambda name, precision: torch.device(name))
    assert new_accelerator("cuda:1", "float32").device == torch.device("cuda:1")
    assert new_accelerator("cpu", "bfloat16").device == torch.device("cpu")
    import os

    assert "ACCELERATE_TORCH_DEVICE" not in os.environ


def scaling(name, precision):
    """An accelerator of the CPU that scales losses as float16 does on others."""
    accelerator = new_accelerator("cpu", "float32")
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    return accelerator


def halved(name, precision):
    """An accelerator of the CPU that computes in float16, too."""
    accelerator = scaling(name, precision)
    accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
    return accelerator


def test_scaled_losses_change_no_step(toy, tmp_path, monkeypatch):
    sgd = {"name": "sgd", "rate": 0.1, "params": {"momentum": 0.9}}
    settings = toy_settings(toy, epochs=2, optimizer=sgd)
    train(settings, tmp_path / "plain")
    monkeypatch.setattr("sterna.training._loop.new_accelerator", scaling)
    train(settings, tmp_path / "scaled")
    plain, scaled = (load_file(checkpoint_path(tmp_path / name, "last")) for name in ("plain", "scaled"))
    for key, value in plain.items():
        torch.testing.assert_close(scaled[key], value, atol=1e-5, rtol=1e-4)


def test_the_scale_of_losses_survives_being_stopped(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("sterna.training._loop.new_accelerator", halved)
    settings = toy_settings(toy, epochs=4, checkpoint_every=1, clip=0.01)
    train(settings, tmp_path / "whole")
    scale = read_position(checkpoint_path(tmp_path / "whole", "last")).scaler
    assert scale["scale"] == 2.0**12  # it grew twice in eight steps
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(5))
    train(None, tmp_path / "stopped", resume=True)
    assert read_position(checkpoint_path(tmp_path / "stopped", "last")).scaler == scale
    one, other = (load_file(checkpoint_path(tmp_path / name, "last")) for name in ("whole", "stopped"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_may_go_on_elsewhere(toy, tmp_path, capsys):
    run = tmp_path / "run"
    with pytest.raises(Stop):
        train(toy_settings(toy, epochs=2, checkpoint_every=1), run, progress=stopping_at(2))
    assert main(["train", "--out", str(run), "--resume", "--device", "auto"]) == 0
    assert load_settings(TrainSettings, run / "settings.yaml").device == "auto"


@without_accelerator
def test_the_device_of_the_command_line_goes_before_that_of_the_settings(toy, tmp_path, capsys):
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    arguments = ["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--device", "cuda"]) == 2
    assert "--device 'cuda' is not to be found here; there is: auto, cpu" in capsys.readouterr().err


def test_bfloat16_learns_on_the_cpu(toy, tmp_path):
    assert train(toy_settings(toy, precision="bfloat16", epochs=6), tmp_path / "run").best > 250


def test_a_bucketed_run_is_repeatable_and_one_of_means_is_refused(toy, tmp_path):
    with pytest.raises(UsageError, match="bucket=true would change nothing: the text tower sees the mean"):
        train(toy_settings(toy, bucket=True), tmp_path / "refused")
    model = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32}
    text = {"layers": 1, "skip": False}
    settings = toy_settings(toy, bucket=True, model=model | {"text": text}, epochs=2, checkpoint_every=1)
    train(settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(3))
    train(None, tmp_path / "stopped", resume=True)
    one, other = (load_file(checkpoint_path(tmp_path / name, "last")) for name in ("whole", "stopped"))
    assert all(torch.equal(one[key], other[key]) for key in one)
