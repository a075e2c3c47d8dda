"""What training gives an objective that asks for more than the vectors of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sterna.features import FeatureStore
from sterna.objectives import Objective
from sterna.training import train
from tests.training.toy import make_toy, toy_settings


class Asking(Objective):
    """Keeps what it was given."""

    needs = frozenset({"targets", "image_targets", "places"})

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images, captions, owners, *, given):
        self.seen.append((owners, given))
        return (images[owners] * captions).sum()


@pytest.mark.parametrize("pooled", [True, False])
def test_an_objective_is_given_places_epochs_and_what_the_frozen_backbones_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    toy = make_toy(tmp_path, train=12)
    asking = Asking()
    monkeypatch.setattr("sterna.training._assembly.build_objective", lambda *_, **__: asking)
    layers = {"image": {"layers": 1}, "text": {"layers": 1}}
    model = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32, **({} if pooled else layers)}
    train(toy_settings(toy, model=model, batch_images=4, epochs=2, accumulation=2), tmp_path / "run")
    assert [given.epoch for _, given in asking.seen] == [0, 0, 0.5, 1, 1, 1.5]
    for epoch in (asking.seen[:3], asking.seen[3:]):
        assert sorted(torch.cat([given.places for _, given in epoch]).tolist()) == list(range(12))
    images, captions = (FeatureStore.open(toy / "features" / name) for name in ("images", "captions"))
    names = [f"{number:03}.jpg" for number in range(12)]
    owned = {name: [one for one in captions.ids if one.startswith(name)] for name in names}
    for owners, given in asking.seen:
        shown = [names[place] for place in given.places]
        means = [images.row("original", images.index_of(name)).astype("f4").mean(0) for name in shown]
        torch.testing.assert_close(given.image_targets, torch.tensor(np.array(means)), atol=1e-5, rtol=0)
        said = [one for name in shown for one in owned[name]]
        means = [captions.row("values", captions.index_of(one)).astype("f4").mean(0) for one in said]
        torch.testing.assert_close(given.targets, torch.tensor(np.array(means)), atol=1e-5, rtol=0)
        assert [shown[owner] for owner in owners] == [one.partition("#")[0] for one in said]
