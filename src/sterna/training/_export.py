"""From a run to a model folder: what people search with, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from sterna._version import versions
from sterna.backbones import (
    refuse_detector,
)
from sterna.errors import UsageError
from sterna.files import check_new_folder, hash_file, hash_json, new_folder, write_json, write_text
from sterna.training._card import card
from sterna.training._committee import (
    Reduction,
    check_committee,
    fit_reduction,
)
from sterna.training._networks import REGIONS, WORDS, write_networks
from sterna.training._quantize import Arithmetic
from sterna.training._run import Run, load_run
from sterna.training._tuning import OF_RUN, published
from sterna.training._weights import Precision

__all__ = ["export"]

_PACKAGES = ("torch", "onnx", "onnxruntime", "transformers")


def export(
    run: Run | str | Path | Sequence[Run | str | Path],
    out: str | Path,
    *,
    dim: int | None = None,
    name: str = "sterna-base",
    image_weights: Precision = "float16",
    text_weights: Precision = "float16",
    image_arithmetic: Arithmetic = "float32",
    image_tuning: float = 1.0,
    text_tuning: float = 1.0,
    few_words: str | None = None,
    results: Mapping[str, Any] | None = None,
    torch_weights: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write a model folder: `config.json`, `image.onnx`, `text.onnx`, `tokenizer.json`, `README.md`.

    The networks are compared with torch on the run's validation photographs and captions (drawn pictures
    where these are gone) before the folder gets its name. Where the run was trained or is measured by an
    alignment, they also give a vector for every region and word.

    Several runs become one model, whose similarities are nearly the mean of theirs: their vectors stand side
    by side and are turned to `dim` numbers (principal components over training photographs and captions).
    Backbones that they share are run once.

    Arguments:
        run: a run, or its folder, of which the best weights are taken; or several.
        out: the model folder; must not be there yet.
        dim: E, of the model's vectors; `None` for as many as the first run's. Fewer or several runs' need the
            photographs that the first run was trained on.
        name: of the model, for people.
        image_weights, text_weights: how weights are stored: "float16", "float32", or "int8" for linear
            layers, convolutions and word vectors, with a scale for each output channel and word.
        image_arithmetic: what the image networks compute in. "int8" is faster, and less exact: convolutions
            take and give integers, whose ranges are read from 60 photographs that the first run was trained
            on (they have to be there), and the vectors are held against torch's by their mean cosine.
        image_tuning, text_tuning: of a run that tuned its backbones, how far to go from the published weights
            (0) to the tuned ones (1); see `load_run`. Below 1 the run has no figures of its own.
        few_words: a sentence with a `{}`, such as "there is {}", in which the model reads texts of one or
            two words.
        results: measured figures by split for the configuration and the card (what `sterna eval` reports as
            JSON), beside or in place of the run's own on validation, which are of its float32 weights.
        torch_weights: also write `model.safetensors`, TERN's weights in float32 and what was trained of the
            backbones ("image_backbone." and "text_backbone." before the names), for training to go on from,
            later: nothing reads it yet. Of several runs that of the first.
        progress: told what is encoded for turning vectors ("photograph", "caption"), how many are done, and
            of how many.

    Returns `out`. Raises `ModelError` where ONNX Runtime's vectors differ from torch's by more than 1e-4,
    `SternaError` where `out` exists, `DiskError` where it cannot be written (both at once), `RunError` where
    `run` is not a run, `UsageError` where several runs cannot be one model, where `few_words` has not one
    `{}`, or where `dim` is more than they have.
    """
    check_new_folder(Path(out))
    if few_words is not None and few_words.count("{}") != 1:
        raise UsageError(
            f"few_words={few_words!r}: a sentence with one {{}} is needed, such as 'there is {{}}'"
        )
    runs = _opened(run, image_tuning=image_tuning, text_tuning=text_tuning)
    first = runs[0]
    stored: dict[str, Precision] = {"image": image_weights, "text": text_weights}
    with new_folder(Path(out)) as folder:
        reduction = _reduction(runs, dim, progress)
        write_networks(runs, reduction, folder, stored, arithmetic=image_arithmetic)
        tokenizer = Tokenizer.from_str(first.text_backbone.tokenizer.to_str())
        tokenizer.no_padding()
        tokenizer.save(str(folder / "tokenizer.json"))
        config = _config(
            runs, reduction, name=name, stored=stored, arithmetic=image_arithmetic, results=results or {}
        )
        if few_words is not None:
            config["text"]["few_words"] = few_words
        config["fingerprint"] = _fingerprint(folder, config)
        write_json(folder / "config.json", config)
        write_text(folder / "README.md", card(config))
        if torch_weights:
            from safetensors.torch import save

            weights = {key: value.contiguous() for key, value in first.model.named_parameters()}
            weights |= {key: value.contiguous() for key, value in first.tuned.items()}
            (folder / "model.safetensors").write_bytes(save(weights))
    return Path(out)


