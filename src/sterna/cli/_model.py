"""`sterna model`: model folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sterna.cli._extras import learning_wing
from sterna.cli._options import FormatOption
from sterna.cli._output import bold, number, print_json, print_table, size
from sterna.cli._paths import typed_path
from sterna.errors import ModelError
from sterna.words import printable

__all__ = ["describe_model", "group", "what_is_wrong"]

_USUAL = {"hits", "recall", "median_rank", "mean_rank", "mrr"}
_FIGURE = re.compile(r"\.(?:i2t|t2i)\.(\w+)")
_MEMBER = re.compile(r"architecture\.members\.\d+\.(.+)")

group = typer.Typer(rich_markup_mode=None)


@group.callback()
def _model() -> None:
    """Look at model folders, and bring over weights of earlier implementations.

    \b
    Examples:
      sterna model info
      sterna model import model_best_rsum.pth.tar --out runs/teran
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
        raise ModelError(f"{answer['path']}: {what_is_wrong(answer['path'])}")


@group.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="FILE", help="A .pth, .tar or .safetensors file.")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", parser=typed_path, metavar="RUN", help="The run's folder to write.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            parser=typed_path,
            metavar="CONFIG",
            help="The model's config as YAML or JSON.  [default: the one in FILE]",
        ),
    ] = None,
    image_backbone: Annotated[
        str,
        typer.Option("--image-backbone", metavar="NAME", help="What makes the regions that the model takes."),
    ] = "imported",
    text_backbone: Annotated[
        str,
        typer.Option(
            "--text-backbone",
            metavar="NAME",
            help="What makes its tokens; FILE's weights of BERT go into it (hf:FOLDER).",
        ),
    ] = "imported",
    zero_region: Annotated[
        bool,
        typer.Option(
            "--zero-region/--no-zero-region",
            help="For the paper's models: put the region of zeros first that their loader put there.",
        ),
    ] = True,
    output: FormatOption = "table",
) -> None:
    """Make a training run of a checkpoint of an earlier implementation of TERN.

    FILE is of the paper authors' TERN or TERAN, or of the re-implementation. Nothing in it is run.
    The run can be measured on features (eval --features) and trained further (train --init-from).
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna model import model_best_rsum.pth.tar --out runs/teran
      sterna model import TERN_best.pth --config tern.yaml --out runs/tern
      sterna model import model.pth.tar --out runs/teran --text-backbone hf:bert-base-uncased
    """
    with learning_wing("Importing a model"):
        from sterna.training import import_model

        came = import_model(
            file,
            out,
            config=config,
            image_backbone=image_backbone,
            text_backbone=text_backbone,
            zero_region=zero_region,
        )
    answer = {"schema": 1, **asdict(came), "path": str(came.path)}
    if output == "json":
        print_json(answer)
        return
    print(f"{printable(came.path)}: {number(came.weights)} weights of {file.name} ({came.kind})")
    print(f"regions of {came.image_width} and tokens of {came.text_width} to vectors of {came.embedding}")
    if came.tuned:
        print(f"{number(came.tuned)} weights of BERT came along")
    if came.zero_region:
        print("a region of zeros is put before each image's, as in training (--no-zero-region: it is not)")
    for what in came.left_out:
        print(f"left out: {what}")


def describe_model(model: str | None, *, verify: bool) -> dict[str, Any]:
    """What is known of a model folder, as JSON values; `verified` is `None` where it was not asked for.

    Raises `ModelError` where it is not a model folder.
    """
    from sterna.encoders import default_model, fingerprint_folder, read_config

    folder = default_model() if model is None else Path(model).expanduser()
    if (folder / "settings.yaml").is_file() and (folder / "run.json").is_file():
        raise ModelError(
            f"{folder}: a training run, not a model folder; make one of it with "
            f"sterna export {folder} --out FOLDER"
        )
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


def what_is_wrong(folder: str) -> str:
    """What is known of why a model folder's files are not those of its fingerprint, and the cure."""
    from sterna.encoders import damaged_files, default_model

    what = "; ".join(damaged_files(folder)) or (
        "image.onnx, text.onnx, tokenizer.json, or image or text in config.json, was changed and still works"
    )
    shipped = Path(folder).resolve() == default_model().resolve()
    cure = (
        "install it again: pip install --force-reinstall --no-deps sterna"
        if shipped
        else "copy the whole folder again from where it came from"
    )
    return f"the files are not those that the fingerprint was made of ({what}); {cure}"


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
        for section in (
            "dim",
            "image",
            "text",
            "architecture",
            "data",
            "seed",
            "versions",
            "results",
            "calibration",
        )
        for name, value in _flat(section, answer["config"].get(section))
    ]
    known = dict(rows)
    shown = [(name, _told(value)) for name, value in rows if not _is_spared(name, value, known)]
    print()
    print_table(("setting", "value"), shown)
    if len(shown) < len(rows):
        print(f"\n{len(rows) - len(shown)} more with --format json")


def _flat(name: str, value: object) -> list[tuple[str, object]]:
    """Name every leaf of nested JSON by its place: `results.dev.rsum`, `architecture.members.0.seed`."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _flat(f"{name}.{key}", inner)]
    if isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        return [leaf for place, inner in enumerate(value) for leaf in _flat(f"{name}.{place}", inner)]
    return [] if value is None else [(name, value)]


def _is_spared(name: str, value: object, known: Mapping[str, object]) -> bool:
    """Whether people are spared a row: unusual figures, and of a member what is as in the whole model."""
    figure, member = _FIGURE.search(name), _MEMBER.fullmatch(name)
    if member is not None:
        return figure is not None or known.get(f"architecture.{member[1]}") == value
    return figure is not None and figure[1] not in _USUAL


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_told, value)) if isinstance(value, list) else str(value)
