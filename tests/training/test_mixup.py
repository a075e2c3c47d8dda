"""Images blended with others of their batch."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_a_blended_image_shows_itself_and_the_one_in_whose_place_it_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vector is nearer to the plane of both images' own than to its own and any other's."""
    toy = make_toy(tmp_path, train=16)
    still = {"optimizer": {"rate": 1e-12, "weight_decay": 0}}
    plain, _ = recorded(toy, tmp_path / "plain", monkeypatch, **still)
    calls, _ = recorded(toy, tmp_path / "run", monkeypatch, mixup=1.0, **still)
    found = []
    for (own, *_), (one, _, _, places, _), (two, *_) in zip(plain, calls[::2], calls[1::2], strict=True):
        alone = dict(zip(places.tolist(), own, strict=True))
        place_of = dict(zip(map(tuple, two.tolist()), places.tolist(), strict=True))
        for place, vector in zip(places.tolist(), one, strict=True):
            other = place_of[tuple(vector.tolist())]
            if other == place:
                continue
            away = {at: _away(vector, alone[place], alone[at]) for at in alone if at != place}
            found.append(min(away, key=away.__getitem__) == other)
    assert len(found) > 20
    assert sum(found) > 0.8 * len(found)


def _away(vector: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> float:
    """How far a vector is from the plane of two."""
    plane = torch.stack([one, other], dim=1)
    return float((plane @ torch.linalg.lstsq(plane, vector[:, None]).solution - vector[:, None]).norm())


def test_regions_with_boxes_of_their_own_are_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, own_boxes=True)
    model = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32, "image": {"layers": 1}}
    settings = toy_settings(toy, model=model, mixup=0.5)
    with pytest.raises(UsageError, match="mixup: the images' regions have other boxes"):
        train(settings, tmp_path / "run")
