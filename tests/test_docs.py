"""The documentation says what is: commands exist and parse, code compiles, links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from sterna.cli import app, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SPINE = {
    "sterna index", "sterna search", "sterna caption", "sterna status", "sterna watch", "sterna serve",
    "sterna train", "sterna eval", "sterna extract", "sterna export", "sterna model info", "sterna model import", "sterna doctor",
    "sterna features import", "sterna features export", "sterna features show", "sterna explain",
    "sterna library check", "sterna library backup", "sterna library restore", "sterna library duplicates",
    "sterna library forget",
}  # fmt: skip


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_reference", ROOT / "docs" / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _generator()
PROGRAM: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = dict(REFERENCE.commands(PROGRAM))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, code in re.findall(
        r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        if language in languages:
            yield code


def sterna_commands(code: str) -> Iterator[list[str]]:
    """The arguments of every `sterna ...` in a shell block, each cut where a pipe or redirection begins."""
    for line in code.splitlines():
        words = shlex.split(line, comments=True)
        while words:
            ends = [place for place, word in enumerate(words) if word in {"|", ">", ";", "&&"}]
            end = ends[0] if ends else len(words)
            if words[0] == "sterna":
                yield words[1:end]
            words = words[end + 1 :]


def parse(args: list[str]) -> None:
    """Parse a command's arguments without running it; wrong ones raise."""
    command, name = PROGRAM, "sterna"
    while hasattr(command, "commands"):
        name, command = f"{name} {args[0]}", command.commands[args[0]]
        args = args[1:]
    command.make_context(name, list(args))


def test_the_commands_are_those_that_were_drawn() -> None:
    assert {name for name, command in COMMANDS.items() if not hasattr(command, "commands")} == SPINE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained_with_an_example_that_parses(name: str) -> None:
    words, found, examples = COMMANDS[name].help.partition("\b\nExamples:\n")
    assert found, f"{name} --help has no example"
    assert words.strip().splitlines()[0].endswith(".")
    lines = list(sterna_commands(examples.partition("\n\n")[0]))
    assert lines
    for line in lines:
        parse(line)
        assert " ".join(["sterna", *line]).startswith(name)


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if not hasattr(command, "commands")]
)
def test_every_option_of_a_command_is_explained(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{name}: {parameter.name} has no help"


def test_the_reference_of_commands_is_up_to_date() -> None:
    page = REFERENCE.PAGE.read_text(encoding="utf-8")
    assert page == REFERENCE.reference(), "run: python docs/generate_reference.py"
    for name in COMMANDS:
        assert f"\n## {name}\n" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_parses(page: Path) -> None:
    for code in blocks(page, "sh"):
        for command in sterna_commands(code):
            parse(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_is_python(page: Path) -> None:
    for code in blocks(page, "python"):
        ast.parse(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_on_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link} is not there"


def test_make_targets_on_a_page_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        for code in blocks(page, "sh"):
            for target in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE):
                assert target in targets, f"{page.name}: make {target}"


def test_the_version_is_written_in_one_place_and_cited() -> None:
    from sterna import __version__

    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_guide_for_photographs_works_from_top_to_bottom(
    page: str,
    photos: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command about photographs is run in order, in a home that has what the guide speaks of."""
    photos.rename(tmp_path / "Pictures")
    (tmp_path / "Scans").mkdir()
    for name in ("beach.jpg", "photo.jpg"):
        shutil.copy(tmp_path / "Pictures" / "photo-00.jpg", tmp_path / name)
    (tmp_path / "captions.txt").write_text("a dog\na cat\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STERNA_LIBRARY", "library")
    assert (
        main(["index", "Pictures", "--model", str(tiny_model)]) == 0
    )  # the model that the library stays with
    run = 0
    for code in blocks(ROOT / page, "sh"):
        for command in sterna_commands(code):
            if command[0] not in {"index", "search", "caption", "status"} or {"--model", "--library"} & set(
                command
            ):
                continue
            words = [str(Path(word).expanduser()) if word.startswith("~") else word for word in command]
            assert main(words) == 0, f"{command}: {capsys.readouterr().err}"
            run += 1
    assert run >= 8
    assert (tmp_path / "mountains.html").is_file()
    assert len(list((tmp_path / "mountains").iterdir())) == 10


def test_the_guide_for_researchers_lists_every_format_of_data() -> None:
    from sterna.data import FORMATS

    page = (ROOT / "docs" / "research.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(FORMATS)
