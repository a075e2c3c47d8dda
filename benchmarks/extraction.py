"""Images a second that extraction stores, beside a bare ONNX Runtime session and torch on tensors in memory.

    python benchmarks/extraction.py [--images 64] [--backbone efficientnet-lite0] [--size 384]

The photographs are drawn, of 500 x 375 pixels. Also times reading: a shuffled batch of 250 images' regions
out of a store of 1,024, cached by the system. Prints one JSON document; each rate is the best of three.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

from sterna.backbones import export_image_backbone, image_backbone
from sterna.features import ColumnSpec, FeatureStore, extract

ROUNDS = 3


@dataclass
class Photographs:
    """What `extract` needs of a data set."""

    image_ids: list[str]
    paths: list[Path]
    captions: tuple[str, ...] = ()
    caption_ids: tuple[str, ...] = ()


def draw(folder: Path, *, count: int) -> Photographs:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8))
        paths.append(folder / f"{number}.jpg")
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(paths[-1], quality=88)
    return Photographs([path.name for path in paths], paths)


def best(work: Callable[[], int]) -> float:
    """Items a second."""
    rates = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        rates.append(work() / (time.perf_counter() - started))
    return max(rates)


def extraction_rates(root: Path, *, name: str, size: int, count: int) -> dict[str, float]:
    data = draw(root, count=count)
    backbone = image_backbone(name, size=size)
    export_image_backbone(backbone, root / "backbone.onnx")
    session = onnxruntime.InferenceSession(str(root / "backbone.onnx"), providers=["CPUExecutionProvider"])
    squares = np.stack([np.asarray(Image.open(path).resize((size, size))) for path in data.paths[:8]])

    def bare() -> int:
        for _ in range(count // 8):
            session.run(None, {"pixels": squares})
        return count // 8 * 8

    def in_torch() -> int:
        with torch.inference_mode():
            backbone(torch.from_numpy(squares))
        return 8

    whole = []
    for number in range(ROUNDS):
        times: list[float] = []
        extract(
            data,
            root / f"features-{number}",
            image_backbone=backbone,
            text_backbone=None,
            engine="onnx",
            progress=lambda _, times=times: times.append(time.perf_counter()),
        )
        whole.append((count - 8) / (times[-1] - times[0]))  # the first batch waits for the export
    rates = {"extraction": max(whole), "bare_session": best(bare), "torch": best(in_torch)}
    return {**rates, "ratio": rates["extraction"] / rates["bare_session"]}


def gather_seconds(root: Path) -> float:
    values = np.random.default_rng(0).random((256, 36, 3840), dtype=np.float32).astype(np.float16)
    store = FeatureStore.create(root / "store", {"values": ColumnSpec("float16", 3840)})
    for part in range(4):
        store.append([f"{part}-{number}" for number in range(256)], {"values": list(values)})
    order = np.random.default_rng(1).permutation(1024)
    store.rows("values", order)

    def read() -> int:
        store.rows("values", order[:250])
        return 1

    return 1 / best(read)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--size", type=int, default=384)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rates = extraction_rates(Path(folder), name=chosen.backbone, size=chosen.size, count=chosen.images)
        rates["gather_250_seconds"] = gather_seconds(Path(folder))
    document = {"backbone": chosen.backbone, "size": chosen.size, "images": chosen.images}
    json.dump({**document, **{key: round(value, 4) for key, value in rates.items()}}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
