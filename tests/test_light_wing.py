"""Everything that searches and measures runs without the learning wing, also where it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORBID = """
import importlib.abc, sys

class Forbid(importlib.abc.MetaPathFinder):
    names = {"torch", "transformers", "pyarrow", "matplotlib", "accelerate", "skimage", "sklearn", "pandas"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Forbid())
"""
ROOMS = (
    "",
    ".cli",
    ".client",
    ".data",
    ".encoders",
    ".evaluation",
    ".explanations",
    ".figures",
    ".images",
    ".index",
    ".library",
    ".scoring",
    ".server",
)


def run(program: str, *args: object, library: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FORBID + program, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": str(library.parent), "STERNA_LIBRARY": str(library), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_room_of_the_light_wing_is_imported_without_the_learning_wing(tmp_path: Path) -> None:
    program = "\n".join(f"import sterna{room}" for room in ROOMS)
    run(program + "\nassert 'torch' not in sys.modules", library=tmp_path / "library")


@pytest.mark.parametrize("heavy", ["numpy", "onnxruntime", "faiss", "pydantic", "PIL", "rich", "tokenizers"])
def test_the_command_line_imports_nothing_heavy_before_a_command_needs_it(heavy: str, tmp_path: Path) -> None:
    program = f"import sterna, sterna.cli\nassert {heavy!r} not in sys.modules, 'imported too early'"
    run(program, library=tmp_path / "library")


def test_search_loads_nothing_that_it_does_not_need(photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    main = "from sterna.cli import main\nassert main(sys.argv[1:]) == 0\n"
    run(main, "index", photos, "--model", tiny_model, library=library)
    unneeded = "print(sorted({'faiss', 'rich', 'yaml', 'sterna.figures'} & set(sys.modules)))"
    printed = run(main + unneeded, "search", "a dog", library=library)
    assert printed.splitlines()[-1] == "[]"


def test_index_search_caption_status_and_eval_run_without_the_learning_wing(
    photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    for photo in photos.glob("*.jpg"):
        photo.with_suffix(".txt").write_text("a dog\nthe beach\n")
    main = "from sterna.cli import main\nsys.exit(main(sys.argv[1:]))"
    run(main, "index", photos, "--model", tiny_model, library=library)
    page, picture = tmp_path / "hits.html", tmp_path / "hits.png"
    printed = run(main, "search", "a dog", "--html", page, "--png", picture, library=library)
    assert len(printed.splitlines()) == 11
    assert len(run(main, "search", "--image", photos / "photo-00.jpg", library=library).splitlines()) == 11
    assert "a dog" in run(main, "caption", photos / "photo-00.jpg", library=library)
    assert "12 photographs" in run(main, "status", library=library)
    assert "rsum" in run(main, "eval", "--data", photos, "--model", tiny_model, library=library)
    assert "tiny-0" in run(main, "model", "info", tiny_model, library=library)
    assert "absent" in run(main, "doctor", "--model", tiny_model, library=library)


def test_nothing_is_gathered_about_what_people_do(tiny_model: Path, tmp_path: Path) -> None:
    program = f"import sterna; sterna.load({str(tiny_model)!r}).encode_texts(['a dog'])"
    run(program, library=tmp_path / "library")
    run("from sterna.cli import main\nmain(['doctor'])", library=tmp_path / "library")
    left = [
        path
        for path in tmp_path.rglob("*")
        if "onnxruntime" in path.name.lower() or "Microsoft" in path.parts
    ]
    assert not left
