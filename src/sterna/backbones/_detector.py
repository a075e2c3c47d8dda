"""Object detectors of `transformers` as image backbones: what a query found is a region.

DETR (Carion et al., ECCV 2020) and those that answer in its shape: a vector, a box and class scores for each
of a fixed number of queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from sterna._transformers import quiet_transformers
from sterna.backbones._choice import Choice, choose
from sterna.backbones._huggingface import hash_weights, load_network, trying
from sterna.backbones._types import ImageBackbone, Regions, freeze
from sterna.errors import ModelError, UsageError
from sterna.files import hash_json

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Detections", "Detector", "alone", "load_detector"]

_AT_ONCE = 4  # large photographs through a transformer
_PREPROCESSING = (
    "do_resize",
    "size",
    "resample",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)


class Detections(NamedTuple):
    """What a detector found in a batch of photographs, the surest first."""

    values: Float[Tensor, "B R D"]
    """float32: the decoder's last hidden state"""
    boxes: Float[Tensor, "B R 4"]
    """float32: x1 y1 x2 y2, 0..1 of the photograph"""
    mask: Bool[Tensor, "B R"]
    """True where there is a region"""
    scores: Float[Tensor, "B R"]
    """float32, 0..1, of the class"""
    classes: Int64[Tensor, "B R"]
    """numbers of `Detector.classes`"""


def load_detector(
    name: str,
    *,
    size: int | None = None,
    top: int | None = None,
    threshold: float | None = None,
    suppress: float | None = None,
) -> Detector:
    """A detector by hub name (with @REVISION where need be) or folder, options written behind it or given.

    Raises `ModelError` where it is not there or is no detector, `UsageError` for an unfit option.
    """
    name, choice = Choice.read(name, {"top": top, "threshold": threshold, "suppress": suppress})
    folder = Path(name).is_dir()
    if "+" in name and not folder:
        raise alone(f"detector:{name}")
    place, _, revision = (name, "", "") if folder else name.partition("@")
    network = load_network(place, kind="detector", revision=revision or None)
    return Detector(
        f"detector:{name}{choice}",
        network,
        processor=_processor(place, revision or None),
        size=size,
        choice=choice,
    )


def alone(name: str) -> UsageError:
    """What to raise where a detector is to stand side by side with others."""
    return UsageError(f"{name}: a detector's regions are its own; it does not stand side by side with others")


def _processor(name: str, revision: str | None) -> Any:
    with quiet_transformers(bars=False), trying(f"detector:{name}", "loaded with its preprocessing"):
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(
            name, backend="pil", trust_remote_code=False, revision=revision or "main"
        )


