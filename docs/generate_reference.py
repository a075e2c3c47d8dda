"""Write docs/reference/commands.md from the commands themselves; `--check` only tells whether it is stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from sterna.cli import app

PAGE = Path(__file__).with_name("reference") / "commands.md"
HIDDEN = {"install_completion", "show_completion", "help"}
HEADER = ("| option | meaning | default |", "| --- | --- | --- |")
INTRODUCTION = """# Commands

This page is made by `docs/generate_reference.py`; it says what `sterna COMMAND --help` says.

Exit codes: 0 done, 1 failed (one sentence on stderr says why), 2 wrong usage, 130 interrupted.
With `--format json`, one JSON document is all that is printed on stdout."""


def commands(command: Any, name: str = "sterna") -> Iterator[tuple[str, Any]]:
    """Every command and group under `command` with its full name, in the order of the help."""
    yield name, command
    for inner, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {inner}")


def describe(command: Any, name: str) -> str:
    """A command as Markdown: what it does, examples, arguments and options."""
    words, _, examples = command.help.partition("\b\nExamples:\n")
    examples, _, more = examples.partition("\n\n")
    lines = [line.removeprefix("  ") for line in examples.splitlines()]
    shown = [parameter for parameter in command.params if parameter.name not in HIDDEN]
    usage = [_place(parameter) for parameter in shown if parameter.param_type_name == "argument"]
    parts = [
        f"## {name}",
        f"`{' '.join([name, '[OPTIONS]', *usage])}`",
        words.strip(),
        "\n".join(["```sh", *lines, "```"]) if lines else "",
        more.strip(),
        "\n".join([*HEADER, *(row(parameter) for parameter in shown)]) if shown else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _place(argument: Any) -> str:
    place = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{place}..." if argument.nargs == -1 else place


def row(parameter: Any) -> str:
    """One argument or option as a line of the table."""
    is_option = parameter.param_type_name == "option"
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len)) if is_option else ""
    value = f"`{parameter.metavar}`" if parameter.metavar else ""
    meaning, _, default = parameter.help.partition("  [default: ")
    if parameter.envvar:
        meaning += f" Also the variable `{parameter.envvar}`."
    if parameter.required:
        default = "needed"
    elif not default and parameter.default not in {None, False}:
        default = f"`{parameter.default}`"
    cells = (f"{names} {value}".strip(), meaning, default.removesuffix("]"))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def reference() -> str:
    """The whole page."""
    tree = commands(typer.main.get_command(app))
    return "\n\n".join([INTRODUCTION, *(describe(command, name) for name, command in tree)]) + "\n"


def main() -> int:
    """Write the page, or with `--check` return 1 where it is stale."""
    page = reference()
    if "--check" in sys.argv[1:]:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
