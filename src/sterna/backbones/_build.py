"""Names to backbones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypedDict

from sterna.backbones._bert import minilm_folder
from sterna.backbones._detector import alone, load_detector
from sterna.backbones._efficientnet import EfficientNetLite
from sterna.backbones._huggingface import load_text
from sterna.backbones._huggingface_image import load_image
from sterna.backbones._side_by_side import SideBySide
from sterna.backbones._tuning import check_tuning
from sterna.backbones._types import ImageBackbone, TextBackbone
from sterna.errors import ModelError, UsageError

__all__ = ["IMAGE_BACKBONES", "TEXT_BACKBONES", "image_backbone", "text_backbone"]

IMAGE_BACKBONES: dict[str, Callable[..., ImageBackbone]] = {
    "efficientnet-lite0": partial(EfficientNetLite, 0),
    "efficientnet-lite1": partial(EfficientNetLite, 1),
    "efficientnet-lite2": partial(EfficientNetLite, 2),
}
TEXT_BACKBONES: dict[str, Callable[..., TextBackbone]] = {
    "minilm": lambda **options: load_text(str(minilm_folder()), label="minilm", **options),
}


def image_backbone(
    name: str,
    *,
    size: int | None = None,
    cells: int | None = 6,
    fit: str = "squeeze",
    trainable_tail: int = 0,
    batch_norm: str = "frozen",
    checkpointing: bool = False,
    top: int | None = None,
    threshold: float | None = None,
    suppress: float | None = None,
) -> ImageBackbone:
    """Build an image backbone, frozen but for its last `trainable_tail` parts.

    Arguments:
        name: a name of `IMAGE_BACKBONES`, `hf:` with a hub name or a folder, or several joined by "+"; or
            `detector:` with the hub name (and @REVISION) or folder of an object detector, behind which its
            options may stand: "detector:folder,top=20,suppress=0.5".
        size: side of the square input in pixels; `None` means 384, for `hf:` what the network was made for.
            For detectors the shorter side of the photograph.
        cells: the map is averaged over `cells` x `cells` regions; `None` keeps every place.
        fit: how photographs become squares: "squeeze", "crop", "letterbox".
        trainable_tail: how many parts at the end of each network may be trained: layers of a transformer,
            stages (what has one stride) of a convolutional network.
        batch_norm: "frozen", or "moving": in training mode those inside the tail take and move statistics.
        checkpointing: run what is trained again for its gradients instead of remembering it: less memory.
        top: how many regions of a detector are kept at most, by their scores; `None` means 36.
        threshold: regions of a lower score, 0..1, are left out, but never the best; `None` means 0.
        suppress: regions are left out that overlap a better one, of whatever class, by more than this share
            of their union; `None` leaves none out.

    Raises `UsageError` for an unknown name, `MissingExtraError`, `ModelError`.
    """
    from sterna.images import FITS

    if fit not in FITS:
        raise UsageError(f"fit={fit!r}: must be one of {', '.join(FITS)}")
    chosen = {"top": top, "threshold": threshold, "suppress": suppress}
    if name.startswith("detector:"):
        if trainable_tail:
            raise ModelError(f"{name}: a detector is frozen whole; no stage of it can be trained")
        return load_detector(name[9:], size=size, top=top, threshold=threshold, suppress=suppress)
    if wrong := [key for key, value in chosen.items() if value is not None]:
        raise UsageError(f"{wrong[0]}={chosen[wrong[0]]}: is for detectors; {name} has a grid of regions")
    folder = name.startswith("hf:") and Path(name[3:]).is_dir()  # a folder's name may hold a "+"
    check_tuning(batch_norm=batch_norm)
    options = _ImageOptions(
        size=size,
        cells=cells,
        fit=fit,
        trainable_tail=trainable_tail,
        batch_norm=batch_norm,
        checkpointing=checkpointing,
    )
    parts = [_one_image(part.strip(), options) for part in ([name] if folder else name.split("+"))]
    return parts[0] if len(parts) == 1 else SideBySide(parts)


class _ImageOptions(TypedDict):
    size: int | None
    cells: int | None
    fit: str
    trainable_tail: int
    batch_norm: str
    checkpointing: bool


def _one_image(name: str, options: _ImageOptions) -> ImageBackbone:
    if name.startswith("hf:"):
        return load_image(name[3:], **options)
    if name.startswith("detector:"):
        raise alone(name)
    build = IMAGE_BACKBONES.get(name)
    if build is None:
        raise _unknown("image", name, IMAGE_BACKBONES)
    options["size"] = options["size"] or 384
    return build(**options)


def text_backbone(
    name: str,
    *,
    max_tokens: int = 64,
    trainable_layers: int | None = 0,
    low_rank: int = 0,
    hidden_layer: int | None = None,
    checkpointing: bool = False,
) -> TextBackbone:
    """Build a text backbone, frozen but for its last `trainable_layers`.

    Arguments:
        name: a name of `TEXT_BACKBONES`, or `hf:` with a hub name or a folder.
        max_tokens: longer sentences are cut, special tokens included.
        trainable_layers: how many layers at the end may be trained; `None` means the whole, embeddings
            included.
        low_rank: of those layers (of all where it is 0 or `None`) train adapters of this rank beside the
            matrices of queries and values (LoRA), and nothing else.
        hidden_layer: whose output the tokens are: 0 the embeddings', K the K-th layer's; `None` or -1 the
            last one's.
        checkpointing: run what is trained again for its gradients instead of remembering it: less memory.

    Raises `UsageError` for an unknown name or layer, `MissingExtraError`, `ModelError`.
    """
    check_tuning(low_rank=low_rank)
    build = partial(load_text, name[3:]) if name.startswith("hf:") else TEXT_BACKBONES.get(name)
    if build is None:
        raise _unknown("text", name, TEXT_BACKBONES)
    return build(
        max_tokens=max_tokens,
        trainable_layers=trainable_layers,
        low_rank=low_rank,
        hidden_layer=hidden_layer,
        checkpointing=checkpointing,
    )


def _unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    names = sorted(known)
    others = ["hf:NAME-or-folder", *(["detector:NAME-or-folder"] if kind == "image" else [])]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"{name!r}: no such {kind} backbone; {hint}known: {', '.join([*names, *others])}")
