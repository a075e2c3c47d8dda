"""`sterna library`: the care of a library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sterna.cli._options import FormatOption, LibraryModelOption, LibraryOption
from sterna.cli._output import number, print_json, print_table, say, say_written, size
from sterna.cli._paths import file_to_write, typed_path
from sterna.cli._progress import ProgressLine, progress_line
from sterna.words import counted, printable

if TYPE_CHECKING:
    from sterna.library import Hit, Progress

__all__ = ["group"]

_MEGABYTE = 1_000_000
_SHOWN = 200  # groups on a page

group = typer.Typer(rich_markup_mode=None)

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there, once the new one is complete.")
]


@group.callback()
def _library() -> None:
    """Take care of a library: check it, back it up, find duplicates, let a folder go.

    \b
    Examples:
      sterna library check
      sterna library backup /media/disk/sterna-backup
    """


@group.command("check")
def check(*, library: LibraryOption = None, output: FormatOption = "table") -> None:
    """Read the whole library, and say what is damaged and what mends it.

    The exit code is 1 where something is wrong. Nothing is changed.

    \b
    Examples:
      sterna library check
      sterna library check --library ./my-library --format json
    """
    from sterna.library import Library

    with Library.open(library) as opened:
        problems = opened.check()
        if not problems and opened.status().journal == "none":
            problems = [f"{opened.path}: nothing is indexed yet; run `sterna index DIR`"]
    if output == "json":
        print_json({"schema": 1, "library": str(opened.path), "problems": problems})
    elif not problems:
        print(f"library {printable(opened.path)}: everything is as it was written")
    else:
        for problem in problems:
            say(problem)
    if problems:
        raise typer.Exit(1)


@group.command("backup")
def backup(
    target: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="TARGET", help="The folder to write, a new one.")
    ],
    *,
    overwrite: OverwriteOption = False,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Copy the library to another folder, even while it is searched and indexed.

    The copy is proved whole before it gets its name. Photographs are not copied.

    \b
    Examples:
      sterna library backup /media/disk/sterna-backup
      sterna library backup /media/disk/sterna-backup --overwrite
    """
    from sterna.library import Library

    with Library.open(library) as opened, progress_line() as line:
        made = opened.backup(target, overwrite=overwrite, progress=_copying(line))
    if output == "json":
        print_json(made.as_json())
    else:
        print(f"{counted(made.photos, 'photograph')}, {size(made.bytes)}, to {printable(made.path)}")


