"""How long measuring COCO's 5K test takes, as a multiple of a bare product and sort, and in how much memory.

    python benchmarks/evaluation.py [--images 5000] [--width 512]

Five captions an image, random unit vectors. Bare: all similarities at once, `argsort` both ways, hits at 1, 5
and 10. Ours: ranks in blocks, every figure, 1,000 bootstrap draws. Everything: besides, the first ten answers
of each query are kept, and hubs corrected against a bank as large as what is measured. Each runs in a process
of its own, so that its peak memory can be told; prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from sterna.evaluation import Bank, Hubs, Protocol, measure, rank_both_ways, report

CAPTIONS = 5


def make_vectors(images: int, *, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    owners = np.arange(images * CAPTIONS) // CAPTIONS
    gallery = random.standard_normal((images, width), dtype=np.float32)
    captions = random.standard_normal((len(owners), width), dtype=np.float32) + 0.15 * gallery[owners]
    return (
        gallery / np.linalg.norm(gallery, axis=1, keepdims=True),
        captions / np.linalg.norm(captions, axis=1, keepdims=True),
        owners,
    )


def bare(images: np.ndarray, captions: np.ndarray, owners: np.ndarray) -> float:
    similarities = images @ captions.T
    best_captions = np.argsort(-similarities, axis=1)[:, :10]
    best_images = np.argsort(-similarities.T, axis=1)[:, :10]
    own_caption = owners[best_captions] == np.arange(len(images))[:, None]
    own_image = best_images == owners[:, None]
    return 100 * sum(
        found[:, :k].any(axis=1).mean() for found in (own_caption, own_image) for k in (1, 5, 10)
    )


def ours(images: np.ndarray, captions: np.ndarray, owners: np.ndarray) -> float:
    return report(rank_both_ways(images, captions, owners)).rsum


def everything(images: np.ndarray, captions: np.ndarray, owners: np.ndarray) -> float:
    protocol = Protocol(at=(1, 5, 10, 50), top=10, hubs=Hubs("csls"))
    bank = Bank(images=images[::-1] + captions[: len(images)], captions=captions + captions[::-1])
    return measure(images, captions, owners, protocol=protocol, bank=bank).rsum


PARTS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "bare": bare,
    "ours": ours,
    "everything": everything,
}


def run(part: str, *, images: int, width: int) -> dict[str, float]:
    vectors = make_vectors(images, width=width)
    start = time.perf_counter()
    rsum = PARTS[part](*vectors)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": round(seconds, 2), "peak_mib": round(peak / 2**20), "rsum": round(rsum, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--part", choices=PARTS, help="run one part alone, in this process")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(run(given.part, images=given.images, width=given.width)))
        return
    size = ["--images", str(given.images), "--width", str(given.width)]
    found = {}
    for part in PARTS:
        command = [sys.executable, __file__, *size, "--part", part]
        found[part] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ratio = round(found["ours"]["seconds"] / found["bare"]["seconds"], 2)
    print(json.dumps({"images": given.images, "captions": given.images * CAPTIONS, **found, "ratio": ratio}))


if __name__ == "__main__":
    main()
