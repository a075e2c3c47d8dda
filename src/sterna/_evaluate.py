"""`sterna.evaluate`: a model's name and a path of data in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sterna.data import CaptionedImages
    from sterna.encoders import Encoder
    from sterna.evaluation import Bank, Captioned, Encoded, Encodes, Progress, Protocol, Report, Source
    from sterna.training import TrainSettings

__all__ = ["RunOnFeatures", "evaluate", "source"]


def evaluate(
    model: str | Path | Encoder | Source | Sequence[str | Path | Encoder | Source] | None,
    data: str | Path | CaptionedImages,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002  the word that people use
    restval: bool = True,
    images: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    protocol: Protocol | None = None,
    relevance: Sequence[str | Path] = (),
    bank: str | Bank | None = None,
    features: str | Path | None = None,
    rerank: int | None = None,
) -> Report:
    """Measure a model on captioned images.

    Arguments:
        model: as `sterna.load` takes it (None: the model inside the package), an encoder, or several of these
            as a committee, whose similarities are averaged.
        data: as `sterna.data.read` takes it, or what it gave.
        split: needed where the data has several splits.
        format, restval, images, columns: how to read the data, as for `sterna.data.read`.
        bootstrap, seed, progress, protocol, relevance, bank, rerank: as for `sterna.evaluation.evaluate`.
        features: a folder of features that the model, a training run, looks at in place of the photographs,
            which need not be there.

    Raises `DataError` and `ModelError` where the data or the model cannot be used.
    """
    from sterna import evaluation
    from sterna.data import CaptionedImages, read

    if not isinstance(data, CaptionedImages):
        data = read(
            data, format=format, restval=restval, images=images, columns=columns, photographs=features is None
        )
    several = model if isinstance(model, Sequence) and not isinstance(model, str) else [model]
    return evaluation.evaluate(
        [source(each, features) for each in several],
        data,
        split=split,
        bootstrap=bootstrap,
        seed=seed,
        progress=progress,
        protocol=protocol or evaluation.Protocol(),
        relevance=relevance,
        bank=bank,
        rerank=rerank,
    )


@dataclass(frozen=True)
class RunOnFeatures:
    """A training run that looks at features in place of photographs; a `Source` of `evaluation.evaluate`.

    Fields:
        run: the folder that `sterna train` wrote.
        features: the folder of the feature stores.
    """

    run: Path
    features: Path

    @property
    def name(self) -> str:
        """The run's folder."""
        return self.run.resolve().name

    @cached_property
    def score(self) -> str:
        """What the run is measured by."""
        return self._settings.score

    @cached_property
    def alignment(self) -> str | None:
        """How its regions are compared with words; `None` where it was not trained for that."""
        with _extra():
            from sterna.training import alignment_of
        return alignment_of(self._settings)

    @cached_property
    def _settings(self) -> TrainSettings:
        from sterna.settings import load_settings

        with _extra():
            from sterna.training import TrainSettings
        return load_settings(TrainSettings, self.run / "settings.yaml")

    def vectors(self, data: Captioned, tell: Callable[[Progress], None]) -> Encoded:
        """The vectors, NaN for an image or caption that has no features."""
        from sterna.evaluation import SCORES, Encoded

        with _extra():
            from sterna.training import encode_features
        images, captions = encode_features(self.run, _read_data(data), self.features)
        missing = [
            f"{name}: no features"
            for names, vectors in ((data.image_ids, images), (data.caption_ids, captions))
            for name, row in zip(names, vectors, strict=True)
            if row[0] != row[0]
        ]
        return Encoded(images, captions, self.score if self.score in SCORES else "dot", tuple(missing))

    def items(
        self, data: Captioned, tell: Callable[[Progress], None]
    ) -> tuple[Sequence[NDArray[np.float32] | None], Sequence[NDArray[np.float32] | None]]:
        """Regions and words, `None` for what has no features."""
        with _extra():
            from sterna.training import encode_feature_items
        return encode_feature_items(self.run, _read_data(data), self.features)


def _read_data(data: Captioned) -> CaptionedImages:
    from sterna.data import CaptionedImages

    if not isinstance(data, CaptionedImages):
        raise UsageError("a run on features is measured on what sterna.data.read gives")
    return data


@contextmanager
def _extra() -> Iterator[None]:
    """Name the extra that brings torch where importing what is built on it fails for want of that."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "sterna":
            raise
        raise MissingExtraError("A training run", extra="train") from error


def source(model: str | Path | Encoder | Source | None, features: str | Path | None) -> Encodes | Source:
    """What gives a model's vectors: an encoder, or a training run that looks at features."""
    from sterna import encoders

    if features is None:
        return encoders.load(model) if model is None or isinstance(model, str | Path) else model
    if not isinstance(model, str | Path):
        raise UsageError("features are for a training run: name its folder as the model")
    return RunOnFeatures(Path(model), Path(features))
