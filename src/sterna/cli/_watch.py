"""`sterna watch`: keep the library up to date while photographs come, change, move and go."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from sterna.cli._findings import say_findings
from sterna.cli._options import ExcludeOption, FormatOption, LibraryModelOption, LibraryOption
from sterna.cli._output import number, print_json, say
from sterna.cli._paths import typed_path
from sterna.cli._progress import progress_line

if TYPE_CHECKING:
    from sterna.library import IndexReport, Progress

__all__ = ["watch"]

_COUNTS = ("new", "changed", "moved", "removed", "failed")


def watch(
    roots: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=typed_path, metavar="DIR", help="Folders to add and watch; none: every known folder."
        ),
    ] = None,
    *,
    exclude: ExcludeOption = None,
    debounce: Annotated[
        float,
        typer.Option(
            "--debounce", metavar="S", help="Seconds for which a file has to stay as it is before it is read."
        ),
    ] = 2.0,
    poll: Annotated[
        float | None,
        typer.Option(
            "--poll",
            metavar="S",
            help="Look at the folders every so many seconds, where the system does not tell what changes.  "
            "[default: every 30 for network drives, and no polling of others]",
        ),
    ] = None,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Keep the library up to date while files in its folders change.

    Begins as `sterna index` does. Then it prints a line whenever photographs were added, changed, moved or
    removed, until Ctrl-C ends it. Needs the extra `watch`, unless --poll is given.

    \b
    Examples:
      sterna watch ~/Pictures
      sterna watch
      sterna watch ~/Pictures --exclude '*/raw/*' --format json
      sterna watch /mnt/photos --poll 60
    """
    from sterna.library import Library

    stop = threading.Event()
    with Library.open(library, model=model) as opened, progress_line() as line, _signals_set(stop):

        def show(progress: Progress) -> None:
            verb, unit = (
                ("indexing", "photograph") if progress.phase == "embedding" else ("looking at", "file")
            )
            line(
                verb,
                progress.done,
                progress.total,
                unit=unit,
                rate=progress.rate or None,
                seconds_left=progress.seconds_left,
            )

        def tell(report: IndexReport) -> None:
            line.close()
            say_findings(report)
            _print(report, output)

        def notice(sentence: str) -> None:
            line.close()
            say(sentence)

        opened.watch(
            *(roots or ()),
            exclude=exclude or (),
            debounce=debounce,
            poll=poll,
            stop=stop,
            progress=show,
            on_report=tell,
            on_notice=notice,
        )
    if stop.is_set():
        raise KeyboardInterrupt


def _print(report: IndexReport, output: str) -> None:
    now = datetime.now().astimezone()
    if output == "json":
        answer = report.as_json()
        answer["time"] = now.isoformat(timespec="seconds")
        answer["failures"] = [{"path": str(one.path), "reason": one.reason} for one in report.failures]
        print_json(answer, indent=None)
    else:
        print(f"{now:%Y-%m-%d %H:%M:%S}  " + ", ".join(f"{number(getattr(report, n))} {n}" for n in _COUNTS))
    sys.stdout.flush()  # whoever reads a pipe wants each line when it comes


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and TERM end the watching cleanly; the second time they are not made to wait."""

    def ask(kind: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {kind: signal.signal(kind, ask) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in kept.items():
            signal.signal(kind, handler)
