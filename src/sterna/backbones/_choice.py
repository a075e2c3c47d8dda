"""Which of a detector's answers are kept: the surest, and one where several boxes lie on each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from sterna.errors import UsageError

__all__ = ["Choice", "choose", "overlaps"]

_OPTION = re.compile(r"(?P<name>.+),(?P<key>[a-z]+)=(?P<value>[^,=]*)", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """Which answers of a detector are kept; see `sterna.backbones.image_backbone`. Raises `UsageError`."""

    top: int = 36
    threshold: float = 0.0
    suppress: float | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise UsageError(f"top={self.top}: at least one region is kept")
        for name, value in (("threshold", self.threshold), ("suppress", self.suppress)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name}={value}: must be 0 to 1")

    def __str__(self) -> str:
        """What follows a detector's name: the options that are not what they are by themselves."""
        said = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != one.default
        }
        return "".join(f",{name}={value}" for name, value in said.items())

    @classmethod
    def read(cls, name: str, given: Mapping[str, int | float | None]) -> tuple[str, Choice]:
        """A name with options behind it, such as "folder,top=10,suppress=0.5", and more options.

        An option that is given as well as written has to say the same. Raises `UsageError`.
        """
        types = {"top": int, "threshold": float, "suppress": float}
        options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        whole = name
        while not Path(name).is_dir() and (found := _OPTION.fullmatch(name)):
            name, key, text = found["name"], found["key"], found["value"]
            if key not in types:
                raise UsageError(f"detector:{whole}: no such option {key!r}; known: {', '.join(types)}")
            try:
                value = types[key](text)
            except ValueError:
                raise UsageError(
                    f"detector:{whole}: {key}={text!r} is not a number of the right kind"
                ) from None
            if options.setdefault(key, value) != value:
                raise UsageError(
                    f"detector:{whole}: {key}={text} is written, and {options[key]} given as well"
                )
        return name, cls(**options)


def overlaps(box: Float[ndarray, "4"], boxes: Float[ndarray, "Q 4"]) -> Float[ndarray, " Q"]:
    """Intersection over union of one box with others, all x1 y1 x2 y2; 0 where neither has an area."""
    corner = np.maximum(box[:2], boxes[:, :2])
    sides = np.minimum(box[2:], boxes[:, 2:]) - corner
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    share: Float[ndarray, " Q"] = shared / np.maximum(areas - shared, np.finfo(np.float32).tiny)
    return share


def choose(
    scores: Float[ndarray, " Q"],
    boxes: Float[ndarray, "Q 4"],
    *,
    top: int,
    threshold: float = 0.0,
    suppress: float | None = None,
) -> Int[ndarray, " R"]:
    """Which of Q answers are kept, the surest first; of equal ones the earlier.

    Arguments:
        scores: 0..1.
        boxes: x1 y1 x2 y2.
        top: how many at most.
        threshold: those of a lower score are left out; where that would be all of them, the best stays.
        suppress: a box is left out that overlaps a kept one of a better score by more than this share of
            their union, whatever their classes; `None` leaves none out.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[: max(1, int((scores >= threshold).sum()))]
    if suppress is None:
        return order[:top]
    exact, kept = boxes.astype(np.float64), list[int]()
    while len(order) and len(kept) < top:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[overlaps(exact[best], exact[order]) <= suppress]
    return np.array(kept, dtype=np.int64)
