"""Names to backbones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from sterna.backbones._bert import minilm_folder
from sterna.backbones._efficientnet import EfficientNetLite
from sterna.backbones._huggingface import load_text
from sterna.backbones._huggingface_image import load_image
from sterna.backbones._side_by_side import SideBySide
from sterna.backbones._types import ImageBackbone, TextBackbone
from sterna.errors import UsageError

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
) -> ImageBackbone:
    """Build an image backbone, frozen but for its last `trainable_tail` parts.

    Arguments:
        name: a name of `IMAGE_BACKBONES`, `hf:` with a hub name or a folder, or several joined by "+".
        size: side of the square input in pixels; `None` means 384, for `hf:` what the network was made for.
        cells: the map is averaged over `cells` x `cells` regions; `None` keeps every place.
        fit: how photographs become squares: "squeeze", "crop", "letterbox".
        trainable_tail: how many blocks at the end of each network may be trained. Features on disk come from
            frozen networks, and `sterna train` reads those: training a tail comes with fine-tuning.

    Raises `UsageError` for an unknown name, `MissingExtraError`, `ModelError`.
    """
    from sterna.images import FITS

    if fit not in FITS:
        raise UsageError(f"fit={fit!r}: must be one of {', '.join(FITS)}")
    folder = name.startswith("hf:") and Path(name[3:]).is_dir()  # a folder's name may hold a "+"
    parts = [
        _one_image(part.strip(), size=size, cells=cells, fit=fit, trainable_tail=trainable_tail)
        for part in ([name] if folder else name.split("+"))
    ]
    return parts[0] if len(parts) == 1 else SideBySide(parts)


def _one_image(
    name: str, *, size: int | None, cells: int | None, fit: str, trainable_tail: int
) -> ImageBackbone:
    if name.startswith("hf:"):
        return load_image(name[3:], size=size, cells=cells, fit=fit, trainable_tail=trainable_tail)
    build = IMAGE_BACKBONES.get(name)
    if build is None:
        raise _unknown("image", name, IMAGE_BACKBONES)
    return build(size=384 if size is None else size, cells=cells, fit=fit, trainable_tail=trainable_tail)


def text_backbone(name: str, *, max_tokens: int = 64, trainable_layers: int = 0) -> TextBackbone:
    """Build a text backbone, frozen but for its last `trainable_layers`.

    Arguments:
        name: a name of `TEXT_BACKBONES`, or `hf:` with a hub name or a folder.
        max_tokens: longer sentences are cut, special tokens included.
        trainable_layers: how many layers at the end may be trained (BERTs alone), once there is
            fine-tuning.

    Raises `UsageError` for an unknown name, `MissingExtraError`, `ModelError`.
    """
    if name.startswith("hf:"):
        return load_text(name[3:], max_tokens=max_tokens, trainable_layers=trainable_layers)
    build = TEXT_BACKBONES.get(name)
    if build is None:
        raise _unknown("text", name, TEXT_BACKBONES)
    return build(max_tokens=max_tokens, trainable_layers=trainable_layers)


def _unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(
        f"{name!r}: no such {kind} backbone; {hint}known: {', '.join(names)}, hf:NAME-or-folder"
    )
