"""How many requests a service answers, how fast, and in how much memory, beside the same searches in Python.

    python benchmarks/serve.py [--requests 20000] [--clients 1 4 16 64] [--photos 500]

Draws photographs and indexes them with the shipped model; then 1 to 64 clients ask `sterna serve` at once,
eight of ten for a sentence, the others for a small picture, a photograph or what an upload looks like. The
yardstick is `Library.search` for the same sentences, one after another in one process. Prints one JSON
document: for each number of clients requests a second and their ratio to the yardstick, milliseconds (p50,
p95, p99), refusals (503) and errors, of which none may come; how much memory grew; and how much slower the
slowest twentieth is while the service indexes.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from sterna import Client
from sterna.errors import ServerError
from sterna.library import Library

WORDS = ("a dog", "two children", "the sea", "a red car", "people at a table", "snow", "a horse", "at night")
BUSY = 503


def draw(folder: Path, numbers: range) -> None:
    """Photographs of soft noise, each another."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        small = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((640, 480)).save(folder / f"{number}.jpg")


@contextmanager
def serving(library: Path) -> Iterator[tuple[str, int]]:
    """The address of a service of a library, and the number of its process."""
    command = [sys.executable, "-m", "sterna", "serve", "--port", "0", "--library", str(library)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r"http://\S+", said)
        assert found, said
        threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait(60)


def memory(number: int) -> float:
    """Megabytes that a process holds."""
    text = Path(f"/proc/{number}/status").read_text(encoding="utf-8")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def mixed(client: Client, number: int, *, ids: Sequence[int], upload: bytes) -> object:
    """The request of a number: the same one for the same number."""
    kind, photo = number % 10, ids[number % len(ids)]
    asks: dict[int, Callable[[], object]] = {
        0: lambda: client.thumbnail(photo),
        1: lambda: client.search(image=upload) if number % 20 == 1 else client.photo(photo),
    }
    return asks.get(kind, lambda: client.search(f"{WORDS[number % len(WORDS)]} {number}"))()


def load(url: str, *, clients: int, requests: int, ids: Sequence[int], upload: bytes) -> dict[str, float]:
    """What `clients` that ask at one time see, in milliseconds."""
    numbers = iter(range(requests))
    took: list[float] = []
    refused: list[int] = []
    errors: list[str] = []
    lock = threading.Lock()

    def ask(_: int) -> None:
        with Client(url, timeout=120) as client:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                start = time.perf_counter()
                try:
                    mixed(client, number, ids=ids, upload=upload)
                    took.append(1000 * (time.perf_counter() - start))
                except ServerError as error:
                    (refused.append(1) if error.status == BUSY else errors.append(str(error)))

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    seconds = time.perf_counter() - start
    assert not errors, errors[0]
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return {"a second": len(took) / seconds, "p50": p50, "p95": p95, "p99": p99, "refused": len(refused)}


def measure(place: Path, *, photos: int, requests: int, clients: Sequence[int]) -> dict[str, object]:
    """All figures."""
    draw(place / "photos", range(photos))
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (480, 640, 3), dtype=np.uint8)).save(
        out, "JPEG"
    )
    with Library.open(place / "library") as library:
        library.index(place / "photos")
        ids = [hit.photo_id for hit in library.search("a dog", k=photos, min_score=None)]
        count = max(20, min(200, requests // 10))
        start = time.perf_counter()
        for number in range(count):
            library.search(f"{WORDS[number % len(WORDS)]} {number}")
        bare = count / (time.perf_counter() - start)
    asked = {"ids": ids, "upload": out.getvalue()}
    figures: dict[str, dict[str, float]] = {}
    with serving(place / "library") as (url, process):
        load(url, clients=max(clients), requests=max(100, requests // 10), **asked)
        before = memory(process)
        for many in clients:
            told = load(url, clients=many, requests=requests // len(clients), **asked)
            figures[f"{many} clients"] = {**told, "ratio": told["a second"] / bare}
        after = memory(process)
        few = max(400, requests // 20)
        idle = load(url, clients=4, requests=few, **asked)
        draw(place / "photos", range(photos, 2 * photos))
        with Client(url) as client:
            job = client.index(wait=False)
            while not client.job(job.job_id).progress.get("done"):  # it loads its model first
                time.sleep(0.1)
            busy = load(url, clients=4, requests=few, **asked)
            assert client.job(job.job_id).state == "running", "more photographs are needed to index so long"
            client.cancel(job.job_id)
    return {
        "Library.search, one after another": {"a second": round(bare, 1)},
        **{name: {key: round(value, 2) for key, value in told.items()} for name, told in figures.items()},
        "memory": {
            "MB": round(after, 1),
            "grown by": round(after - before, 1),
            "ratio": round(after / before, 3),
        },
        "p95 while it indexes": {"ms": round(busy["p95"], 1), "ratio": round(busy["p95"] / idle["p95"], 2)},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--photos", type=int, default=500)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place), **vars(options))
    json.dump({**vars(options), "measured": figures}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
