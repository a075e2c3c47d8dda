"""How well near-duplicates are told from other photographs, and how long that takes over 100,000.

    python benchmarks/duplicates.py FOLDER... [--photos 100] [--others 1000] [--work DIR]
    python benchmarks/duplicates.py --synthetic 100000 [--dim 512]

The first way makes copies of some photographs of each folder (resized, recompressed, cropped, brighter),
indexes them with others of the folders, and asks `Library.duplicates` at several least scores.
A copy is found where it is in a group with its photograph or another copy of it; a member of a group is right
where it is a copy of the group's best. Names that an earlier folder has are skipped, being the same
photographs. What is wrong is listed with its score: folders hold photographs taken a second apart, or twice,
which nobody has noted. With --work, the library is kept there and used again.

The second way groups random unit vectors, a hundredth of them with a near one planted.
Both print one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from sterna.index import near_groups
from sterna.library import LIKENESS, Library

SCORES = (0.80, 0.84, 0.86, 0.88, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95)


def copies(image: Image.Image) -> dict[str, tuple[Image.Image, int]]:
    """A photograph's copies by kind: the image, and the quality of its JPEG."""
    width, height = image.size

    def cut(share: float) -> Image.Image:
        x, y = round(width * share), round(height * share)
        return image.crop((x, y, width - x, height - y))

    def small(share: float) -> Image.Image:
        return image.resize((round(width * share), round(height * share)), Image.Resampling.LANCZOS)

    return {
        "small-80%": (small(0.8), 85),
        "small-50%": (small(0.5), 85),
        "small-25%": (small(0.25), 85),
        "quality-30": (image, 30),
        "cut-3%": (cut(0.03), 90),
        "cut-8%": (cut(0.08), 90),
        "brighter": (ImageEnhance.Brightness(image).enhance(1.2), 90),
    }


def make(folders: Sequence[Path], work: Path, *, photos: int, others: int) -> None:
    """Lay out `work/photos`: every photograph, and copies as `copies/NAME/KIND.jpg`."""
    choice, seen = random.Random(0), set()
    for number, folder in enumerate(folders):
        files = [file for file in sorted(folder.glob("*.jpg")) if file.stem not in seen]
        seen |= {file.stem for file in files}
        chosen = choice.sample(files, min(photos, len(files)))
        place = work / "photos" / str(number)
        place.mkdir(parents=True)
        for file in {*chosen, *files[:others]}:
            shutil.copyfile(file, place / file.name)
        for file in chosen:
            target = work / "photos" / "copies" / file.stem
            target.mkdir(parents=True)
            for kind, (image, quality) in copies(Image.open(file).convert("RGB")).items():
                image.save(target / f"{kind}.jpg", quality=quality)


def origin(path: Path) -> str:
    """The name of the photograph that a file is, or is a copy of."""
    return path.parent.name if path.parent.parent.name == "copies" else path.stem


def measure(library: Library, work: Path, *, min_score: float) -> dict[str, object]:
    """Precision, recall and what is wrong at one least score."""
    start = time.perf_counter()
    groups = library.duplicates(min_score=min_score)
    seconds = time.perf_counter() - start
    found: set[Path] = set()
    right, wrong = 0, []
    for group in groups:
        names = Counter(origin(hit.path) for hit in group)
        found |= {hit.path for hit in group if names[origin(hit.path)] > 1}
        for hit in group[1:]:
            same = origin(hit.path) == origin(group[0].path)
            right += same
            if not same:
                wrong.append((round(hit.score, 4), str(group[0].path), str(hit.path)))
    kinds: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted((work / "photos" / "copies").rglob("*.*")):
        for place in sorted((work / "photos").glob(f"[0-9]/{file.parent.name}.jpg")):
            kinds[place.parent.name][file.stem].append(file in found)
    every = [one for folder in kinds.values() for found_of in folder.values() for one in found_of]
    return {
        "min_score": min_score,
        "groups": len(groups),
        "largest": max(map(len, groups), default=0),
        "precision": round(right / max(1, right + len(wrong)), 4),
        "recall": round(sum(every) / len(every), 4),
        "recall by folder and kind": {
            folder: {kind: round(sum(hits) / len(hits), 2) for kind, hits in of.items()}
            for folder, of in sorted(kinds.items())
        },
        "seconds": round(seconds, 2),
        "wrong": sorted(wrong, reverse=True),
    }


def synthetic(count: int, dim: int) -> dict[str, object]:
    """Time and memory of grouping random vectors with planted near ones."""
    generator = np.random.default_rng(0)
    rows = np.empty((count, dim), np.float16)
    for start in range(0, count, 4096):
        part = generator.standard_normal((min(4096, count - start), dim), dtype=np.float32)
        rows[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    first = count - count // 100
    near = rows[: count - first] + generator.standard_normal((count - first, dim)) * 0.2 / dim**0.5
    rows[first:] = near / np.linalg.norm(near, axis=1, keepdims=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    groups = near_groups(np.arange(count), rows, min_score=LIKENESS)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    right = sum(ids.tolist() == [ids[0], first + ids[0]] for ids, _ in groups)
    return {
        "vectors": count,
        "dim": dim,
        "seconds": round(seconds, 1),
        "processor seconds": round(cpu, 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "MB beside the vectors": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
        "planted": count - first,
        "groups": len(groups),
        "right": right,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--photos", type=int, default=100, help="photographs of each folder that are copied")
    parser.add_argument("--others", type=int, default=1000, help="photographs of each folder that are not")
    parser.add_argument("--work", type=Path, help="where to keep photographs and library")
    parser.add_argument("--model", help="the model to index with")
    parser.add_argument("--synthetic", type=int, metavar="N", help="group N random vectors instead")
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args(arguments)
    if options.synthetic:
        report = synthetic(options.synthetic, options.dim)
    else:
        with tempfile.TemporaryDirectory() as place:
            work = (options.work or Path(place)).absolute()
            if not (work / "photos").exists():
                make(options.folders, work, photos=options.photos, others=options.others)
            with Library.open(work / "library", model=options.model) as library:
                library.index(work / "photos")
                report = {
                    "photographs": library.status().indexed,
                    "measured": [measure(library, work, min_score=score) for score in SCORES],
                }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
