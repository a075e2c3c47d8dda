"""From a run to a model folder: what people search with, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from sterna._version import versions
from sterna.backbones import (
    ImageBackbone,
    TextBackbone,
    export_onnx,
    fold_batch_norm,
    merge_low_rank,
    refuse_detector,
)
from sterna.errors import ModelError, PhotoError
from sterna.files import hash_file, hash_json, new_folder, write_json, write_text
from sterna.images import open_photo, to_square
from sterna.model import TERN
from sterna.training._card import card
from sterna.training._run import Run, load_run
from sterna.training._weights import Precision, round_weights, shrink_graph

__all__ = ["export"]

_PACKAGES = ("torch", "onnx", "onnxruntime", "transformers")
_TOLERANCE = 1e-4
_REGIONS, _WORDS = ["regions", "regions_mask"], ["words", "words_mask"]
_SENTENCES = ("a dog", "two people walk along a beach at sunset while a red boat passes behind them", "")


class _ImageEncoder(nn.Module):
    """Vectors; with `items` the regions' too, and their mask."""

    def __init__(self, backbone: ImageBackbone, model: TERN, *, items: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.model = model
        self.items = items

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        regions = self.backbone(pixels)
        if self.items:
            return self.model.read_images(regions.values, regions.mask, regions.boxes)
        return (self.model.encode_images(regions.values, regions.mask, regions.boxes),)


class _TextEncoder(nn.Module):
    """Vectors; with `items` the words' too, and their mask."""

    def __init__(self, backbone: TextBackbone, model: TERN, *, items: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.model = model
        self.items = items

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        tokens = self.backbone(ids, mask)
        if self.items:
            return self.model.read_texts(tokens.values, tokens.mask)
        return (self.model.encode_texts(tokens.values, tokens.mask),)


def export(
    run: Run | str | Path,
    out: str | Path,
    *,
    name: str = "sterna-base",
    image_weights: Precision = "float16",
    text_weights: Precision = "float16",
    results: Mapping[str, Any] | None = None,
    torch_weights: bool = False,
) -> Path:
    """Write a model folder: `config.json`, `image.onnx`, `text.onnx`, `tokenizer.json`, `README.md`.

    The networks are compared with torch on the run's validation photographs and captions (drawn pictures
    where these are gone) before the folder gets its name. Where the run was trained or is measured by an
    alignment, they also give a vector for every region and word.

    Arguments:
        run: a run, or its folder, of which the best weights are taken.
        out: the model folder; must not be there yet.
        name: of the model, for people.
        image_weights, text_weights: how weights are stored: "float16", "float32", or "int8" for linear layers
            and word vectors, with a scale for each output channel and word. Computing is float32.
        results: measured figures by split for the configuration and the card (what `sterna eval` reports as
            JSON), beside or in place of the run's own on validation, which are of its float32 weights.
        torch_weights: also write `model.safetensors`, TERN's weights in float32 and what was trained of the
            backbones ("image_backbone." and "text_backbone." before the names), for training to go on from,
            later: nothing reads it yet.

    Returns `out`. Raises `ModelError` where ONNX Runtime's vectors differ from torch's by more than 1e-4,
    `SternaError` where `out` exists, `RunError` where `run` is not a run.
    """
    run = run if isinstance(run, Run) else load_run(run)
    refuse_detector(run.image_backbone)
    stored: dict[str, Precision] = {"image": image_weights, "text": text_weights}
    with new_folder(Path(out)) as folder:
        _write_networks(run, folder, stored)
        tokenizer = Tokenizer.from_str(run.text_backbone.tokenizer.to_str())
        tokenizer.no_padding()
        tokenizer.save(str(folder / "tokenizer.json"))
        config = _config(run, name=name, stored=stored, results=results or {})
        config["fingerprint"] = _fingerprint(folder, config)
        write_json(folder / "config.json", config)
        write_text(folder / "README.md", card(config))
        if torch_weights:
            from safetensors.torch import save

            weights = {key: value.contiguous() for key, value in run.model.named_parameters()}
            weights |= {key: value.contiguous() for key, value in run.tuned.items()}
            (folder / "model.safetensors").write_bytes(save(weights))
    return Path(out)


def _write_networks(run: Run, folder: Path, stored: Mapping[str, Precision]) -> None:
    items = run.alignment is not None
    image = fold_batch_norm(_ImageEncoder(run.image_backbone, run.model, items=items))
    round_weights(image, stored["image"])
    pixels = {"pixels": torch.from_numpy(_photographs(run))}
    outputs = ["vectors", *(_REGIONS if items else [])]
    _write_graph(image, pixels, folder / "image.onnx", outputs=outputs, precision=stored["image"])
    text = merge_low_rank(_TextEncoder(run.text_backbone, run.model, items=items)).eval()  # a copy
    round_weights(text, stored["text"])
    ids, mask = run.text_backbone.tokenize(_sentences(run))
    words = {"ids": ids, "mask": mask.to(torch.int64)}
    outputs = ["vectors", *(_WORDS if items else [])]
    _write_graph(text, words, folder / "text.onnx", outputs=outputs, precision=stored["text"])


def _write_graph(
    module: nn.Module,
    example: dict[str, Tensor],
    path: Path,
    *,
    outputs: Sequence[str],
    precision: Precision,
) -> None:
    """Export, store small, and hold ONNX Runtime's outputs against torch's."""
    axes = {0: "n", 1: "t"} if "ids" in example else {0: "n"}
    changing = {"vectors": {0: "n"}, **dict.fromkeys(outputs[1:], axes)}
    export_onnx(
        module,
        example,
        path,
        outputs=outputs,
        dynamic={**dict.fromkeys(example, axes), **changing},
    )
    shrink_graph(path, precision)
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # One at a time as well as together: a size that the trace took for fixed shows in the other batch.
    for block in (slice(None), slice(0, 1)):
        inputs = {key: value[block] for key, value in example.items()}
        with torch.inference_mode():
            wanted = module(*inputs.values())
        came = session.run(list(outputs), {key: value.numpy() for key, value in inputs.items()})
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
    squares = []
    for path in run.facts["samples"]["photographs"]:
        try:
            photo = open_photo(Path(path), at_least=run.size)
        except PhotoError:
            continue
        squares.append(to_square(photo.image, run.size, run.fit))
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


def _config(run: Run, *, name: str, stored: Mapping[str, str], results: Mapping[str, Any]) -> dict[str, Any]:
    data = dict(run.facts["data"])
    settings = run.settings.model_dump(mode="json")
    for place in ("data", "features"):
        settings[place].pop("path")  # where things lay on the machine that trained it
    settings["data"].pop("images")
    for side in ("image", "text"):
        settings["features"][side] = _portable(settings["features"][side])
    aligned = run.alignment is not None
    return {
        "schema": 1,
        "name": name,
        "dim": run.dim,
        "fingerprint": "",
        "score": run.score,
        **({"alignment": run.alignment} if aligned else {}),
        "image": {
            "file": "image.onnx",
            "size": run.size,
            "fit": run.fit,
            "input": "pixels",
            "output": "vectors",
            **({"items": _REGIONS} if aligned else {}),
        },
        "text": {
            "file": "text.onnx",
            "max_tokens": run.text_backbone.max_tokens,
            "inputs": ["ids", "mask"],
            "output": "vectors",
            "lowercase": False,
            **({"items": _WORDS} if aligned else {}),
        },
        "architecture": {
            "image_backbone": _portable(run.image_backbone.name),
            "text_backbone": _portable(run.text_backbone.name),
            "regions": run.image_backbone.regions,
            "model": run.model.config(),
            "weights": dict(stored),
            **({"tuned": tuned} if (tuned := _tuned(run)) else {}),
        },
        "data": data,
        "training": settings,
        "seed": run.settings.seed,
        "step": run.position.step,
        "made": datetime.now(UTC).date().isoformat(),
        "versions": {**run.facts["versions"], **versions(_PACKAGES)},
        "results": {**_own_results(run), **results},
    }


def _own_results(run: Run) -> dict[str, Any]:
    """The run's figures on its validation split; none where it has no data of its own."""
    split = run.facts["data"]["validation"]
    return {} if split is None else {split: {**run.results, "weights": "float32"}}


def _tuned(run: Run) -> dict[str, Any]:
    """What was trained of the backbones, by side; nothing of those that are as they were published."""
    finetune = run.settings.finetune
    image = {"image": finetune.image.model_dump(mode="json")} if finetune.image.tuned else {}
    text = {"text": finetune.text.model_dump(mode="json")} if finetune.text.tuned else {}
    return {**image, **text}


def _portable(backbone: str) -> str:
    """A backbone's name without where a folder lay on the machine that trained it."""
    if backbone.startswith("hf:") and Path(backbone.removeprefix("hf:")).is_dir():
        return f"hf:{Path(backbone.removeprefix('hf:')).resolve().name}"
    return "+".join(_portable(part) for part in backbone.split("+")) if "+" in backbone else backbone


def _fingerprint(folder: Path, config: Mapping[str, Any]) -> str:
    """What `sterna.encoders.fingerprint_folder` says of it; training knows no room above the model folder."""
    files = [hash_file(folder / name) for name in ("image.onnx", "text.onnx", "tokenizer.json")]
    return hash_json({"files": files, "image": config["image"], "text": config["text"]})
