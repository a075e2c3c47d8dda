"""The options of `sterna eval` that name files of vectors, and what goes with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import UsageError

if TYPE_CHECKING:
    from sterna.evaluation import Bank, Captioned, VectorFiles

__all__ = ["Files", "refuse"]


def refuse(given: Mapping[str, object], *, beside: str) -> None:
    """Raise `UsageError` for the first option that has a value and does not go with `beside`."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} does not go with {beside}")


@dataclass(frozen=True)
class Files:
    """Files of vectors, and those of a bank; raises `UsageError` for what does not go together."""

    images: Path | None
    texts: Path | None
    bank_images: Path | None
    bank_texts: Path | None
    score: str | None

    def __post_init__(self) -> None:
        if (self.images is None) != (self.texts is None):
            raise UsageError("--image-vectors and --text-vectors go together")
        if (self.bank_images is None) != (self.bank_texts is None):
            raise UsageError("--bank-image-vectors and --bank-text-vectors go together")
        for measured, known in ((self.images, self.bank_images), (self.texts, self.bank_texts)):
            if known is not None and measured is not None and known.resolve() == measured.resolve():
                raise UsageError(f"{known}: is measured, and cannot be the bank too")
        if not self.given:
            refuse({"--score": self.score, "--bank-image-vectors": self.bank_images}, beside="a model")

    @property
    def given(self) -> bool:
        """Whether vectors are measured."""
        return self.images is not None

    def source(self) -> VectorFiles:
        """The vectors that are measured; raises `UsageError` where none are named."""
        from sterna import evaluation

        if self.images is None or self.texts is None:
            raise UsageError("--image-vectors and --text-vectors are missing")
        return evaluation.VectorFiles(self.images, self.texts, score=self.score or "dot")

    def numbered(self, captions_per_image: int | None) -> Captioned:
        """Captioned images known by number alone; raises `UsageError` where it is not said whose is what."""
        from sterna import evaluation

        if not self.given:
            raise UsageError("--data is missing: name the captioned images to measure on")
        if captions_per_image is None:
            raise UsageError("--data or --captions-per-image is missing: whose are the captions?")
        return evaluation.Numbered.of(self.source(), captions_per_image=captions_per_image)

    def bank(self) -> Bank | None:
        """The vectors that hubs are known by."""
        from sterna import evaluation

        if self.bank_images is None or self.bank_texts is None:
            return None
        return evaluation.read_bank(self.bank_images, self.bank_texts)
