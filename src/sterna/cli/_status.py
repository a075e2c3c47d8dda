"""`sterna status`: what the library holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sterna.cli._options import FormatOption, LibraryOption
from sterna.cli._output import print_json

if TYPE_CHECKING:
    pass

__all__ = ["status"]

def status(library: LibraryOption = None, output: FormatOption = "table") -> None:
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
    status = answer.as_json()
    roots = status["roots"]
    print(f"{number(status['indexed'])} photographs can be found, {number(status['stale'])} wait for `sterna index`")
    print(f"size {size(status['bytes'])}; models: {printable(', '.join(map(str, status['models'])) or 'none')}\n")
    rows = [(number(root["photos"]), "yes" if root["online"] else "NO", root["path"]) for root in roots]
    print_table(("photos", "online", "folder"), rows, right=(0,))
    failed = status["failed"]
    if failed:
        print(f"\n{number(len(failed))} could not be read:")
        print_table(("file", "reason"), [(one["path"], one["reason"]) for one in failed])
