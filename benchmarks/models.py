"""Model folders beside each other on one split: rsum, the difference to the first, and how rare words fare.

    python benchmarks/models.py MODEL... --data DIR --split dev

Looks at the photographs themselves. Intervals are 95%, by bootstrap over images; that of a difference is
paired: both get the same draws. Captions are then told apart by how often their rarest word (of three letters
or more) stands in the captions of the train split: R@1 and R@10 from them to their photographs.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sterna
from sterna.data import CaptionedImages, read
from sterna.evaluation import Ranks, paired_bootstrap, rank_both_ways, report

BOUNDS = (0, 3, 10, 50, None)
SHORTEST = 3


def measure(model: Path, data: CaptionedImages) -> Ranks:
    """Ranks of a split, both ways, by a model folder."""
    encoder = sterna.load(model)
    images, captions = encoder.encode_images(list(data.paths)), encoder.encode_texts(list(data.captions))
    return rank_both_ways(images, captions, data.owners)


def rarest(captions: tuple[str, ...], among: tuple[str, ...]) -> NDArray[np.int64]:
    """How often each caption's rarest word stands in other captions."""
    counts = Counter(word for caption in among for word in words(caption))
    return np.array([min((counts[word] for word in words(one)), default=len(among)) for one in captions])


def words(caption: str) -> set[str]:
    """The words of a caption that are long enough to mean something."""
    return {word for word in re.findall(r"[a-z]+", caption.lower()) if len(word) >= SHORTEST}


def ranges() -> Iterator[tuple[int, int | None]]:
    """From how often to how often, both included."""
    least = 0
    for most in BOUNDS:
        yield least, most
        least = (most or 0) + 1


def main() -> None:
    """Print a line for every model, and one for every range of rarity."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    asked = parser.parse_args()
    whole = read(asked.data)
    data = whole.split(asked.split)
    found = [measure(model, data) for model in asked.models]
    for model, ranks in zip(asked.models, found, strict=True):
        measured = report(ranks)
        low, high = measured.intervals["rsum"]
        line = f"{model}: rsum {measured.rsum:.1f} ({low:.1f} to {high:.1f})"
        if ranks is not found[0]:
            more = paired_bootstrap(ranks, found[0])
            line += f", {more.rsum:+.1f} ({more.interval[0]:+.1f} to {more.interval[1]:+.1f})"
        print(line)
    often = rarest(data.captions, whole.split("train").captions)
    for least, most in ranges():
        chosen = (often >= least) & (often <= (often.max() if most is None else most))
        shares = [
            " / ".join(f"{100 * np.mean(ranks.t2i.first[chosen] < k):.1f}" for k in (1, 10))
            for ranks in found
        ]
        times = f"{least} times or more" if most is None else f"{least} to {most} times"
        print(f"rarest word {times}: {chosen.sum()} captions: {', '.join(shares)}")


if __name__ == "__main__":
    main()
