"""The networks of a model folder, held against torch before they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sterna._onnxruntime import onnxruntime
from sterna.backbones import export_onnx, fold_batch_norm, merge_low_rank
from sterna.errors import ModelError
from sterna.training._committee import ImageEncoder, Reduction, TextEncoder, training_squares
from sterna.training._quantize import Arithmetic, quantize_graph
from sterna.training._run import Run, prepare_files
from sterna.training._weights import Precision, round_weights, shrink_graph

__all__ = ["REGIONS", "WORDS", "write_networks"]

REGIONS, WORDS = ["regions", "regions_mask"], ["words", "words_mask"]
_TOLERANCE = 1e-4
_TOLERANCE_INT8 = 0.05  # of the mean cosine, from 1
_CALIBRATION = 60  # photographs that the ranges of int8 are read from
_SENTENCES = ("a dog", "two people walk along a beach at sunset while a red boat passes behind them", "")


def write_networks(
    runs: Sequence[Run],
    reduction: Reduction | None,
    folder: Path,
    stored: Mapping[str, Precision],
    *,
    arithmetic: Arithmetic = "float32",
) -> None:
    """Write `image.onnx` and `text.onnx`; raises `ModelError` where ONNX Runtime differs from torch."""
    first, matrix = runs[0], None if reduction is None else reduction.matrix
    items = first.alignment is not None
    image = fold_batch_norm(ImageEncoder(runs, matrix=matrix, items=items))
    round_weights(image, stored["image"])
    pixels = {"pixels": torch.from_numpy(_photographs(first))}
    outputs = ["vectors", *(REGIONS if items else [])]
    squares = training_squares(first, _CALIBRATION) if arithmetic == "int8" else None
    _write_graph(
        image, pixels, folder / "image.onnx", outputs=outputs, precision=stored["image"], squares=squares
    )
    text = merge_low_rank(TextEncoder(runs, matrix=matrix, items=items)).eval()  # a copy
    round_weights(text, stored["text"])
    ids, mask = first.text_backbone.tokenize(_sentences(first))
    words = {"ids": ids, "mask": mask.to(torch.int64)}
    outputs = ["vectors", *(WORDS if items else [])]
    _write_graph(text, words, folder / "text.onnx", outputs=outputs, precision=stored["text"])


def _write_graph(
    module: nn.Module,
    example: dict[str, Tensor],
    path: Path,
    *,
    outputs: Sequence[str],
    precision: Precision,
    squares: Sequence[NDArray[np.uint8]] | None = None,
) -> None:
    """Export, let it compute in int8 where there are `squares`, store small, and hold it against torch."""
    axes = {0: "n", 1: "t"} if "ids" in example else {0: "n"}
    changing = {"vectors": {0: "n"}, **dict.fromkeys(outputs[1:], axes)}
    export_onnx(
        module,
        example,
        path,
        outputs=outputs,
        dynamic={**dict.fromkeys(example, axes), **changing},
    )
    if squares is not None:
        quantize_graph(path, squares)
    shrink_graph(path, precision)
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # One at a time as well as together: a size that the trace took for fixed shows in the other batch.
    for block in (slice(None), slice(0, 1)):
        inputs = {key: value[block] for key, value in example.items()}
        with torch.inference_mode():
            wanted = module(*inputs.values())
        came = session.run(list(outputs), {key: value.numpy() for key, value in inputs.items()})
        if squares is not None:
            away = 1 - float((wanted[0].numpy() * came[0]).sum(axis=-1).mean())
            if not away <= _TOLERANCE_INT8:
                raise ModelError(
                    f"{path.name}: in int8 the vectors have a mean cosine of {1 - away:.3f} to those in "
                    f"float32, less than {1 - _TOLERANCE_INT8:.2f}; let it compute in float32"
                )
            continue
        apart = max(_apart(one.numpy(), other) for one, other in zip(wanted, came, strict=True))
        if not apart <= _TOLERANCE:
            raise ModelError(
                f"{path.name}: ONNX Runtime's vectors differ from torch's by {apart:.1e}, "
                f"more than {_TOLERANCE:.0e}; the network cannot be exported as it is"
            )


def _apart(wanted: NDArray[Any], came: NDArray[Any]) -> float:
    return float(np.abs(wanted.astype(np.float64) - came).max(initial=0))


def _photographs(run: Run) -> NDArray[np.uint8]:
    """Squares [B, S, S, 3] of validation photographs that can still be read, else of one that is drawn."""
    squares = prepare_files(run, [Path(path) for path in run.facts["samples"]["photographs"]])
    if len(squares) < 2:
        squares += [_drawn(run.size), _drawn(run.size)[:, ::-1]]
    return np.ascontiguousarray(np.stack(squares))


def _drawn(size: int) -> NDArray[np.uint8]:
    """A sky over a hill: networks made for photographs answer wildly, and differently, to noise."""
    y, x = np.mgrid[0:size, 0:size] / size
    hill = y > 0.6 + 0.1 * np.sin(6 * x)
    sky = np.stack([120 + 80 * y, 160 + 60 * y, 230 - 20 * y], axis=-1)
    ground = np.stack([60 + 40 * x, 120 - 40 * y, 40 + 20 * x], axis=-1)
    return np.asarray(Image.fromarray(np.where(hill[..., None], ground, sky).astype(np.uint8)))


def _sentences(run: Run) -> list[str]:
    return [*run.facts["samples"]["captions"], *_SENTENCES]
