"""What a run of indexing found, told beside its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sterna.cli._output import number, say, say_some

if TYPE_CHECKING:
    from sterna.library import IndexReport

__all__ = ["say_findings"]

_NAMED = 10  # folders of the system, on one line


def say_findings(report: IndexReport) -> None:
    """Tell on stderr what cannot be read, what was left out, and which folders are part of another now."""
    say_some([f"{inner} is now part of {outer}" for inner, outer in report.taken_in], rest="")
    if report.left_out:
        some = ", ".join(str(path) for path in report.left_out[:_NAMED])
        more = len(report.left_out) - _NAMED
        names = f"{some} and {number(more)} more" if more > 0 else some
        say(f"left out, since no photographs lie in what the system tells of itself: {names}")
    failures = sorted(report.failures, key=lambda one: one.path not in report.unlisted)
    say_some([f"{one.path}: {one.reason}" for one in failures], rest="; `sterna status` shows all")