def _opened(
    given: Run | str | Path | Sequence[Run | str | Path], *, image_tuning: float, text_tuning: float
) -> list[Run]:
    several = [given] if isinstance(given, Run | str | Path) else list(given)
    if not several:
        raise UsageError("run=[]: name a run, or several")
    if (image_tuning, text_tuning) != (1, 1) and any(isinstance(one, Run) for one in several):
        raise UsageError("image_tuning, text_tuning: are for runs by their folder; a Run has its own")
    runs = [
        one if isinstance(one, Run) else load_run(one, image_tuning=image_tuning, text_tuning=text_tuning)
        for one in several
    ]
    for one in runs:
        refuse_detector(one.image_backbone)
    return runs


def _reduction(
    runs: Sequence[Run], dim: int | None, progress: Callable[[str, int, int], None] | None
) -> Reduction | None:
    if len(runs) == 1 and dim in (None, runs[0].dim):
        return None
    check_committee(runs)
    return fit_reduction(runs, dim or runs[0].dim, progress=progress)


def _config(
    runs: Sequence[Run],
    reduction: Reduction | None,
    *,
    name: str,
    stored: Mapping[str, str],
    arithmetic: Arithmetic,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    run = runs[0]
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
        "dim": run.dim if reduction is None else reduction.matrix.shape[1],
        "fingerprint": "",
        "score": run.score,
        **({"alignment": run.alignment} if aligned else {}),
        "image": {
            "file": "image.onnx",
            "size": run.size,
            "fit": run.fit,
            "input": "pixels",
            "output": "vectors",
            **({"items": REGIONS} if aligned else {}),
        },
        "text": {
            "file": "text.onnx",
            "max_tokens": run.text_backbone.max_tokens,
            "inputs": ["ids", "mask"],
            "output": "vectors",
            "lowercase": False,
            **({"items": WORDS} if aligned else {}),
        },
        "architecture": {
            "image_backbone": _portable(published(run.settings, "image")[0]),
            "text_backbone": _portable(published(run.settings, "text")[0]),
            "regions": run.image_backbone.regions,
            "model": run.model.config(),
            "weights": dict(stored),
            **({"arithmetic": {"image": arithmetic}} if arithmetic != "float32" else {}),
            **({"tuned": tuned} if (tuned := _tuned(run)) else {}),
            **_committee(runs, reduction),
        },
        "data": data,
        "training": settings,
        "seed": run.settings.seed,
        "step": run.position.step,
        "made": datetime.now(UTC).date().isoformat(),
        "versions": {**run.facts["versions"], **versions(_PACKAGES)},
        # of one run's own vectors, which others' are not
        "results": {**(_own_results(run) if reduction is None else {}), **results},
    }


def _committee(runs: Sequence[Run], reduction: Reduction | None) -> dict[str, Any]:
    """Of which runs the vectors stand side by side, and how they became fewer numbers."""
    if reduction is None:
        return {}
    return {
        "members": [
            {
                "seed": run.settings.seed,
                "step": run.position.step,
                "image_backbone": _portable(published(run.settings, "image")[0]),
                "text_backbone": _portable(published(run.settings, "text")[0]),
                "model": run.model.config(),
                "training": _differing(runs[0], run),
                "results": _own_results(run),
            }
            for run in runs
        ],
        "reduced": {
            "from": reduction.matrix.shape[0],
            "images": reduction.images,
            "captions": reduction.captions,
        },
    }


def _differing(first: Run, run: Run) -> dict[str, Any]:
    """How a run was trained otherwise than the first, by settings that its model and seed do not say."""
    told = {"data", "features", "model", "seed"}
    settings, others = (one.settings.model_dump(mode="json", exclude=told) for one in (run, first))
    return {name: value for name, value in settings.items() if value != others[name]}


def _own_results(run: Run) -> dict[str, Any]:
    """The run's figures on its validation split; none where it has no data of its own."""
    split = run.facts["data"]["validation"]
    return {} if split is None or not run.results else {split: {**run.results, "weights": "float32"}}


def _tuned(run: Run) -> dict[str, Any]:
    """What was trained of the backbones, by side; nothing of those that are as they were published."""
    sides: tuple[Literal["image", "text"], ...] = ("image", "text")
    return {
        side: {**tuned, **({"share": share} if (share := run.tuning.get(side, 1)) != 1 else {})}
        for side in sides
        if (tuned := published(run.settings, side)[1]) is not None
    }


def _portable(backbone: str) -> str:
    """A backbone's name without where a folder lay on the machine that trained it."""
    if backbone.startswith(OF_RUN):
        return f"{OF_RUN}{Path(backbone.removeprefix(OF_RUN)).name}"
    if backbone.startswith("hf:") and Path(backbone.removeprefix("hf:")).is_dir():
        return f"hf:{Path(backbone.removeprefix('hf:')).resolve().name}"
    return "+".join(_portable(part) for part in backbone.split("+")) if "+" in backbone else backbone


def _fingerprint(folder: Path, config: Mapping[str, Any]) -> str:
    """What `sterna.encoders.fingerprint_folder` says of it; training knows no room above the model folder."""
    files = [hash_file(folder / name) for name in ("image.onnx", "text.onnx", "tokenizer.json")]
    return hash_json({"files": files, "image": config["image"], "text": config["text"]})
