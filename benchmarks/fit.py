"""What is found when a photograph of any shape is squeezed, cropped, or letterboxed to the model's square.

    python benchmarks/fit.py --data DIR --split dev

The data needs photographs at their own shape. Prints rsum for each, and its difference to "squeeze"
with a 95% interval (paired bootstrap over images).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from sterna import load
from sterna.data import read
from sterna.encoders import default_model
from sterna.evaluation import evaluate, paired_bootstrap
from sterna.images import FITS


def with_fit(model: Path, fit: str, folder: Path) -> Path:
    """A copy of a model folder that makes squares in another way."""
    copy = folder / fit
    shutil.copytree(model, copy)
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config["image"]["fit"] = fit
    config.pop("fingerprint", None)
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return copy


def main() -> None:
    """Evaluate all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--model", type=Path, default=default_model())
    chosen = parser.parse_args()
    data = read(chosen.data).one_split(chosen.split)
    with tempfile.TemporaryDirectory() as folder:
        reports = {
            fit: evaluate(load(with_fit(chosen.model, fit, Path(folder))), data, split=chosen.split)
            for fit in FITS
        }
    for fit, report in reports.items():
        difference = paired_bootstrap(report.ranks, reports["squeeze"].ranks)
        low, high = difference.interval
        against = f"{difference.rsum:+5.1f} ({low:+.1f} to {high:+.1f})"
        print(f"{fit:10} rsum {report.rsum:6.1f}   against squeeze {against}")


if __name__ == "__main__":
    main()
