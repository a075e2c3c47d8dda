"""What a store of features holds, for `sterna features show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.cli._output import bold, number, print_json, print_table, size
from sterna.errors import StoreError
from sterna.words import printable

if TYPE_CHECKING:
    from sterna.features import FeatureStore

__all__ = ["show_store"]


def show_store(path: Path, *, verify: bool, output: str) -> None:
    """Print what the stores at `path`, or in the folder of features that it is, hold.

    Raises `StoreError` where there is none, or where one is damaged.
    """
    answers = []
    for store in _stores(path):
        if verify:
            store.verify()
        answers.append({**_described(store), "verified": True if verify else None})
    if output == "json":
        print_json({"schema": 1, "path": str(path), "stores": answers})
        return
    for place, answer in enumerate(answers):
        if place:
            print()
        _print(answer)


def _stores(path: Path) -> Sequence[FeatureStore]:
    from sterna.features import FeatureStore

    if (path / "manifest.json").is_file():
        return [FeatureStore.open(path)]
    inner = [path / name for name in ("images", "captions") if (path / name / "manifest.json").is_file()]
    if not inner:
        raise StoreError(
            f"{path}: is no feature store (no manifest.json in it, nor in images or captions); "
            "`sterna extract` and `sterna features import` make one"
        )
    return [FeatureStore.open(folder) for folder in inner]


def _described(store: FeatureStore) -> dict[str, Any]:
    columns = []
    for name, spec in store.columns.items():
        items = [place for place, has in enumerate(store.has(name)) if has]
        lengths = store.lengths(name, items)
        columns.append(
            {
                "name": name,
                "holds": str(spec),
                "items": len(items),
                "rows": int(lengths.sum()),
                "least": int(lengths.min(initial=0) if not items else lengths.min()),
                "most": int(lengths.max(initial=0)),
            }
        )
    files = [file for file in (store.path / "parts").rglob("*") if file.is_file()]
    return {
        "path": str(store.path),
        "items": len(store),
        "parts": len(list((store.path / "parts").glob("[!.]*"))),
        "bytes": sum(file.stat().st_size for file in files),
        "columns": columns,
        "meta": store.meta,
    }


def _print(answer: dict[str, Any]) -> None:
    meta = answer["meta"]
    print(bold(printable(answer["path"])))
    backbone = meta.get("backbone", "unknown origin")
    made = "imported" if backbone == "imported" else f"of {printable(backbone)}"
    counted = f"{number(answer['items'])} {printable(meta.get('kind', 'items'))}, {made}"
    held = f"{size(answer['bytes'])} in {number(answer['parts'])} parts"
    print(f"{counted}; {held}" + ("; verified" if answer["verified"] else ""))
    for key in ("dtype", "dim", "fit", "size", "regions", "max_tokens", "fingerprint"):
        if meta.get(key) is not None:
            print(f"{key}: {printable(meta[key])}")
    for source in meta.get("imported", []):
        print(f"imported: {printable(source.get('source'))} ({printable(source.get('format'))})")
    rows = [
        (
            column["name"],
            column["holds"],
            number(column["items"]),
            number(column["rows"]),
            f"{column['least']}-{column['most']}" if column["least"] < column["most"] else column["most"],
        )
        for column in answer["columns"]
    ]
    print_table(("column", "holds", "items", "rows", "an item"), rows, right=(2, 3, 4))