@group.command("restore")
def restore(
    source: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="SOURCE", help="A folder that backup wrote.")
    ],
    *,
    overwrite: OverwriteOption = False,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Make the library of a backup, which is proved whole first.

    A library that is there already is only replaced with --overwrite.

    \b
    Examples:
      sterna library restore /media/disk/sterna-backup
      sterna library restore /media/disk/sterna-backup --library ./my-library --overwrite
    """
    from sterna.library import Library

    with progress_line() as line:
        restored = Library.restore(source, library, overwrite=overwrite, progress=_copying(line))
    with restored:
        status = restored.status()
    away = [str(root.path) for root in status.roots if not root.online]
    if output == "json":
        answer = {"library": str(restored.path), "indexed": status.indexed, "offline": away}
        print_json({"schema": 1, **answer})
    else:
        found = counted(status.indexed, "photograph")
        print(f"library {printable(restored.path)}: {found} can be found")
    if away:
        say(f"not there now: {', '.join(away)}")


@group.command("duplicates")
def duplicates(
    *,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="X",
            help="How like its group's best a photograph has to be, up to 1.  [default: as measured for the "
            "model that ships]",
        ),
    ] = None,
    copies: Annotated[
        bool,
        typer.Option(
            "--copies",
            help="Also list photographs that nothing looks like but equal copies of their own file.",
        ),
    ] = False,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
    output: FormatOption = "table",
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            parser=typed_path,
            metavar="FILE",
            help="Also write the groups as a page with pictures.",
        ),
    ] = None,
) -> None:
    """Group photographs that look the same: resized, saved again, cut or brightened a little.

    The best of each group comes first: that of the most pixels, of those the earliest. No photograph is
    read (but for --html) or changed. Copies of a file that are equal byte for byte are listed as "same"
    under their photograph; one that has such copies and nothing else like it is listed with --copies alone.

    \b
    Examples:
      sterna library duplicates
      sterna library duplicates --copies --html duplicates.html
      sterna library duplicates --min-score 0.99 --format json
    """
    html = file_to_write("--html", html) if html is not None else None
    from sterna.library import LIKENESS, Library

    least = LIKENESS if min_score is None else min_score
    with Library.open(library, model=model) as opened, progress_line() as line:

        def show(progress: Progress) -> None:
            line("comparing", progress.done, progress.total, unit="photograph")

        groups = opened.duplicates(min_score=least, copies=copies, progress=show)
    if output == "json":
        print_json({"schema": 1, "min_score": least, "groups": [_records(one) for one in groups]})
    elif groups:
        _print_groups(groups)
    if not groups:
        say(f"no photographs are as like as {least:g}")
    if html is not None:
        _write_page(html, groups)


@group.command("forget")
def forget(
    root: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="ROOT", help="A folder that was indexed.")
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Take a folder out of the library; its photographs stay where they are.

    It need not be there. Photographs that another folder of the library holds can still be found.

    \b
    Examples:
      sterna library forget ~/Scans
      sterna library forget /media/old-disk/Pictures --yes
    """
    from sterna.library import Library

    with Library.open(library) as opened:
        if not yes and sys.stdin.isatty():
            question = f"Take {printable(root)} out of the library? (its photographs stay where they are)"
            if not typer.confirm(question, err=True):
                say("nothing was changed")
                raise typer.Exit(1)
        gone = opened.forget(root)
    if output == "json":
        print_json(gone.as_json())
    else:
        counts = f"{counted(gone.photos, 'photograph')} ({counted(gone.files, 'file')})"
        print(f"{printable(gone.path)} is forgotten, and with it {counts}; the files are untouched")


def _copying(line: ProgressLine) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        total = (progress.total or 0) // _MEGABYTE
        line("copying", progress.done // _MEGABYTE, total, unit="MB")

    return show


def _records(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    return [
        {
            "score": round(float(hit.score), 6),
            "path": str(hit.path),
            "also": [str(path) for path in hit.also],
            "width": hit.width,
            "height": hit.height,
            "taken_at": hit.taken_at.isoformat() if hit.taken_at is not None else None,
            "online": hit.online,
        }
        for hit in hits
    ]


def _print_groups(groups: Sequence[Sequence[Hit]]) -> None:
    rows: list[tuple[object, ...]] = []
    for place, hits in enumerate(groups, start=1):
        for hit in hits:
            score = "best" if hit.rank == 1 else f"{hit.score:.3f}"
            taken = "" if hit.taken_at is None else hit.taken_at.isoformat(" ", timespec="minutes")
            rows.append((place, score, f"{hit.width}x{hit.height}", taken, hit.path))
            rows += [(place, "same", "", "", path) for path in hit.also]
    print_table(("group", "score", "pixels", "taken at", "path"), rows, right=(0, 1, 2))
    others = sum(len(hits) - 1 + sum(len(hit.also) for hit in hits) for hits in groups)
    print(f"groups: {number(len(groups))}; files beside the best of them: {number(others)}")


def _write_page(path: Path, groups: Sequence[Sequence[Hit]]) -> None:
    from sterna import figures

    sections = [
        figures.Section(f"{place}. {hits[0].path.name}", answers=hits)
        for place, hits in enumerate(groups[:_SHOWN], start=1)
    ]
    figures.write_html(path, sections, title="Sterna: duplicates")
    say_written(path)
    if len(groups) > _SHOWN:
        say(f"--html shows the first {_SHOWN} of {number(len(groups))} groups")
