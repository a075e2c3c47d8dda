"""From a library and folders to one `index` run under the library's lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import LibraryError
from sterna.library._catalog import Catalog
from sterna.library._folder import writing
from sterna.library._indexing import run_index
from sterna.library._look import Part
from sterna.library._models import register
from sterna.library._opened import Opened
from sterna.library._roots import check_folder, check_folders, choose_roots, known_roots, resolved
from sterna.library._types import IndexReport, Reporter

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["index_library"]


def index_library(
    opened: Opened,
    roots: Sequence[str | Path],
    *,
    model: str | Path | Encoder | None,
    exclude: Sequence[str],
    report: Reporter,
    wait: float | None,
    follow_links: bool = True,
    parts: Mapping[bytes, Part] | None = None,
    patience: float = 0.0,
) -> IndexReport:
    """Bring folders, or without any the whole library, up to date; see `Library.index`."""
    if not (opened.is_ready if roots else opened.exists):
        if not roots:
            raise LibraryError(
                f"{opened.path}: nothing is indexed yet; name folders of photographs: sterna index DIR"
            )
        for root in roots:
            check_folder(root)
        opened.encoder(None, model)  # nothing is made where it cannot be loaded
    with writing(opened.path, wait=wait):
        catalog = Catalog(opened.path, write=True)
        try:
            check_folders(catalog, roots)
            encoder, spec = opened.encoder(catalog, model)
            taken_in: list[tuple[Path, Path]] = []
            with catalog.transaction():
                if parts is None:
                    chosen, taken_in = choose_roots(
                        catalog, roots, exclude=exclude, follow_links=follow_links
                    )
                else:  # one that has been forgotten meanwhile stays so
                    named = {resolved(root) for root in roots}
                    chosen = [root for root in known_roots(catalog) if root.path in named]
                number = register(catalog, encoder, spec=spec, models=opened.models)
            report_of_run = run_index(
                catalog,
                chosen,
                encoder=encoder,
                model=number,
                report=report,
                parts=parts,
                patience=patience,
            )
            return replace(report_of_run, taken_in=tuple(taken_in))
        finally:
            catalog.close()
