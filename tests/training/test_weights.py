from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime
from torch import nn

from sterna.backbones import export_onnx
from sterna.training._weights import round_weights, shrink_graph


class Reads(nn.Module):
    """Looks words up, and passes their mean through one layer twice and through a product without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(200, 32)
        self.layer = nn.Linear(32, 32)
        self.last = nn.Linear(32, 64, bias=False)
        self.norm = nn.LayerNorm(32)

    def forward(self, ids):
        x = self.words(ids)
        x = self.norm(self.layer(torch.tanh(self.layer(x))))
        return self.last(x.mean(1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Reads().eval()


@pytest.mark.parametrize(("precision", "bytes_each"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_a_rounded_network_and_its_small_graph_are_the_same(network, tmp_path, precision, bytes_each):
    ids = torch.randint(0, 200, (3, 7))
    exact = network(ids).detach()
    round_weights(network, precision)
    rounded = network(ids).detach()
    export_onnx(network, {"ids": ids}, tmp_path / "a.onnx", outputs=["y"], dynamic={"ids": {0: "n", 1: "t"}})
    shrink_graph(tmp_path / "a.onnx", precision)
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    (came,) = session.run(None, {"ids": ids.numpy()})
    np.testing.assert_allclose(came, rounded, atol=1e-6)
    assert (rounded == exact).all() == (precision == "float32")
    np.testing.assert_allclose(rounded, exact, atol=0.05)
    weights = 200 * 32 + 32 * 32 + 32 * 64
    size = (tmp_path / "a.onnx").stat().st_size
    assert weights * bytes_each < size < weights * bytes_each + 6000  # each weight is there once


def test_small_tensors_norms_and_biases_stay_as_they_are(network):
    small = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(2000), nn.Linear(8, 2000))
    kept = {name: value.clone() for name, value in small.named_parameters() if name != "2.weight"}
    round_weights(small, "int8")
    assert all(torch.equal(value, kept[name]) for name, value in small.named_parameters() if name in kept)


def test_rounding_twice_changes_nothing(network):
    for precision in ("int8", "float16"):
        round_weights(network, precision)
        once = {name: value.clone() for name, value in network.named_parameters()}
        round_weights(network, precision)
        for name, value in network.named_parameters():
            torch.testing.assert_close(value, once[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("precision", "bytes_each"), [("float16", 2), ("int8", 1)])
def test_convolutions_are_stored_small_too(tmp_path, precision, bytes_each):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU6(), nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 96, 1)
    )
    pixels = torch.rand(2, 3, 12, 12)
    exact = network(pixels).detach()
    round_weights(network, precision)
    rounded = network(pixels).detach()
    export_onnx(network, {"x": pixels}, tmp_path / "a.onnx", outputs=["y"], dynamic={"x": {0: "n"}})
    shrink_graph(tmp_path / "a.onnx", precision)
    (came,) = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).run(None, {"x": pixels.numpy()})
    np.testing.assert_allclose(came, rounded, atol=1e-6)
    np.testing.assert_allclose(rounded, exact, atol=0.02)
    assert not torch.equal(rounded, exact)
    large = 3 * 64 * 9 + 64 * 96
    assert large * bytes_each < (tmp_path / "a.onnx").stat().st_size < large * bytes_each + 64 * 9 * 4 + 6000


def test_a_channel_of_zeros_stays_zero(network):
    with torch.no_grad():
        network.words.weight[0] = 0
    round_weights(network, "int8")
    assert not network.words.weight[0].any()
    assert network.words.weight.isfinite().all()
