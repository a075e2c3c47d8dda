"""`sterna index`: add folders of photographs to the library, or bring them up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sterna.cli._findings import say_findings
from sterna.cli._options import ExcludeOption, FormatOption, LibraryModelOption, LibraryOption
from sterna.cli._output import number, print_json, print_table, say, say_some
from sterna.cli._paths import typed_path
from sterna.cli._progress import duration, progress_line
from sterna.words import counted

if TYPE_CHECKING:
    from sterna.library import IndexReport, Progress

__all__ = ["index"]


def index(
    roots: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=typed_path,
            metavar="DIR",
            help="Folders to add; none: bring every known folder up to date.",
        ),
    ] = None,
    *,
    exclude: ExcludeOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="If another process is indexing, wait for it instead of giving up.")
    ] = False,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Add folders of photographs, or bring the library up to date.

    Only what is new or changed is looked at again; stop at any time and run it again to go on.
    A folder that is not there (an unplugged drive) loses nothing. The exit code is 1 where a folder could not
    be listed.

    \b
    Examples:
      sterna index ~/Pictures ~/Scans
      sterna index
      sterna index ~/Pictures --exclude '*/raw/*' --library ./my-library
      sterna index --model hf:openai/clip-vit-base-patch32
    """
    from sterna.library import Library

    with Library.open(library, model=model) as opened, progress_line() as line:

        def show(progress: Progress) -> None:
            verb, unit = (
                ("indexing", "photograph") if progress.phase == "embedding" else ("looking at", "file")
            )
            detail = f"{number(progress.failed)} failed" if progress.failed else ""
            line(
                verb,
                progress.done,
                progress.total,
                unit=unit,
                rate=progress.rate or None,
                seconds_left=progress.seconds_left,
                detail=detail,
            )

        report = opened.index(*(roots or ()), exclude=exclude or (), progress=show, wait=None if wait else 0)
    say_findings(report)
    say_some([f"{path}: not there now; nothing of it was touched" for path in report.offline_roots], rest="")
    if output == "json":
        print_json(report.as_json())
    else:
        _print(report)
    if report.unlisted:
        folders = counted(len(report.unlisted), "folder")
        say(f"{folders} could not be listed; what lies there was not looked at")
        raise typer.Exit(1)


def _print(report: IndexReport) -> None:
    names = ("new", "changed", "moved", "removed", "failed", "offline")
    print_table(names, [[number(getattr(report, name)) for name in names]], right=range(len(names)))
    print(f"done in {duration(report.seconds)}")
