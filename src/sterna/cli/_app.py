"""The command tree: one line registers a command."""

from __future__ import annotations

from typing import Annotated

import typer

from sterna._version import __version__
from sterna.cli import (
    _caption,
    _doctor,
    _eval,
    _explain,
    _export,
    _extract,
    _features,
    _index,
    _library,
    _model,
    _search,
    _serve,
    _status,
    _train,
    _watch,
)

__all__ = ["app"]

app = typer.Typer(
    name="sterna",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("index")(_index.index)
app.command("search")(_search.search)
app.command("caption")(_caption.caption)
app.command("explain")(_explain.explain)
app.command("status")(_status.status)
app.command("watch")(_watch.watch)
app.command("serve")(_serve.serve)
app.command("train")(_train.train)
app.command("eval")(_eval.evaluate)
app.command("extract")(_extract.extract)
app.command("export")(_export.export)
app.command("doctor")(_doctor.doctor)
app.add_typer(_library.group, name="library")
app.add_typer(_features.group, name="features")
app.add_typer(_model.group, name="model")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sterna {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
    ] = False,
) -> None:
    """Find photographs by describing them.

    Index folders of photographs once, then search them with sentences or with other photographs.
    Everything happens on this machine.

    \b
    Examples:
      sterna index ~/Pictures
      sterna search "two dogs running through the snow"
      sterna search --image beach.jpg

    Every command explains itself: sterna COMMAND --help
    """
    if context.invoked_subcommand is None and not version:
        typer.echo(context.get_help())
