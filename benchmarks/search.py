"""How long an exact search over 100,000 photographs takes, on one core, beside a bare matrix product.

    python benchmarks/search.py [--photos 100000] [--dim 512]

Makes a library of synthetic unit vectors (no photographs), then measures: a query through `Library.search`
with an encoder that costs nothing, fetching its hits included; the same in one folder; the index alone, by
kind; opening a library and its first answer, its files being in the system's cache; and, as the yardstick,
one float32 matrix-vector product of that size. Prints one JSON document: milliseconds, best of several, and
ratios.
"""

# ruff: noqa: E402 (threads are set before NumPy is loaded)

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded: everything here is measured on one core

import numpy as np

from sterna.index import build_index
from sterna.library import Library
from sterna.library._catalog import Catalog
from sterna.library._segments import SegmentWriter, map_rows, segments_of


class RandomEncoder:
    """Answers every sentence with a random unit vector."""

    name, fingerprint = "random", "f" * 64

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
        """One vector for each sentence, the same for the same sentence."""
        seeds = [list(sentence.encode()) for sentence in sentences]
        vectors = [np.random.default_rng(seed).standard_normal(self.dim) for seed in seeds]
        return np.stack([vector / np.linalg.norm(vector) for vector in vectors]).astype(np.float32)

    def encode_images(self, photos: object) -> np.ndarray:
        """Refuse."""
        raise AssertionError("no photograph is there to be embedded")

    stream_images = encode_images


def fill(folder: Path, encoder: RandomEncoder, *, photos: int) -> None:
    """Make a library whose photographs are vectors and rows alone."""
    random = np.random.default_rng(0)
    catalog = Catalog(folder, write=True)
    with catalog.transaction():
        catalog.run("INSERT INTO roots VALUES (1, ?, 0, '[]')", (os.fsencode(folder / "photos"),))
        catalog.run(
            "INSERT INTO models VALUES (1, ?, 'object:random', ?, ?, 'float16')",
            (encoder.name, encoder.fingerprint, encoder.dim),
        )
        catalog.set_fact("model", 1)
        catalog.touch(losses=True)
        writer = SegmentWriter(catalog, 1)
        for start in range(0, photos, 4096):
            count = min(4096, photos - start)
            vectors = random.standard_normal((count, encoder.dim), dtype=np.float32)
            segment, row = writer.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
            ids = range(start + 1, start + count + 1)
            catalog.run_many(
                "INSERT INTO photos (id, hash, width, height, captions) VALUES (?, ?, 4000, 3000, '[]')",
                [(number, number.to_bytes(32)) for number in ids],
            )
            catalog.run_many(
                "INSERT INTO files VALUES (1, ?, 1, ?, 0, ?, NULL)",
                [(b"%03d/IMG_%06d.jpg" % (number % 200, number), number, number) for number in ids],
            )
            catalog.run_many(
                "INSERT INTO vectors VALUES (1, ?, ?, ?)",
                [(segment, row + offset, number) for offset, number in enumerate(ids)],
            )
    catalog.close()


def best(action: Callable[[], object], *, rounds: int = 15) -> float:
    """Milliseconds of the fastest of several runs."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


def measure(folder: Path, encoder: RandomEncoder) -> dict[str, float]:
    """All figures, in milliseconds."""
    catalog = Catalog(folder)
    mapped = [map_rows(segment) for segment in segments_of(catalog, 1)]
    catalog.close()
    whole = np.concatenate(mapped).astype(np.float32)
    query = encoder.encode_texts(["a query"])
    figures = {"matmul float32": best(lambda: whole @ query[0])}
    ids, start = [], 0
    for block in mapped:
        ids.append(np.arange(start, start + len(block)))
        start += len(block)
    for kind in ("numpy", "faiss"):
        index = build_index(ids, mapped, kind=kind)
        index.search(query, 10)
        figures[f"index {kind}, float16 in a memory map"] = best(lambda index=index: index.search(query, 10))

    def cold() -> None:
        with Library.open(folder, model=encoder) as library:
            library.search("a query")

    cold()
    figures["open a library and answer"] = best(cold, rounds=5)
    library = Library.open(folder, model=encoder)
    library.search("a query")
    figures["query, 10 hits"] = best(lambda: library.search("a query"))
    figures["query, 10 hits, in one of 200 folders"] = best(lambda: library.search("a query", folder="007"))
    figures["query, 1000 hits"] = best(lambda: library.search("a query", k=1000))
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args(arguments)
    encoder = RandomEncoder(options.dim)
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place), encoder, photos=options.photos)
        figures = measure(Path(place), encoder)
    bare = figures["matmul float32"]
    report = {
        name: {"ms": round(value, 2), "ratio": round(value / bare, 2)} for name, value in figures.items()
    }
    json.dump({"photos": options.photos, "dim": options.dim, "measured": report}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
