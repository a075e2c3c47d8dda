"""One or more runs as one model: their vectors side by side, turned to fewer numbers where that is wanted.

Runs that differ in their seeds alone find different things; the mean of their similarities is the similarity
of their vectors side by side. Projecting these on the directions in which they are largest (principal
components of second moments, not centred, so that dot products stay what they are) keeps it in few numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from sterna.backbones import ImageBackbone, TextBackbone, export_onnx, fold_batch_norm, merge_low_rank
from sterna.data import CaptionedImages
from sterna.errors import RunError, UsageError
from sterna.features import Engine
from sterna.model import TERN
from sterna.training._inputs import training_split
from sterna.training._run import PHOTOGRAPHS, SENTENCES, Run, prepare_files

__all__ = ["ImageEncoder", "Reduction", "TextEncoder", "check_committee", "fit_reduction", "training_squares"]

_IMAGES = 1_000  # training photographs that a projection is fitted on, with all their captions


class Reduction(NamedTuple):
    """A projection [F, E] of vectors side by side, and how many images and captions it was fitted on."""

    matrix: Float32[Tensor, "F E"]
    images: int
    captions: int


class _Encoder(nn.Module):
    """What image and text towers share: backbones, each once, and the models that stand on them."""

    def __init__(
        self,
        backbones: Sequence[ImageBackbone | TextBackbone],
        runs: Sequence[Run],
        matrix: Tensor | None,
        *,
        items: bool,
    ) -> None:
        super().__init__()
        distinct = {backbone.fingerprint: backbone for backbone in backbones}
        self.backbones = nn.ModuleList(distinct.values())
        self.models = nn.ModuleList(run.model for run in runs)
        self.stands_on = [list(distinct).index(backbone.fingerprint) for backbone in backbones]
        self.projection: nn.Linear | None = None
        if matrix is not None:  # a layer, so that it is stored as the others are
            self.projection = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False).requires_grad_(False)
            self.projection.weight.copy_(matrix.T)
        self.items = items

    def _towers(self) -> list[TERN]:
        return [model for model in self.models if isinstance(model, TERN)]

    def _joined(self, vectors: Sequence[Tensor]) -> Tensor:
        whole = torch.cat(list(vectors), dim=-1)
        return whole if self.projection is None else normalize(self.projection(whole), dim=-1)


class ImageEncoder(_Encoder):
    """Pixels [B, S, S, 3] to unit vectors [B, E]; with `items` (of one run) also the regions' and their mask.

    Without a matrix the vectors of several runs stand side by side, [B, F], each of unit length.
    """

    def __init__(self, runs: Sequence[Run], *, matrix: Tensor | None = None, items: bool = False) -> None:
        super().__init__([run.image_backbone for run in runs], runs, matrix, items=items)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """`vectors`, and with `items` also `regions` and `regions_mask`."""
        seen = [backbone(pixels) for backbone in self.backbones]
        if self.items:
            return self._towers()[0].read_images(seen[0].values, seen[0].mask, seen[0].boxes)
        pairs = zip(self._towers(), (seen[place] for place in self.stands_on), strict=True)
        return (self._joined([model.encode_images(one.values, one.mask, one.boxes) for model, one in pairs]),)


class TextEncoder(_Encoder):
    """Ids and mask [B, T] to unit vectors [B, E]; with `items` (of one run) also the words' and their mask.

    Without a matrix the vectors of several runs stand side by side, [B, F], each of unit length.
    """

    def __init__(self, runs: Sequence[Run], *, matrix: Tensor | None = None, items: bool = False) -> None:
        super().__init__([run.text_backbone for run in runs], runs, matrix, items=items)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """`vectors`, and with `items` also `words` and `words_mask`."""
        read = [backbone(ids, mask) for backbone in self.backbones]
        if self.items:
            return self._towers()[0].read_texts(read[0].values, read[0].mask)
        pairs = zip(self._towers(), (read[place] for place in self.stands_on), strict=True)
        return (self._joined([model.encode_texts(one.values, one.mask) for model, one in pairs]),)


def check_committee(runs: Sequence[Run]) -> None:
    """Raise `UsageError` where runs cannot be one model: they need one input, and vectors that add up."""
    first = runs[0]
    for run in runs[1:]:
        if (run.size, run.fit) != (first.size, first.fit):
            raise UsageError(
                f"{run.path}: takes photographs of {run.size} pixels ({run.fit}), {first.path} of "
                f"{first.size} ({first.fit}); the runs of one model need the same"
            )
        texts = [(one.text_backbone.max_tokens, one.text_backbone.tokenizer.to_str()) for one in (run, first)]
        if texts[0] != texts[1]:
            raise UsageError(f"{run.path}: cuts sentences into other tokens than {first.path}")
    for run in runs:
        if run.score != "dot" or run.alignment is not None:
            what = run.alignment or run.score
            raise UsageError(f"{run.path}: is measured by {what!r}; only dot products of vectors add up")


def fit_reduction(
    runs: Sequence[Run], dim: int, *, progress: Callable[[str, int, int], None] | None = None
) -> Reduction:
    """The projection of the runs' vectors side by side to `dim` numbers that keeps most of their products.

    It is fitted on up to 1,000 training photographs of the first run, and on their captions: the directions
    of the largest eigenvalues of the mean of both second moments.

    Arguments:
        runs: which pass `check_committee`.
        dim: E.
        progress: told what is encoded ("photograph", "caption"), how many are done, and of how many.

    Raises `UsageError` where `dim` is more numbers than there are, `RunError` where the training photographs
    are gone or too few, `DataError` where the data cannot be read.
    """
    tell = progress or (lambda what, done, total: None)
    width = sum(run.dim for run in runs)
    if not 1 <= dim <= width:
        raise UsageError(f"dim={dim}: the vectors have {width} numbers; name 1 to {width}")
    sample = _sample(runs[0], _IMAGES)
    image, text = fold_batch_norm(ImageEncoder(runs)), merge_low_rank(TextEncoder(runs)).eval()
    images = _encode(image, ("pixels",), _photographs(runs[0], sample, tell))
    captions = _encode(text, ("ids", "mask"), _sentences(runs[0], sample, tell))
    if len(images) + len(captions) < dim or not (len(images) and len(captions)):
        raise RunError(
            f"{runs[0].path}: {len(images)} of its training photographs can be read, with {len(captions)} "
            f"captions; {dim} numbers need {dim} of both together at least, and some of each"
        )
    moments = sum(one.T @ one / len(one) for one in (images, captions))
    _, directions = torch.linalg.eigh(torch.as_tensor(moments))
    matrix = directions.flip(-1)[:, :dim].float().contiguous()
    return Reduction(matrix, images=len(images), captions=len(captions))


def training_squares(run: Run, count: int) -> list[NDArray[np.uint8]]:
    """Up to `count` of the photographs that a run was trained on, evenly from the whole, as it sees them.

    Raises `RunError` where none can be read, `DataError` where the data cannot.
    """
    squares = prepare_files(run, _sample(run, count).paths)
    if not squares:
        raise RunError(f"{run.path}: none of the photographs that it was trained on can be read")
    return squares


def _sample(run: Run, count: int) -> CaptionedImages:
    """Training images, evenly from the whole."""
    data = training_split(run.settings.data)
    chosen = np.unique(np.linspace(0, len(data) - 1, min(count, len(data)), dtype=np.int64))
    return data.take(chosen)


def _photographs(
    run: Run, data: CaptionedImages, tell: Callable[[str, int, int], None]
) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, len(data), PHOTOGRAPHS):
        if prepared := prepare_files(run, data.paths[start : start + PHOTOGRAPHS]):
            yield (torch.from_numpy(np.stack(prepared)),)
        tell("photograph", min(start + PHOTOGRAPHS, len(data)), len(data))


def _sentences(
    run: Run, data: CaptionedImages, tell: Callable[[str, int, int], None]
) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, len(data.captions), SENTENCES):
        ids, mask = run.text_backbone.tokenize(data.captions[start : start + SENTENCES])
        yield ids, mask.to(torch.int64)
        tell("caption", min(start + SENTENCES, len(data.captions)), len(data.captions))


def _encode(
    encoder: nn.Module, inputs: tuple[str, ...], batches: Iterator[tuple[Tensor, ...]]
) -> NDArray[np.float64]:
    """Vectors side by side, float64 [N, F]: eigenvectors are sums over many of them."""
    axes = {0: "n", 1: "t"} if len(inputs) > 1 else {0: "n"}
    found = []
    engine: Engine | None = None
    for batch in batches:
        if engine is None:
            export = partial(
                export_onnx,
                encoder,
                dict(zip(inputs, batch, strict=True)),
                outputs=["vectors"],
                dynamic={**dict.fromkeys(inputs, axes), "vectors": {0: "n"}},
            )
            engine = Engine(partial(_slow, encoder), export=export, inputs=inputs, kind="auto", threads=None)
        found.append(engine(*(values.numpy() for values in batch))[0])
    return np.concatenate(found).astype(np.float64) if found else np.zeros((0, 1))


@torch.inference_mode()
def _slow(encoder: nn.Module, *arrays: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
    return (encoder(*map(torch.from_numpy, arrays))[0].numpy(),)
