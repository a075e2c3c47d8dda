"""`sterna model`: model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sterna.cli._options import FormatOption
from sterna.cli._output import bold, print_json, print_table, size
from sterna.errors import ModelError
from sterna.files import printable

__all__ = ["describe_model", "group"]

group = typer.Typer(rich_markup_mode=None)


@group.callback()
def _model() -> None:
    """Look at model folders.

    \b
    Examples:
      sterna model info
    """


@group.command("info")
def info(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model folder.  [default: the one that ships]")
    ] = None,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the files again and compare them with the fingerprint.")
    ] = False,
    output: FormatOption = "table",
) -> None:
    """Show what a model folder is: its architecture, what it was made from, its results and sizes.

    \b
    Examples:
      sterna model info
      sterna model info ./my-model --verify
      sterna model info --format json
    """
    answer = describe_model(model, verify=verify)
    if output == "json":
        print_json(answer)
    else:
        _print(answer)
    if answer["verified"] is False:
        raise ModelError(f"{answer['path']}: the files are not those that the fingerprint was made of")


def describe_model(model: str | None, *, verify: bool) -> dict[str, Any]:
    """What is known of a model folder, as JSON values; `verified` is `None` where it was not asked for.

    Raises `ModelError` where it is not a model folder.
    """
    from sterna.encoders import default_model, fingerprint_folder, read_config

    folder = default_model() if model is None else Path(model).expanduser()
    config = read_config(folder)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    stored = config.fingerprint
    real = fingerprint_folder(folder) if verify or stored is None else None
    return {
        "schema": 1,
        "name": config.name,
        "path": str(folder),
        "fingerprint": stored or real,
        "verified": None if not verify else stored in {None, real},
        "bytes": sum(files.values()),
        "files": files,
        "config": dict(config.values),
    }


def _print(answer: dict[str, Any]) -> None:
    verified = {None: "", True: " (verified)", False: " (does not fit the files)"}[answer["verified"]]
    print(bold(printable(answer["name"])))
    print(f"path         {printable(answer['path'])}")
    print(f"fingerprint  {answer['fingerprint']}{verified}")
    print(f"size         {size(answer['bytes'])}\n")
    print_table(
        ("file", "size"), [(name, size(count)) for name, count in answer["files"].items()], right=(1,)
    )
    rows = [
        (name, value)
        for section in ("dim", "image", "text", "architecture", "data", "seed", "versions", "results")
        for name, value in _flat(section, answer["config"].get(section))
    ]
    print()
    print_table(("setting", "value"), rows)


def _flat(name: str, value: object) -> list[tuple[str, object]]:
    """Name every leaf of nested JSON by its place: `results.dev.rsum`."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _flat(f"{name}.{key}", inner)]
    return [] if value is None else [(name, value)]
