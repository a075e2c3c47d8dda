"""Photographs a second of a model, from files to vectors, beside its bare network on tensors in memory.

    python benchmarks/throughput.py [--model DIR] [--photos DIR] [--count 160] [--rounds 5] [--threads N]

Two sets: the photographs of a folder (or drawn ones of 500 x 375 pixels), and 12-megapixel JPEGs made from
them by enlarging and adding noise, of 3 to 5 MB each. In every round the bare network and Sterna take
turns; medians and the ratio of each pair are reported, for a machine's speed changes while it is measured.
Bare: ONNX Runtime with its default options on all threads, batches of 8. A table on stderr, JSON on stdout.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from sterna.encoders import Encoder, default_model, load, read_config
from sterna.images import PHOTO_SUFFIXES, open_photo, to_square

BATCH = 8
LARGE = (4000, 3000)
LARGE_FILES = 12


def find_photos(folder: Path | None, into: Path, *, most: int) -> list[Path]:
    if folder is not None:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
        return found[:most]
    random = np.random.default_rng(0)
    for number in range(40):
        coarse = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        image = add_noise(image, seed=number)
        image.save(into / f"{number:03}.jpg", quality=90)
    return sorted(into.glob("*.jpg"))


def add_noise(image: Image.Image, *, seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    noise = random.normal(0, 4, (image.height, image.width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def make_large(photos: list[Path], into: Path) -> list[Path]:
    files = []
    for number, path in enumerate(islice(cycle(photos), LARGE_FILES)):
        image = open_photo(path).image
        size = LARGE if image.width >= image.height else LARGE[::-1]
        large = add_noise(image.resize(size, Image.Resampling.BICUBIC), seed=number)
        files.append(into / f"large-{number:02}.jpg")
        large.save(files[-1], quality=90)
    return files


def bare_rate(session: onnxruntime.InferenceSession, batches: list[np.ndarray]) -> float:
    name = session.get_inputs()[0].name
    start = time.perf_counter()
    for batch in batches:
        session.run(None, {name: batch})
    return sum(map(len, batches)) / (time.perf_counter() - start)


def our_rate(encoder: Encoder, paths: list[Path]) -> float:
    start = time.perf_counter()
    failed = [answer.error for answer in encoder.stream_images(paths) if answer.error is not None]
    if failed:
        raise SystemExit(f"{len(failed)} photographs could not be read, the first: {failed[0]}")
    return len(paths) / (time.perf_counter() - start)


def measure(
    name: str,
    paths: list[Path],
    *,
    model: Path,
    encoder: Encoder,
    count: int,
    rounds: int,
    threads: int | None,
) -> dict[str, object]:
    config = read_config(model)
    squares = [
        to_square(open_photo(path, at_least=config.size).image, config.size, config.fit)
        for path in islice(cycle(paths), 4 * BATCH)
    ]
    tensors = [np.stack(squares[start : start + BATCH]) for start in range(0, len(squares), BATCH)]
    batches = list(islice(cycle(tensors), max(1, count // BATCH)))
    many = list(islice(cycle(paths), count))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(
        str(config.image_file), options, providers=["CPUExecutionProvider"]
    )
    bare_rate(session, batches[:2])
    our_rate(encoder, many[: 2 * BATCH])
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(bare_rate(session, batches))
        ours.append(our_rate(encoder, many))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    width, height = Image.open(io.BytesIO(paths[0].read_bytes())).size
    return {
        "set": name,
        "first": f"{width} x {height}",
        "photographs": len(many),
        "bare": round(statistics.median(bare), 2),
        "ours": round(statistics.median(ours), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Photographs a second, end to end, beside the bare network")
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    encoder = load(given.model, threads=given.threads)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        photos = find_photos(given.photos, Path(folder), most=given.count)
        sets = {"photographs": photos, "12 megapixels": make_large(photos, Path(folder))}
        for name, paths in sets.items():
            result = measure(
                name,
                paths,
                model=given.model,
                encoder=encoder,
                count=given.count,
                rounds=given.rounds,
                threads=given.threads,
            )
            results.append(result)
            print(
                f"{name:15} bare {result['bare']:7}/s   ours {result['ours']:7}/s   ratio {result['ratio']}",
                file=sys.stderr,
            )
    print(json.dumps({"schema": 1, "model": encoder.name, "results": results}, indent=2))


if __name__ == "__main__":
    main()
