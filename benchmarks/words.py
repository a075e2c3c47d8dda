"""How well photographs are found by one or two words, bare and within sentences.

    python benchmarks/words.py --data DIR --split dev [--model MODEL] [--frames "there is {}" "a {}" ...]

A query is a word, or two that stand side by side, of the data's captions. A photograph is right where the
query is in two of its captions (for two words, in one); queries with 8 to 300 right photographs count. The
yardstick is the bare query; each frame is a sentence that it is put into. Prints one JSON document: for each
frame average precision and precision at 10, and the paired difference to the yardstick with its 95% interval
by bootstrap over queries. A frame that the model has of its own (`few_words`) is left out meanwhile.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sterna
from sterna.data import CaptionedImages, read

FRAMES = ("a {}", "the {}", "there is {}", "there is a {}", "a photo of {}")
NO_QUERY = {
    "a", "an", "the", "in", "on", "of", "and", "with", "is", "are", "at", "to", "his", "her", "their", "it",
    "its", "by", "for", "while", "from", "as", "that", "two", "three", "one",
}  # fmt: skip
FEWEST, MOST, DRAWS = 8, 300, 2000


def queries(data: CaptionedImages, words: int) -> Iterator[tuple[str, list[int]]]:
    """Each query of so many words, and the places of its right photographs."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for caption, owner in zip(data.captions, data.owners, strict=True):
        tokens = re.findall(r"[a-z]+", caption.lower())
        runs = {tuple(tokens[start : start + words]) for start in range(len(tokens) - words + 1)}
        for run in runs:
            if all(len(token) > 2 for token in run) and NO_QUERY.isdisjoint(run):
                found[" ".join(run)][int(owner)] += 1
    for query, counts in found.items():
        right = [place for place, count in counts.items() if count >= 3 - words]
        if FEWEST <= len(right) <= MOST:
            yield query, right


def precisions(scores: NDArray[np.float32], right: list[int]) -> tuple[float, float]:
    """Average precision, and precision at 10."""
    hits = np.isin(np.argsort(-scores, kind="stable"), right)
    shares = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((shares * hits).sum() / hits.sum()), float(hits[:10].mean())


def without_frame(model: str | None, folder: Path) -> sterna.Encoder:
    """A model folder's encoder that reads few words as they are."""
    there = sterna.load(model).config.folder
    for file in there.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    config = json.loads((there / "config.json").read_text(encoding="utf-8"))
    config["text"].pop("few_words", None)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return sterna.load(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--model")
    parser.add_argument("--frames", nargs="+", default=FRAMES)
    given = parser.parse_args()
    data = read(given.data)
    data = data.split(given.split) if given.split else data
    with tempfile.TemporaryDirectory() as folder:
        encoder = without_frame(given.model, Path(folder))
        images = encoder.encode_images(list(data.paths))
        print(json.dumps(compare(data, images, encoder, given.frames), indent=2))


def compare(
    data: CaptionedImages, images: NDArray[np.float32], encoder: sterna.Encoder, frames: Sequence[str]
) -> dict[str, dict[str, object]]:
    """For queries of one and of two words what each frame finds."""
    report: dict[str, dict[str, object]] = {}
    for words in (1, 2):
        asked = list(queries(data, words))
        bare: NDArray[np.float64] | None = None
        table: dict[str, object] = {}
        for frame in ("{}", *frames):
            texts = encoder.encode_texts([frame.replace("{}", query) for query, _ in asked])
            found = np.array(
                [precisions(images @ text, right) for text, (_, right) in zip(texts, asked, strict=True)]
            )
            bare = found if bare is None else bare
            gains = found[:, 0] - bare[:, 0]
            draws = np.random.default_rng(0).choice(gains, (DRAWS, len(gains))).mean(axis=1)
            table[frame] = {
                "average_precision": round(float(found[:, 0].mean()), 4),
                "precision_at_10": round(float(found[:, 1].mean()), 4),
                "gain": [
                    round(float(value), 4) for value in (gains.mean(), *np.percentile(draws, (2.5, 97.5)))
                ],
            }
        report[f"{words} of {len(asked)} queries"] = table
    return report


if __name__ == "__main__":
    main()
