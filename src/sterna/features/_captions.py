"""Captions through a text backbone into a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna.features._engines import Engine
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport, Meter
from sterna.features._store import FeatureStore

if TYPE_CHECKING:
    from sterna.backbones import TextBackbone

__all__ = ["CaptionJob", "caption_columns"]

_A_PART, _A_BATCH = 2048, 64


def caption_columns(backbone: TextBackbone, dtype: str) -> dict[str, ColumnSpec]:
    """The columns of a store of captions: token vectors and token ids."""
    return {"values": ColumnSpec(dtype, backbone.dim), "tokens": ColumnSpec("int32")}


class CaptionJob:
    """Encodes captions that a store has not, part by part; inside a part those of like length together."""

    def __init__(
        self,
        store: FeatureStore,
        backbone: TextBackbone,
        engine: Engine,
        *,
        report: ExtractReport,
        tell: Callable[[ExtractProgress], None],
    ) -> None:
        self._store, self._backbone, self._engine = store, backbone, engine
        self._report, self._tell = report, tell
        self._spec = store.columns["values"]

    def make(self, items: Sequence[tuple[str, str]]) -> None:
        """Encode every (id, caption) whose id is missing."""
        wanted = set(self._store.missing("values", [identity for identity, _ in items]))
        todo = [item for item in items if item[0] in wanted]
        self._report.skipped += len(items) - len(todo)
        meter = Meter("captions", self._tell, before=len(items) - len(todo), total=len(items))
        step = self._spec.items_a_part(self._backbone.max_tokens, at_most=_A_PART)
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            values, tokens = self._encode([caption for _, caption in part], meter)
            columns = {"values": values, "tokens": tokens}
            kept = self._store.append_missing([identity for identity, _ in part], columns)
            self._report.captions += kept
            self._report.skipped += len(part) - kept

    def _encode(
        self, captions: Sequence[str], meter: Meter
    ) -> tuple[list[NDArray[Any]], list[NDArray[np.int32]]]:
        ids, mask = (tensor.numpy() for tensor in self._backbone.tokenize(captions))
        lengths = mask.sum(axis=1)
        values: list[NDArray[Any]] = [np.empty(0)] * len(captions)
        tokens: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * len(captions)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), _A_BATCH):
            chosen = order[start : start + _A_BATCH]
            longest = int(lengths[chosen].max())
            (made,) = self._engine(ids[chosen, :longest], mask[chosen, :longest].astype(np.int64))
            made = self._spec.cast(made, column="values")  # a part in hand weighs what it weighs on disk
            for index, one in zip(chosen, made, strict=True):
                real = mask[index, :longest]
                values[index], tokens[index] = one[real], ids[index, :longest][real].astype(np.int32)
            meter.add(len(chosen))
        return values, tokens
