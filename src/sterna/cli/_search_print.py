"""How the hits of `sterna search` are printed and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sterna.cli._output import print_csv, print_json, print_paths, print_table, say, say_written

if TYPE_CHECKING:
    from sterna.library import Hit

__all__ = ["HitFormat", "print_hits", "write_figures"]

HitFormat = Literal["table", "json", "jsonl", "csv", "paths"]
_COLUMNS = ("rank", "score", "path", "root", "width", "height", "taken_at", "captions", "online", "also")


def _record(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(float(hit.score), 6),
        "path": str(hit.path),
        "root": str(hit.root),
        "width": hit.width,
        "height": hit.height,
        "taken_at": hit.taken_at.isoformat() if hit.taken_at is not None else None,
        "captions": list(hit.captions),
        "online": hit.online,
        "also": [str(path) for path in hit.also],
        **({"alignment": round(hit.alignment, 6)} if hit.alignment is not None else {}),
        **({"folded": hit.folded} if hit.folded else {}),
    }


def print_hits(hits: Sequence[Hit], *, output: HitFormat, null: bool, query: str, model: str) -> None:
    """Print hits in a format; `null` ends paths with a NUL, JSON says the `query` and the `model`."""
    records = [_record(hit) for hit in hits]
    aligned = any(hit.alignment is not None for hit in hits)
    folded = any(hit.folded for hit in hits)
    if output == "json":
        print_json({"schema": 1, "query": query, "model": model, "hits": records})
    elif output == "jsonl":
        for record in records:
            print_json(record, indent=None)
    elif output == "csv":
        lists = ("captions", "also")
        rows = [{**record, **{name: " | ".join(record[name]) for name in lists}} for record in records]
        columns = (*_COLUMNS, *(["alignment"] if aligned else []), *(["folded"] if folded else []))
        print_csv(columns, [[row.get(name, "") for name in columns] for row in rows])
    elif output == "paths":
        print_paths([hit.path for hit in hits], null=null)
    elif hits:
        extra = ("alignment",) if aligned else ()
        print_table(
            ("rank", *extra, "score", *(("more",) if folded else ()), "path"),
            [
                (
                    hit.rank,
                    *(_shown(hit.alignment) for _ in extra),
                    f"{hit.score:.3f}",
                    *((f"+{hit.folded}" if hit.folded else "",) if folded else ()),
                    hit.path,
                )
                for hit in hits
            ],
            right=range(2 + len(extra) + folded),
        )
    away = sorted({str(hit.away) for hit in hits if hit.away is not None})
    if away:
        say(f"some hits lie on what is not there now: {', '.join(away)}")


def _shown(alignment: float | None) -> str:
    return "" if alignment is None else f"{alignment:.3f}"


def write_figures(
    hits: Sequence[Hit], *, title: str, image: Path | None, html: Path | None, png: Path | None
) -> None:
    """Write hits as a page, as a picture, or neither."""
    if html is None and png is None:
        return
    from sterna import figures

    section = figures.Section(title, answers=hits, query_image=image)
    if html is not None:
        figures.write_html(html, [section], title=f"Sterna: {title}")
    if png is not None:
        figures.write_png(png, [section])
    say_written(html, png)
