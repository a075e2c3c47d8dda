"""How long checking unchanged files takes, as a multiple of a bare `os.scandir` walk with `stat`.

    python benchmarks/scan.py [--files 100000]

The files are empty ones in folders of 200, known to a library as it would know photographs. Prints one JSON
document: seconds of the bare walk, of `Library.index`, and their ratio (best of several, in turns).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sterna.library import Library
from sterna.library._catalog import Catalog


class NoEncoder:
    """An encoder that is never asked for anything: nothing is new."""

    name, dim, fingerprint = "none", 4, "0" * 64

    def encode_images(self, photos: object) -> np.ndarray:
        """Refuse."""
        raise AssertionError("an unchanged photograph was embedded")

    encode_texts = stream_images = encode_images


def make_files(root: Path, *, count: int) -> None:
    for number in range(count):
        if number % 200 == 0:
            folder = root / f"{number // 20_000:03}" / f"{number // 200:05}"
            folder.mkdir(parents=True)
        with open(folder / f"IMG_{number:06}.jpg", "wb"):  # noqa: PTH123
            pass


def bare(folder: bytes) -> int:
    seen = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                seen += bare(entry.path)
            else:
                entry.stat(follow_symlinks=False)
                seen += 1
    return seen


def fill(folder: Path, root: Path) -> None:
    """Make the library know every file of the root, as an `index` run would have left it."""
    catalog = Catalog(folder, write=True)
    with catalog.transaction():
        status = root.stat()
        catalog.run("INSERT INTO roots VALUES (1, ?, ?, '[]')", (os.fsencode(root), status.st_dev))
        catalog.run("INSERT INTO models VALUES (1, 'none', '', ?, 4, 'float16')", (NoEncoder.fingerprint,))
        catalog.run("INSERT INTO facts VALUES ('model', 1)")
        catalog.run("INSERT INTO segments VALUES (1, 1, 'vectors/0/000001.f16', 0)")
        number = 0
        for where, _, names in os.walk(root):
            for name in names:
                number += 1
                path = Path(where) / name
                found = path.stat()
                catalog.run(
                    "INSERT INTO photos (id, hash, captions) VALUES (?, ?, '[]')",
                    (number, number.to_bytes(32)),
                )
                catalog.run(
                    "INSERT INTO files (root, path, size, mtime_ns, again, photo) VALUES (1, ?, ?, ?, 0, ?)",
                    (os.fsencode(path.relative_to(root)), found.st_size, found.st_mtime_ns, number),
                )
                catalog.run("INSERT INTO vectors VALUES (1, 1, ?, ?)", (number, number))
        catalog.run("UPDATE segments SET rows = ?", (number + 1,))
    (folder / "vectors" / "0").mkdir(parents=True)
    rows = np.tile(np.array([1, 0, 0, 0], np.float16), (number + 1, 1))  # unit vectors, as all are
    (folder / "vectors" / "0" / "000001.f16").write_bytes(rows.tobytes())
    catalog.close()


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        root, folder = Path(name).resolve() / "photos", Path(name) / "library"
        make_files(root, count=options.files)
        folder.mkdir()
        fill(folder, root)
        library = Library.open(folder, model=NoEncoder())
        walks, checks = [], []
        for _ in range(options.rounds):
            walks.append(timed(lambda: bare(os.fsencode(root))))
            checks.append(timed(lambda: library.index(root)))
        report = library.index(root)
        assert (report.new, report.changed, report.removed, report.failed) == (0, 0, 0, 0), report
        best = {"files": options.files, "walk": min(walks), "index": min(checks)}
        json.dump({**best, "ratio": best["index"] / best["walk"]}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
