"""Backbones as ONNX graphs, to run on ONNX Runtime."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sterna.backbones._detector import Detector
from sterna.backbones._tuning import merge_low_rank
from sterna.backbones._types import ImageBackbone, TextBackbone
from sterna.errors import MissingExtraError, ModelError
from sterna.files import new_file

__all__ = [
    "export_image_backbone",
    "export_image_tail",
    "export_onnx",
    "export_text_backbone",
    "fold_batch_norm",
    "refuse_detector",
]

_PAIRS = (
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("conv", "norm"),
)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy of `module` in evaluation mode whose batch norms are folded into the convolutions before them.

    Knows EfficientNet's blocks and `nn.Sequential`s in which one follows the other.
    Outputs differ by rounding alone.
    """
    folded = copy.deepcopy(module).eval()
    for inner in folded.modules():
        if isinstance(inner, nn.Sequential):
            _fold(inner, [(str(number), str(number + 1)) for number in range(len(inner) - 1)])
        else:
            _fold(inner, _PAIRS)
    return folded


def _fold(module: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    for first, second in pairs:
        conv, norm = getattr(module, first, None), getattr(module, second, None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, norm))
            setattr(module, second, nn.Identity())


def export_onnx(
    module: nn.Module,
    example: Mapping[str, Tensor],
    path: Path,
    *,
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
) -> None:
    """Write `module` as an ONNX graph of opset 17 to a file, whole or not at all.

    Arguments:
        module: put into evaluation mode for good.
        example: inputs by name, in the order of `forward`'s arguments.
        path: the file.
        outputs: names of the outputs.
        dynamic: axes that may change, by input or output name and axis: `{"pixels": {0: "n"}}`.

    Raises `MissingExtraError` without the package `onnx`.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Writing ONNX graphs", extra="train") from error
    module.eval()
    with new_file(path) as aside, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about sizes that are fixed on purpose
        torch.onnx.export(
            module,
            tuple(example.values()),
            str(aside),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in dynamic.items()},
            opset_version=17,
            dynamo=False,
            # As the module is: else batch norms are folded here, and weights rounded before are so no more.
            training=torch.onnx.TrainingMode.PRESERVE,
        )


class _RegionValues(nn.Module):
    def __init__(self, backbone: ImageBackbone, *, maps: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.maps = maps

    def forward(self, pixels: UInt8[Tensor, "B S S 3"]) -> tuple[Tensor, ...]:
        maps = self.backbone.stem(pixels)
        values = self.backbone.tail(maps).values
        return (values, maps) if self.maps else (values,)


class _TailValues(nn.Module):
    def __init__(self, backbone: ImageBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, maps: Float[Tensor, "B ..."]) -> Float[Tensor, "B R D"]:
        return self.backbone.tail(maps).values


class _TokenValues(nn.Module):
    def __init__(self, backbone: TextBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, ids: Int64[Tensor, "B T"], mask: Int64[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        return self.backbone.tail(self.backbone.stem(ids, mask), mask).values


def export_image_backbone(backbone: ImageBackbone, path: Path, *, maps: bool = False) -> None:
    """Write a graph: `pixels` uint8 [N, S, S, 3] to `values` float32 [N, R, D]; normalisation is inside.

    With `maps` it also gives what lies between stem and tail, as `maps` float32 [N, ...].
    Raises `ModelError` for a detector.
    """
    refuse_detector(backbone)
    outputs = ["values", "maps"] if maps else ["values"]
    example = torch.randint(0, 256, (2, backbone.size, backbone.size, 3), dtype=torch.uint8)
    export_onnx(
        _RegionValues(_folded(backbone), maps=maps),
        {"pixels": example},
        path,
        outputs=outputs,
        dynamic={name: {0: "n"} for name in ("pixels", *outputs)},
    )


def export_image_tail(backbone: ImageBackbone, path: Path) -> None:
    """Write a graph: `maps` float32 [N, ...], as the stem makes them, to `values` float32 [N, R, D].

    Raises `ModelError` for a detector.
    """
    refuse_detector(backbone)
    export_onnx(
        _TailValues(_folded(backbone)),
        {"maps": torch.rand(2, *backbone.map_shape)},
        path,
        outputs=["values"],
        dynamic={name: {0: "n"} for name in ("maps", "values")},
    )


def refuse_detector(backbone: ImageBackbone) -> None:
    """Raise `ModelError` where a backbone is a detector, which is no graph of pixels."""
    if isinstance(backbone, Detector):
        raise ModelError(
            f"{backbone.name}: a detector is not written as an ONNX graph; "
            "use the training run itself, or train on a grid of regions to export a model"
        )


def _folded(backbone: ImageBackbone) -> ImageBackbone:
    folded = fold_batch_norm(backbone)
    assert isinstance(folded, ImageBackbone)
    return folded


def export_text_backbone(backbone: TextBackbone, path: Path) -> None:
    """Write a graph: `ids` int64 [N, T] and `mask` int64 [N, T] to `values` float32 [N, T, D]."""
    ids, mask = backbone.tokenize(["a longer sentence to trace with", "a dog"])
    export_onnx(
        merge_low_rank(_TokenValues(backbone)),
        {"ids": ids, "mask": mask.to(torch.int64)},
        path,
        outputs=["values"],
        dynamic={"ids": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}, "values": {0: "n", 1: "t"}},
    )
