"""Images blended with others of their batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sterna.errors import UsageError
from sterna.objectives import InfoNCE, Objective
from sterna.training import train
from tests.training.toy import make_toy, toy_settings

LINEAR = {
    "embedding": 16,
    "image": {"skip": True, "skip_hidden": 0},
    "text": {"skip": True, "skip_hidden": 0},
}


class Recording(Objective):
    """InfoNCE that keeps what it was given and what it said, in training."""

    needs = frozenset({"places"})

    def __init__(self):
        super().__init__()
        self.inner, self.calls = InfoNCE(learned=False), []

    def forward(self, images, captions, owners, *, given):
        loss = self.inner(images, captions, owners)
        self.calls.append((images.detach(), captions.detach(), owners, given.places, loss.item()))
        return loss


def recorded(toy: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> tuple[list, list]:
    """What the objective saw, and the losses that the run logged."""
    recording = Recording()
    monkeypatch.setattr("sterna.training._assembly.build_objective", lambda *_, **__: recording)
    settings = toy_settings(toy, model=LINEAR, batch_images=16, epochs=2, log_every=1, **changes)
    train(settings, out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return recording.calls, [line["loss"] for line in lines if line["kind"] == "train"]


def test_the_loss_is_shared_between_the_captions_of_both_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy(tmp_path)
    calls, losses = recorded(toy, tmp_path / "run", monkeypatch, mixup=1.0)
    assert len(calls) == 2 * len(losses) == 12
    shares = []
    for (one, captions, owners, places, first), (two, same, too, here, second), loss in zip(
        calls[::2], calls[1::2], losses, strict=True
    ):
        assert torch.equal(captions, same)
        assert torch.equal(owners, too)
        assert torch.equal(places, here)  # what is said of an image stays with it
        rows = sorted(map(tuple, one.tolist()))
        assert rows == sorted(map(tuple, two.tolist()))
        assert not torch.equal(one, two)
        shares.append((loss - second) / (first - second))
    assert all(-1e-3 <= share <= 1 + 1e-3 for share in shares)
    assert len({round(share, 3) for share in shares}) == len(shares)


def test_images_are_blended_by_the_share_that_the_loss_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images in a batch: the blend lies between them, nearer to the larger share."""
    toy = make_toy(tmp_path, train=2)
    settings = {"mixup": 1.0, "optimizer": {"rate": 1e-12, "weight_decay": 0}}
    plain, _ = recorded(toy, tmp_path / "plain", monkeypatch, **(settings | {"mixup": 0.0}))
    calls, losses = recorded(toy, tmp_path / "run", monkeypatch, **settings)
    alone = dict(zip(plain[0][3].tolist(), plain[0][0], strict=True))
    for (one, _, _, places, first), (two, _, _, _, second), loss in zip(
        calls[::2], calls[1::2], losses, strict=True
    ):
        if torch.equal(one, two):  # each with itself: the image as it is
            for place, vector in zip(places.tolist(), one, strict=True):
                torch.testing.assert_close(vector, alone[place], atol=1e-4, rtol=0)
            continue
        share = (loss - second) / (first - second)
        near = [float(vector @ alone[place]) for place, vector in zip(places.tolist(), one, strict=True)]
        far = [float(vector @ alone[1 - place]) for place, vector in zip(places.tolist(), one, strict=True)]
        assert (np.array(near) > np.array(far)).all() == (share > 0.5)


def test_regions_with_boxes_of_their_own_are_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, own_boxes=True)
    model = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32, "image": {"layers": 1}}
    settings = toy_settings(toy, model=model, mixup=0.5)
    with pytest.raises(UsageError, match="mixup: the images' regions have other boxes"):
        train(settings, tmp_path / "run")