class Detector(ImageBackbone):
    """A detector of the DETR family; frozen whole.

    A photograph keeps its shape where the detector's own preprocessing keeps it, so photographs come one by
    one (`prepare`) and are run together where they are of one shape (`detect`): no padding, and nothing that
    depends on what else is in the batch. At least one region of each is kept. `forward` takes squares for
    photographs of that shape.

    Arguments:
        name: what builds it again.
        network: a network of `transformers` for object detection.
        processor: its image processor.
        size: the shorter side in pixels that photographs are scaled to; `None` leaves the processor's own.
        choice: which answers are kept.
    """

    def __init__(
        self, name: str, network: nn.Module, *, processor: Any, size: int | None = None, choice: Choice
    ) -> None:
        super().__init__()
        config: Any = network.config
        self.name, self.fit, self.choice = name, "own", choice
        self.network = network
        self._processor = processor
        self.size, self._scale = _scale(processor, size, name)
        self.dim = int(getattr(config, "d_model", 0) or config.hidden_size)
        self.sources, self.map_shape = (self.dim,), ()
        self.regions = choice.top
        self.classes = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
        self.described = {**asdict(choice), "classes": list(self.classes)}
        freeze(self, [], wanted=0, name=name)
        preprocessing = {key: getattr(processor, key, None) for key in _PREPROCESSING}
        facts = {**preprocessing, "size": self._scale, "weights": hash_weights(network), **asdict(choice)}
        self.fingerprint = hash_json({key: _plain(value) for key, value in facts.items()})

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """A photograph, upright and RGB, to float32 [3, H, W] by the detector's own preprocessing."""
        made = self._processor(images=image, size=dict(self._scale), do_pad=False, return_tensors="np")
        return np.asarray(made["pixel_values"][0], dtype=np.float32)

    def detect(self, prepared: Sequence[NDArray[Any]]) -> Detections:
        """What is in photographs that `prepare` made; R is the most that one of them has."""
        found: list[tuple[Tensor, ...]] = [()] * len(prepared)
        shapes: dict[tuple[int, ...], list[int]] = {}
        for place, one in enumerate(prepared):
            shapes.setdefault(one.shape, []).append(place)
        for places in shapes.values():
            for start in range(0, len(places), _AT_ONCE):
                block = places[start : start + _AT_ONCE]
                pixels = torch.from_numpy(np.stack([prepared[place] for place in block]))
                for place, answers in zip(block, self._answers(pixels), strict=True):
                    found[place] = answers
        pad = torch.nn.utils.rnn.pad_sequence
        columns = [pad(list(column), batch_first=True) for column in zip(*found, strict=True)]
        lengths = torch.tensor([len(one[0]) for one in found])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        return Detections(columns[0], columns[1], mask, columns[2], columns[3])

    def forward(self, pixels: UInt8[Tensor, "B S S 3"]) -> Regions:
        """[B, S, S, 3] uint8 RGB, taken for photographs, to regions."""
        from PIL import Image

        return self.look([self.prepare(Image.fromarray(square)) for square in pixels.cpu().numpy()])

    def look(self, prepared: Sequence[NDArray[Any]]) -> Regions:
        """`detect` without scores and classes."""
        found = self.detect(prepared)
        return Regions(found.values, found.boxes, found.mask)

    def stem(self, pixels: UInt8[Tensor, "B S S 3"]) -> Float[Tensor, "B ..."]:
        """Raises `ModelError`: a detector is not cut in two."""
        raise ModelError(f"{self.name}: a detector has no map below a tail; it is used whole and frozen")

    def _answers(self, pixels: Tensor) -> list[tuple[Tensor, ...]]:
        """Values, boxes, scores and classes of each photograph's kept regions."""
        with trying(self.name, f"run on {pixels.shape[-1]} x {pixels.shape[-2]} pixels"):
            out = self.network(pixel_values=pixels)
            hidden, logits, around = out.last_hidden_state, out.logits, out.pred_boxes
        if hidden.shape != (*logits.shape[:2], self.dim):
            raise ModelError(
                f"{self.name}: gives {list(hidden.shape)} for {list(logits.shape[:2])} answers; "
                f"one vector of {self.dim} for each is needed"
            )
        scores, classes = _chances(logits, len(self.classes)).max(dim=-1)
        centre, half = around[..., :2], around[..., 2:] / 2
        boxes = torch.cat([centre - half, centre + half], dim=-1).clamp(0, 1)
        answers: list[tuple[Tensor, ...]] = []
        for row in range(len(pixels)):
            kept = torch.from_numpy(choose(scores[row].numpy(), boxes[row].numpy(), **asdict(self.choice)))
            answers.append((hidden[row, kept], boxes[row, kept], scores[row, kept], classes[row, kept]))
        return answers


def _chances(logits: Float[Tensor, "B Q L"], classes: int) -> Float[Tensor, "B Q K"]:
    """[B, Q, K] in 0..1: of DETR's kind one more class means "nothing", the others ask class by class."""
    if logits.shape[-1] == classes + 1:
        return logits.softmax(dim=-1)[..., :-1]
    return logits.sigmoid()


def _scale(processor: Any, asked: int | None, name: str) -> tuple[int, dict[str, int]]:
    """The shorter side in pixels, and the `size` that the processor is told."""
    size = {key: int(value) for key, value in dict(processor.size).items() if value is not None}
    if size.keys() == {"height", "width"}:
        own = min(size.values())
    elif "shortest_edge" in size:
        own = size["shortest_edge"]
    else:
        raise ModelError(f"{name}: its preprocessing scales to {size}, which is not known here")
    if asked is None:
        return own, size
    return asked, {key: round(value * asked / own) for key, value in size.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [float(one) for one in value]
    return int(value) if isinstance(value, bool | int) else value
