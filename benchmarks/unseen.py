"""How well a model finds what no training caption mentioned, with a setting and without.

    python benchmarks/unseen.py CONFIG --against KEY=VALUE... --data flickr8k --features DIR --out DIR

For each subject below, every photograph of which a caption names it is taken out of the training split; the
config is trained on the rest, as it is and as the baseline with other values; what counts is how often the
dev split's photographs of the subject are found among all others: R@10 from their captions, and of their
captions from them. Differences have 95% intervals, by paired bootstrap over the photographs of the subject.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compare import encode
from sterna.data import CaptionedImages, read
from sterna.evaluation import rank_both_ways
from sterna.settings import load_settings
from sterna.training import TrainSettings, train

SUBJECTS = {
    "dogs": r"dogs?|pupp(y|ies)",
    "water": r"water|pool|ocean|beach|lake|surf\w*|waves?|swim\w*|boats?|river|sea",
    "snow": r"snow\w*|ski\w*|ice|icy|sled\w*",
}
DRAWS = 2_000


def of_subject(data: CaptionedImages, pattern: str) -> NDArray[np.bool_]:
    """For each image whether one of its captions names the subject."""
    found = np.zeros(len(data), dtype=bool)
    for caption, owner in zip(data.captions, data.owners, strict=True):
        found[owner] |= re.search(rf"\b({pattern})\b", caption.lower()) is not None
    return found


def without(folder: Path, source: Path, kept: list[str]) -> Path:
    """The data of `source` with another training split, the photographs linked."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        for name in ("images", "captions.token.txt", "devImages.txt"):
            (folder / name).symlink_to((source / name).resolve())
    (folder / "trainImages.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return folder


def recalls(
    run: Path, data: CaptionedImages, features: Path, wanted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """For each wanted image the share of its captions that find it, and whether it finds one: [N, 2]."""
    seen, said = (one.numpy() for one in encode(run, data, features))
    ranks = rank_both_ways(seen, said, data.owners)
    owners = np.asarray(data.owners)
    hit = (ranks.t2i.first < 10).astype(float)
    shares = np.bincount(owners, hit, len(data)) / np.bincount(owners, minlength=len(data))
    return np.stack([shares, ranks.i2t.first < 10], axis=1)[wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--against", nargs="+", required=True, metavar="KEY=VALUE")
    for name in ("--data", "--features", "--out"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
    asked = parser.parse_args()
    whole = read(asked.data)
    split, dev = whole.split("train"), whole.split("dev")
    rng = np.random.default_rng(0)
    for subject in asked.subjects:
        gone, wanted = of_subject(split, SUBJECTS[subject]), of_subject(dev, SUBJECTS[subject])
        kept = [name for name, out in zip(split.image_ids, gone, strict=True) if not out]
        data = without(asked.out / subject / "data", asked.data, kept)
        print(f"{subject}: {gone.sum()} of {len(split)} left out, {wanted.sum()} looked for", flush=True)
        first = None
        for name, overrides in (("baseline", asked.against), (asked.config.stem, [])):
            run = asked.out / subject / name
            places = {"data.path": data, "features.path": asked.features}
            settings = load_settings(TrainSettings, asked.config, values=places, overrides=overrides)
            train(settings, run, resume=run.exists())
            found = recalls(run, dev, asked.features, wanted)
            first = found if first is None else first
            apart = found - first
            draws = rng.integers(0, len(found), (DRAWS, len(found)))
            low, high = np.percentile(apart[draws].mean(1), [2.5, 97.5], axis=0) * 100
            for column, way in enumerate(("t2i", "i2t")):
                print(
                    f"  {name:10} {way} R@10 {100 * found[:, column].mean():5.1f}"
                    f"   {100 * apart[:, column].mean():+5.1f} ({low[column]:+.1f} to {high[column]:+.1f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
