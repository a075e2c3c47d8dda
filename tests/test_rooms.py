"""Rooms have doors: what is public is named, sorted and there, and nobody goes in by a window."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

import sterna

PACKAGE = Path(sterna.__file__).parent
WHOLE = {
    "_client.py",
    "_tern.py",
    "_library.py",
}  # a model from top to bottom; a library is what its methods promise
MODULES = sorted(PACKAGE.rglob("*.py"))
LEARNING = {"sterna.backbones", "sterna.features", "sterna.model", "sterna.objectives", "sterna.training"}
DOORS = sorted({f"sterna.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}) + sorted(
    f"sterna.{path.stem}" for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")
)


def room(path: Path) -> str:
    """The room that a module belongs to: the first part of its name under `sterna`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module and name that a file imports from `sterna`, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name


def reading_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", DOORS)
def test_a_door_names_what_is_public_in_order_and_has_it(name: str) -> None:
    if name in LEARNING and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: this room belongs to the learning wing")
    module = importlib.import_module(name)
    assert list(module.__all__) == sorted(module.__all__, key=reading_order)
    for public in module.__all__:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_past_a_door(path: Path) -> None:
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] != "sterna" or len(parts) < 3 or parts[1] == room(path):
            continue
        private = [part for part in parts[2:] if part.startswith("_") and not part.startswith("__")]
        assert not private, f"{path}:{line} imports {name}, which is private to {parts[1]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_stays_readable(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300 or path.name in WHOLE, f"{path}: {len(lines)} lines"
