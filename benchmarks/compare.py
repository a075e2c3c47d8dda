"""Trained runs beside each other on one split: rsum of each, and the difference to a baseline.

    python benchmarks/compare.py BASELINE RUN... --data DIR --split dev --features DIR

RUN+RUN is the mean of their similarities. Encodes the split's images (original view) and captions from the
features that the runs were trained on. Intervals are 95%, by bootstrap over images; that of a difference is
paired: both get the same draws.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sterna.data import CaptionedImages, read
from sterna.evaluation import Ranks, paired_bootstrap, rank_both_ways, report
from sterna.features import FeatureStore
from sterna.training import load_run

BLOCK = 256


def measure(runs: Sequence[Path], data: CaptionedImages, features: Path) -> Ranks:
    """Ranks of a split by the best weights of runs, whose vectors stand side by side."""
    pairs = [encode(run, data, features) for run in runs]
    seen, said = (torch.cat(vectors, dim=1).numpy() for vectors in zip(*pairs, strict=True))
    return rank_both_ways(seen, said, data.owners)


@functools.cache
def encode(run: Path, data: CaptionedImages, features: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of a split's images and captions."""
    model = load_run(run).model
    images, captions = FeatureStore.open(features / "images"), FeatureStore.open(features / "captions")
    with torch.inference_mode():
        seen = [
            model.encode_images(
                *tensors(images.rows("original", rows)),
                torch.from_numpy(images.rows("original.boxes", rows)[0]),
            )
            for rows in blocks(images.indices_of(data.image_ids))
        ]
        said = [
            model.encode_texts(*tensors(captions.rows("values", rows)))
            for rows in blocks(captions.indices_of(data.caption_ids))
        ]
    return torch.cat(seen), torch.cat(said)


def blocks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows, some at a time."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def tensors(arrays: tuple[NDArray[np.float16], NDArray[np.bool_]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values as float32, and their mask."""
    return torch.from_numpy(arrays[0]).float(), torch.from_numpy(arrays[1])


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--features", type=Path, required=True)
    chosen = parser.parse_args()
    data = read(chosen.data).one_split(chosen.split)
    baseline: Ranks | None = None
    for run in chosen.runs:
        paths = [Path(run)] if Path(run).is_dir() else [Path(one) for one in run.split("+")]
        ranks = measure(paths, data, chosen.features)
        baseline = ranks if baseline is None else baseline
        measured, difference = report(ranks), paired_bootstrap(ranks, baseline)
        hits = " ".join(
            f"{100 * share:.1f}" for way in (measured.i2t, measured.t2i) for share in way.hits.values()
        )
        low, high = measured.intervals["rsum"]
        print(
            f"{run:12} {hits}  rsum {measured.rsum:.1f} ({low:.1f} to {high:.1f})  "
            f"{difference.rsum:+.1f} ({difference.interval[0]:+.1f} to {difference.interval[1]:+.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
