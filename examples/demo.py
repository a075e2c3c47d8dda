"""Index a few ordinary photographs, search them with words and with a photograph, and write demo.html.

The photographs are those inside the packages scikit-image and scikit-learn; `--photos DIR` takes your own.
Every step is a command that you can type yourself; the page at the end is made through the Python API.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import sterna
from sterna import cli, figures

HERE = Path(__file__).resolve().parents[1]
PHOTOS, PAGE = HERE / "demo-photos", HERE / "demo.html"
# The others in these packages are diagrams, textures, text, or pictures from microscopes.
ORDINARY = {
    "skimage/data": (
        "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "moon.png",
        "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg",
    ),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
}  # fmt: skip
QUERIES = ("a cat", "a red motorcycle parked indoors", "a man taking a photograph")
FOUND, ALIKE = 4, 3  # answers to a sentence, and to a photograph, which is shown beside its own
OWN_QUERIES = ("people outdoors", "a dog", "water and sky")


def collect_photos(folder: Path) -> Path:
    """Copy the ordinary photographs of the packages to `folder` and return it."""
    folder.mkdir(exist_ok=True)
    for where, names in ORDINARY.items():
        package, _, inside = where.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{package} is missing: pip install 'sterna[demo]', or use --photos DIR")
        for name in names:
            source = Path(spec.origin).parent / inside / name
            if source.is_file():
                shutil.copyfile(source, folder / name)
    return folder


def run(*command: object) -> None:
    """Show a command and run it, as if it had been typed."""
    words = [str(word) for word in command]
    print(f"\n$ sterna {shlex.join(words)}", flush=True)
    code = cli.main(words)
    if code:
        raise SystemExit(code)


def answer(library: sterna.Library, *, queries: Sequence[str], query_image: Path) -> list[figures.Section]:
    """Ask all questions through the Python API."""
    sections = [figures.Section(query, answers=library.search(query, k=FOUND)) for query in queries]
    alike = library.search(image=query_image, k=ALIKE, exclude_self=True)
    return [*sections, figures.Section(f"Like {query_image.name}", answers=alike, query_image=query_image)]


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of your own photographs")
    parser.add_argument("--png", type=Path, help="also write the answers as one picture")
    arguments = parser.parse_args()
    own = arguments.photos
    folder = own.expanduser() if own is not None else collect_photos(PHOTOS)
    queries = OWN_QUERIES if own is not None else QUERIES
    where = HERE / ("demo-library-own" if own is not None else "demo-library")
    run("index", folder, "--library", where)
    for query in queries:
        run("search", query, "-k", FOUND, "--library", where)
    with sterna.Library.open(where) as library:
        found = library.search(queries[1], k=1, min_score=None)
        if not found:
            raise SystemExit(f"{folder}: no photographs were found there")
        run("search", "--image", found[0].path, "--exclude-self", "-k", ALIKE, "--library", where)
        sections = answer(library, queries=queries, query_image=found[0].path)
    figures.write_html(PAGE, sections, title="Sterna: find photographs by describing them")
    if arguments.png is not None:
        figures.write_png(arguments.png, sections)
    print(f"\nWith pictures: {PAGE}")


if __name__ == "__main__":
    main()
