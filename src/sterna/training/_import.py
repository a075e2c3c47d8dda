"""From a checkpoint of an earlier implementation to a run that can be measured and trained further."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sterna._version import versions
from sterna.backbones import ImageBackbone, TextBackbone
from sterna.errors import ModelError, UsageError
from sterna.files import hash_file, hash_json, new_folder, write_json
from sterna.model import TERN
from sterna.objectives import build_objective
from sterna.scoring import SCORES
from sterna.settings import load_settings, save_settings
from sterna.training._checkpoint import Position, save_best
from sterna.training._earlier import Earlier, read_earlier
from sterna.training._folder import choose_settings
from sterna.training._learner import Learner
from sterna.training._settings import TrainSettings
from sterna.training._tuning import load_image_backbone, load_text_backbone

__all__ = ["ImportedModel", "import_model"]

IMPORTED = "imported"
"""the name of a backbone of which there are features alone"""

_BERT = "txt_enc.bert_model."
_WITHOUT_BERT = "weights of BERT: name its folder as the text backbone to bring them over"
_STOP_WORDS = (
    "exclude-stopwords: the file's model aligned no stop words (the, of, ...); here all words are aligned, "
    "and scores by alignment differ from its own; vectors do not"
)


@dataclass(frozen=True)
class ImportedModel:
    """What became of a file.

    Fields:
        path: the run's folder.
        kind: "tern" or "reimplementation".
        weights: how many numbers the model has.
        embedding, image_width, text_width: widths of vectors, regions and tokens.
        zero_region: whether a region of zeros is put before each image's regions.
        tuned: how many numbers of the text backbone came along.
        left_out: in words, what the file holds and the run does not.
    """

    path: Path
    kind: str
    weights: int
    embedding: int
    image_width: int
    text_width: int
    zero_region: bool
    tuned: int
    left_out: tuple[str, ...]


def import_model(
    path: str | Path,
    out: str | Path,
    *,
    config: str | Path | None = None,
    image_backbone: str = IMPORTED,
    text_backbone: str = IMPORTED,
    zero_region: bool = True,
) -> ImportedModel:
    """Write a run whose best checkpoint holds the weights of an earlier implementation's file.

    Arguments:
        path, config: see `read_earlier`.
        out: the run's folder; must not be there yet.
        image_backbone, text_backbone: names of the backbones whose outputs the model takes; "imported" where
            there are features alone. Weights of BERT in the file go into the text backbone that is named.
        zero_region: for the paper authors' models, put the region of zeros before each image's regions that
            their loader put there, and that stores of features lack.

    Raises `ModelError` where the file, or a backbone beside it, cannot be used; `UsageError` where a config
    is missing or asks for what is not known; `SternaError` where `out` exists.
    """
    earlier = read_earlier(path, config=config)
    with torch.random.fork_rng(devices=[]):
        model = earlier.model(zero_region=zero_region)
        bert = _bert(earlier.state)
        chosen = _settings(earlier, model, image=image_backbone, text=text_backbone, tuned=bool(bert))
        settings = choose_settings(Path(out), chosen, resume=False)
        images, texts = _backbones(settings)
    tuned = _fill_text(texts, bert, earlier.path) if texts is not None and bert else None
    features = {"images": _of_images(model, images), "captions": _of_texts(model, texts)}
    learner = Learner(
        model,
        build_objective(settings.objective.name, settings.objective.params),
        text_backbone=tuned,
        stands_on={kind: meta["fingerprint"] for kind, meta in features.items() if meta["fingerprint"]},
    )
    with new_folder(Path(out)) as folder:
        save_settings(settings, folder / "settings.yaml")
        write_json(folder / "run.json", _facts(earlier, features))
        save_best(folder, Position(), learner=learner, report={})
    return ImportedModel(
        path=Path(out),
        kind=earlier.kind,
        weights=_count(dict(model.named_parameters())),
        embedding=settings.model.embedding,
        image_width=model.image.dim,
        text_width=model.text.dim,
        zero_region=settings.model.image.cls_token == "zero",  # noqa: S105  # nosec B105
        tuned=0 if tuned is None else _count(tuned.tuned()),
        left_out=tuple(_left_out(earlier, without_bert=bool(bert) and tuned is None)),
    )


def _left_out(earlier: Earlier, *, without_bert: bool) -> Iterator[str]:
    if without_bert:
        yield _WITHOUT_BERT
    model, training = (earlier.config.get(part) or {} for part in ("model", "training"))
    if model.get("exclude-stopwords") and "alignment" in str(training.get("loss-type", "")):
        yield _STOP_WORDS


def _settings(earlier: Earlier, model: TERN, *, image: str, text: str, tuned: bool) -> TrainSettings:
    """Settings that build the model again, with the objective that it was trained by where that is known."""
    config = model.config()
    del config["image_sources"], config["text_sources"]
    values: dict[str, Any] = {"model": config, "features": {"image": image, "text": text}}
    if earlier.kind == "tern":
        training = earlier.config.get("training") or {}
        score = _score(training)
        negatives = "hardest" if training.get("max-violation", True) else "all"
        params = {"margin": training.get("margin", 0.2), "negatives": negatives, "similarity": score}
        values |= {"objective": {"name": "hinge", "params": params}, "score": score}
        if text != IMPORTED:
            values["features"]["hidden_layer"] = earlier.config["text-model"].get("extraction-hidden-layer")
        if text != IMPORTED and tuned:
            values["finetune"] = {"text": {"layers": "all"}}
    return load_settings(TrainSettings, values)


def _score(training: Mapping[str, Any]) -> str:
    """The name of the score by which TERN or TERAN was trained; "dot" for what ours lack."""
    alignment = "alignment" in str(training.get("loss-type", ""))
    name = str(training.get("alignment-mode" if alignment else "measure", "dot"))
    return name if name in SCORES else "dot"


def _backbones(settings: TrainSettings) -> tuple[ImageBackbone | None, TextBackbone | None]:
    images = texts = None
    if settings.features.image != IMPORTED:
        images = load_image_backbone(settings.features, settings.finetune, size=None)
    if settings.features.text != IMPORTED:
        texts = load_text_backbone(settings.features, settings.finetune)
    return images, texts


def _of_images(model: TERN, backbone: ImageBackbone | None) -> dict[str, Any]:
    """What a store of the features that the image tower takes says of itself, as far as it is known."""
    wanted = model.image.dim
    if backbone is None:
        return {"backbone": IMPORTED, "fingerprint": None, "dim": wanted, "sources": [wanted], "size": None}
    if backbone.dim != wanted:
        raise UsageError(
            f"image backbone {backbone.name}: its regions are {backbone.dim} wide; the model takes {wanted}"
        )
    return {
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "dim": wanted,
        "sources": [wanted],  # the model was not made for several side by side
        "size": backbone.size,
        "fit": backbone.fit,
        "regions": backbone.regions,
    }


def _of_texts(model: TERN, backbone: TextBackbone | None) -> dict[str, Any]:
    wanted = model.text.dim
    if backbone is None:
        return {"backbone": IMPORTED, "fingerprint": None, "dim": wanted, "max_tokens": None}
    if backbone.dim != wanted:
        raise UsageError(
            f"text backbone {backbone.name}: its tokens are {backbone.dim} wide; the model takes {wanted}"
        )
    return {
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "dim": wanted,
        "max_tokens": backbone.max_tokens,
    }


def _bert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of BERT in a state dict, by BERT's own names."""
    return {
        name.partition(_BERT)[2]: value.float()
        for name, value in state.items()
        if _BERT in name and value.is_floating_point()
    }


