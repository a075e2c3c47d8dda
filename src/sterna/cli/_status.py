"""`sterna status`: what the library holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sterna.cli._options import FormatOption, LibraryOption
from sterna.cli._output import number, print_json, print_table, size
from sterna.words import counted, printable

if TYPE_CHECKING:
    from sterna.library import Status

__all__ = ["status"]


def status(*, library: LibraryOption = None, output: FormatOption = "table") -> None:
    """Show what the library holds, and what could not be read.

    \b
    Examples:
      sterna status
      sterna status --format json
    """
    from sterna.library import Library

    with Library.open(library) as opened:
        answer = opened.status()
    if output == "json":
        print_json(answer.as_json())
    else:
        _print(answer)


def _print(answer: Status) -> None:
    if not (answer.roots or answer.indexed or answer.problems):
        print(f"library {printable(answer.path)}: nothing is indexed there yet; sterna index DIR begins it")
        return
    print(f"library {printable(answer.path)}, {size(answer.bytes)}")
    waiting = f"; {counted(answer.stale, 'waits', 'wait')} for `sterna index`" if answer.stale else ""
    print(f"{counted(answer.indexed, 'photograph')} can be found{waiting}")
    if answer.journal == "delete":
        print("its drive allows no write-ahead log: searches wait while `sterna index` writes a batch")
    if answer.roots:
        rows = [
            (number(root.photos), "yes" if root.online else "no", root.path, ", ".join(root.exclude))
            for root in answer.roots
        ]
        print()
        print_table(("photographs", "online", "folder", "excluded"), rows, right=(0,))
    away = [path for root in answer.roots for path in root.away]
    if away:
        print(f"drives in them that are not there now: {', '.join(printable(path) for path in away)}")
    if answer.models:
        models = [(number(one.photos), number(one.stale), size(one.bytes), one.name) for one in answer.models]
        print()
        print_table(("vectors", "stale", "size", "model"), models, right=(0, 1, 2))
    if answer.problems:
        print()
        print_table(("damaged", "reason"), [(one.path, one.reason) for one in answer.problems])
    if answer.failed:
        print()
        title = f"failed ({number(len(answer.failed))})"
        print_table((title, "reason"), [(one.path, one.reason) for one in answer.failed])
