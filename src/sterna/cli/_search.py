"""`sterna search`: find photographs by a description, by another photograph, or by a sum of both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sterna.cli._options import LibraryModelOption, LibraryOption, LimitOption
from sterna.cli._output import say
from sterna.cli._paths import file_to_write, typed_path
from sterna.cli._search_print import HitFormat, print_hits, write_figures
from sterna.errors import UsageError
from sterna.words import counted

if TYPE_CHECKING:
    from sterna.cli._copy import Copied
    from sterna.library import Hit

__all__ = ["search"]

_Shape = Literal["landscape", "portrait", "square"]
_NAMED = 5  # folders of the library, on one line
_SUFFIX = re.compile(r"\S\.\w{3,5}$")


def search(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="What the photographs show, in words; or a photograph's file."),
    ] = None,
    *,
    image: Annotated[
        Path | None,
        typer.Option("--image", "-i", parser=typed_path, metavar="FILE", help="Find images like this one."),
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option(
            "--plus", metavar="[WEIGHT:]WHAT", help="Add a text, or a file's image; may be repeated."
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(
            "--minus", metavar="[WEIGHT:]WHAT", help="Take away a text, or a file's image; may be repeated."
        ),
    ] = None,
    k: LimitOption = 10,
    offset: Annotated[
        int,
        typer.Option(
            "--offset", min=0, metavar="N", help="Pass over the first N hits: 10 for the next page."
        ),
    ] = 0,
    min_score: Annotated[
        str,
        typer.Option(
            "--min-score",
            metavar="X|none",
            help="Leave out hits that score less.  [default: of a description alone what the model says; "
            "none with --image, --plus or --minus]",
        ),
    ] = "model",
    folder: Annotated[
        str | None,
        typer.Option("--folder", metavar="DIR", help="Only photographs in a folder of this name or path."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="DATE",
            help="Taken (or, where that is not known, changed) then or later: 2019, 2019-05 or 2019-05-31.",
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="DATE", help="Taken before that day.")
    ] = None,
    orientation: Annotated[
        _Shape | None,
        typer.Option(
            "--orientation", metavar="landscape|portrait|square", help="Only photographs of this shape."
        ),
    ] = None,
    min_size: Annotated[
        int | None,
        typer.Option("--min-size", metavar="N", help="Only with N pixels or more along the longer side."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option("--max-size", metavar="N", help="Only with N pixels or fewer along the longer side."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", help="Only files with this in their name; or a pattern: 'img_*.jpg'."
        ),
    ] = None,
    caption: Annotated[
        str | None,
        typer.Option(
            "--caption", metavar="TEXT", help="Only photographs with this in a caption or tag of theirs."
        ),
    ] = None,
    exclude_self: Annotated[
        bool,
        typer.Option("--exclude-self", help="Leave the photograph given by --image out of its own hits."),
    ] = False,
    rerank: Annotated[
        int,
        typer.Option(
            "--rerank",
            metavar="N",
            help="Read the first N photographs again and order them by how regions fit the words.",
        ),
    ] = 0,
    fold: Annotated[
        bool, typer.Option("--fold", help="Of what looks the same list the best alone, and how many more.")
    ] = False,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
    output: Annotated[
        HitFormat,
        typer.Option("--format", "-f", metavar="table|json|jsonl|csv|paths", help="How to print the hits."),
    ] = "table",
    null: Annotated[
        bool,
        typer.Option(
            "-0", "--null", help="With --format paths: end each path with a NUL instead of a line end."
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", parser=typed_path, metavar="FILE", help="Also write the hits as one page with pictures."
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", parser=typed_path, metavar="FILE", help="Also write the hits as one picture."),
    ] = None,
    copy_to: Annotated[
        Path | None,
        typer.Option(
            "--copy-to",
            parser=typed_path,
            metavar="DIR",
            help="Also copy the hits there, best first; what is there already stays and is not copied again.",
        ),
    ] = None,
) -> None:
    """Find photographs by a description or by another photograph.

    Scores are cosines: 1 is the same direction, 0 unrelated. What a description shows scores at least what
    the model says is needed (calibration in sterna model info); that is known of a description alone, so
    with --image, --plus or --minus nothing is left out unless --min-score says so. Weights of --plus and
    --minus are numbers before a colon, 1 where none is given; what names an existing file is an image.
    --rerank is for models that were trained to align regions with words. --fold looks at the best 2,000
    photographs, and calls alike what sterna library duplicates does.

    \b
    Examples:
      sterna search "two dogs running through the snow"
      sterna search --image beach.jpg --exclude-self
      sterna search "a beach" --plus 0.5:sunset --minus people
      sterna search "a birthday cake" -k 50 --folder trips --after 2019 --before 2021-06
      sterna search "mountains" --orientation landscape --min-size 1920 --name 'img_*'
      sterna search "a birthday party" --fold -k 30
      sterna search "a red car" --format paths -0 | xargs -0 ls -l
      sterna search "mountains" --html mountains.html --copy-to mountains
      sterna search "a girl in red throws a ball" --rerank 50 --model aligned-model
    """
    if null and output != "paths":
        raise UsageError("-0 goes with --format paths only")
    html = file_to_write("--html", html) if html is not None else None
    png = file_to_write("--png", png) if png is not None else None
    if html is not None and html == png:
        raise UsageError(f"--html and --png: both name {html}; name two files")
    least = _least_score(min_score)
    if query is not None and _names_no_file(query):
        say(f"{query}: no such file; what these words say is looked for")
    added = [_operand(text) for text in plus or ()]
    taken = [_operand(text) for text in minus or ()]
    from sterna.library import Library

    with Library.open(library, model=model) as opened:
        look = partial(
            opened.search,
            query,
            image=image,
            plus=added,
            minus=taken,
            folder=folder,
            after=after,
            before=before,
            orientation=orientation,
            min_size=min_size,
            max_size=max_size,
            name=name,
            caption=caption,
            exclude_self=exclude_self,
            fold=fold,
        )
        hits = look(k=k, offset=offset, min_score=least, rerank=rerank)
        nearest = look(k=1, min_score=None) if not hits and not offset and least is not None else []
        elsewhere = folder is not None and not hits and not opened.photos(k=1, folder=folder)
        there = [root.path for root in opened.status().roots] if elsewhere else []
        model_name = opened.encoder().name if output == "json" else ""
    title = _title(query, image, plus=plus or (), minus=minus or ())
    print_hits(hits, output=output, null=null, query=title, model=model_name)
    if not hits:
        say(_no_folder(folder, there) if elsewhere else _nothing(least, nearest))
    write_figures(hits, title=title, image=image, html=html, png=png)
    if copy_to is not None:
        from sterna.cli._copy import copy_photos

        say(_copied(copy_photos([hit.path for hit in hits], copy_to), copy_to))


def _names_no_file(query: str) -> bool:
    """Whether what is typed as a sentence looks like the name of a photograph's file, and there is none."""
    if not _SUFFIX.search(query):  # nearly every sentence; what is imported below is slow
        return False
    from sterna.images import PHOTO_SUFFIXES
    from sterna.library import names_a_photo

    return Path(query).suffix.lower() in PHOTO_SUFFIXES and not names_a_photo(query)