@torch.no_grad()
def _fill_text(backbone: TextBackbone, bert: Mapping[str, Tensor], path: Path) -> TextBackbone:
    """Give the text backbone the weights of BERT that the file holds."""
    wanted = backbone.tuned()
    came = {_backbones_name(name): value for name, value in bert.items() if not name.startswith("pooler.")}
    unlike = [
        name
        for name in sorted({*wanted, *came})
        if name not in wanted or name not in came or wanted[name].shape != came[name].shape
    ]
    if unlike:
        raise ModelError(
            f"{path}: its weights of BERT are not those of a {backbone.name} ({', '.join(unlike[:5])}); "
            "name the folder of the BERT that it was trained with, or none"
        )
    for name, value in came.items():
        wanted[name].copy_(value)
    return backbone


def _backbones_name(name: str) -> str:
    """BERT's name of a weight as our backbone has it, of which all layers may be trained."""
    return name.replace("encoder.layer.", "last_layers.", 1)


def _facts(earlier: Earlier, features: Mapping[str, Any]) -> dict[str, Any]:
    """`run.json` of a run that saw no data here."""
    source = {"file": earlier.path.name, "sha256": hash_file(earlier.path), "kind": earlier.kind}
    config = _plain(earlier.config)
    data = config.get("dataset")
    name = str(data.get("name") or "unknown") if isinstance(data, dict) else "unknown"
    return {
        "schema": 1,
        "versions": versions(("torch",)),
        "imported": {**source, **_plain(earlier.facts), "config": config},
        "data": {"name": name, "format": None, "terms": "", "splits": {}, "validation": None},
        "left_out": {"count": 0, "first": []},
        "features": features,
        "samples": {"photographs": [], "captions": []},
        "inputs": hash_json({"imported": source}),
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them, which knows no NaN: what cannot be one becomes its name."""
    plain: dict[str, Any] = json.loads(
        json.dumps(values, default=str, skipkeys=True), parse_constant=lambda name: name
    )
    return plain


def _count(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in tensors.values())
