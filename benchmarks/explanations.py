"""Whether explanations are true to the model: hiding what they name first hurts the score more than chance.

    python benchmarks/explanations.py --data DIR --split dev --out FILE [--images 200] [--grid 8]

For each of the first photographs and its first caption: the cells that the explanation names first are
hidden, a quarter, half and three quarters of them (deletion), or all but these are hidden (insertion); and as
many cells in random order. The area under the curve of scores, from nothing hidden to all, is smaller for
deletion and larger for insertion the better the order is (Petsiuk, Das, Saenko: RISE, BMVC 2018). Differences
to the random order are paired, with 95% intervals by bootstrap over photographs.

FILE gets a line of JSON a photograph; what it has already is not computed again. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sterna
from sterna.data import read
from sterna.explanations import FILLS, hide
from sterna.images import open_photo

SHARES = (0.25, 0.5, 0.75)  # the same read from either end: a random order's insertion is its deletion
DRAWS = 10_000


def measure(path: Path, sentence: str, encoder: sterna.Encoder, *, grid: int, fill: str, seed: int) -> dict:
    """Areas under the curves of one photograph."""
    start = time.perf_counter()
    found = sterna.explain(path, sentence, model=encoder, grid=grid, fill=fill)
    seconds = time.perf_counter() - start
    count = found.cells.size
    best_first = np.argsort(-found.cells.reshape(-1), kind="stable")
    random = np.random.default_rng(seed).permutation(count)
    first = [round(share * count) for share in SHARES]
    masks = [np.isin(np.arange(count), best_first[:k]) for k in first]
    masks += [np.isin(np.arange(count), best_first[k:]) for k in first]
    masks += [np.isin(np.arange(count), random[:k]) for k in first]
    masks.append(np.ones(count, dtype=bool))
    image = open_photo(path, at_least=1024).image
    shaped = np.stack(masks).reshape(-1, *found.cells.shape)
    pictures = list(hide(image, shaped, area=found.area, fill=fill))
    scores = encoder.encode_images(pictures) @ encoder.encode_texts(sentence)[0]
    deletion, insertion, chance, nothing = scores[:3], scores[3:6], scores[6:9], scores[9]
    return {
        "score": found.score,
        "hidden": float(nothing),
        "deletion": area([found.score, *deletion, nothing]),
        "insertion": area([nothing, *insertion, found.score]),
        "random": area([found.score, *chance, nothing]),
        "seconds": round(seconds, 2),
    }


def area(curve: list[float]) -> float:
    """Under a curve over [0, 1] of evenly spaced values, by the trapezoid rule."""
    values = np.asarray(curve, dtype=np.float64)
    return float(((values[1:] + values[:-1]) / 2).mean())


def interval(differences: NDArray[np.float64]) -> list[float]:
    """Mean of paired differences and its 95% interval."""
    draws = np.random.default_rng(0).integers(0, len(differences), (DRAWS, len(differences)))
    low, high = np.percentile(differences[draws].mean(axis=1), (2.5, 97.5))
    return [round(float(value), 4) for value in (differences.mean(), low, high)]


def summary(lines: list[dict]) -> dict:
    """Means of the areas, and the paired differences to chance."""
    columns = {name: np.array([line[name] for line in lines]) for name in lines[0] if name != "photo"}
    seconds = float(np.median(columns.pop("seconds")))
    means = {name: round(float(values.mean()), 4) for name, values in columns.items()}
    deletion = columns["random"] - columns["deletion"]
    insertion = columns["insertion"] - columns["random"]
    return {
        "photographs": len(lines),
        "seconds_to_explain_one": round(seconds, 1),
        "mean": means,
        "deletion_below_random": interval(deletion),
        "insertion_above_random": interval(insertion),
        "share_where_deletion_is_below": round(float((deletion > 0).mean()), 3),
        "share_where_insertion_is_above": round(float((insertion > 0).mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--grid", type=int, default=8)
    parser.add_argument("--fill", choices=FILLS, default="blur")
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data = read(given.data)
    data = data.split(given.split) if given.split else data
    encoder = sterna.load(given.model)
    before = given.out.read_text(encoding="utf-8").splitlines() if given.out.exists() else []
    lines = [json.loads(line) for line in before]
    done = {line["photo"] for line in lines}
    with given.out.open("a", encoding="utf-8") as file:
        for number, path in enumerate(data.paths[: given.images]):
            name = data.image_ids[number]
            if name in done:
                continue
            sentence = data.captions[int(np.flatnonzero(data.owners == number)[0])]
            found = measure(Path(path), sentence, encoder, grid=given.grid, fill=given.fill, seed=number)
            lines.append({"photo": name, **found})
            file.write(json.dumps(lines[-1]) + "\n")
            file.flush()
    print(json.dumps({"grid": given.grid, "fill": given.fill, **summary(lines[: given.images])}, indent=2))


if __name__ == "__main__":
    main()