def _least_score(text: str) -> float | Literal["model"] | None:
    if text == "none":
        return None
    if text == "model":
        return "model"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--min-score {text}: give a number, such as 0.3, or none") from None


def _no_folder(folder: str | None, there: Sequence[Path]) -> str:
    """What is said where no photograph lies in a folder, and which folders are `there`."""
    nothing = f"nothing that is indexed lies in --folder {folder}"
    if not there:
        return f"{nothing}: the library has no folders; `sterna index DIR` adds one"
    some = ", ".join(str(path) for path in there[:_NAMED])
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"{nothing}; name one of {some}{more}, or a folder in {'it' if len(there) == 1 else 'them'}"


def _copied(counts: Copied, folder: Path) -> str:
    parts = [f"copied {counted(counts.new, 'photograph')} to {folder}"]
    if counts.there:
        parts.append(f"{counted(counts.there, 'was', 'were')} there already")
    if counts.missing:
        parts.append(f"{counted(counts.missing, 'is', 'are')} not there any more")
    return "; ".join(parts)


def _nothing(min_score: float | Literal["model"] | None, nearest: Sequence[Hit]) -> str:
    """What is said where there are no hits; `nearest` is the best of those that a least score left out."""
    if not nearest:
        return "nothing found"
    if min_score == "model":
        return (
            f"nothing here looks like that (the nearest scores {nearest[0].score:.3f}; "
            "--min-score none shows what there is)"
        )
    return f"nothing found with a score of {min_score:g} or more (the nearest scores {nearest[0].score:.3f})"


def _operand(text: str) -> tuple[float, str]:
    """Split `0.5:sunset` into weight and what it weighs; a colon after no number belongs to the text."""
    from sterna.library import names_a_photo

    weight, what = 1.0, text
    before, colon, after = text.partition(":")
    if colon and not names_a_photo(text):
        try:
            number = float(before)
        except ValueError:
            pass  # a colon within a text
        else:
            weight, what = number, after
    if not what.strip():
        raise UsageError(f"{text!r}: give a text or a file after the weight, such as 0.5:sunset")
    return weight, what


def _title(query: str | None, image: Path | None, *, plus: Sequence[str], minus: Sequence[str]) -> str:
    """What was asked, on one line."""
    parts = [query or "", f"like {image.name}" if image is not None else ""]
    parts += [f"+ {text}" for text in plus] + [f"- {text}" for text in minus]
    return " ".join(part for part in parts if part)
