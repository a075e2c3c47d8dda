"""Every format gives back what was written in it."""

from __future__ import annotations

import csv
import json
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sterna.data import CaptionedImages, read
from sterna.errors import SternaError
from tests.data.writing import touch, write


@dataclass(frozen=True)
class Record:
    name: str
    captions: tuple[str, ...]
    split: str | None


_LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters='/\\:*?"<>|')
_NAMES = st.text(_LETTERS, max_size=12).map(lambda text: unicodedata.normalize("NFC", f"n{text}.jpg"))
_SENTENCES = st.text(st.characters(exclude_categories=("Cs", "Cc"))).map(str.strip).filter(bool)
_LINES = (
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0")).map(str.strip).filter(bool)
)


def _records(sentences: st.SearchStrategy[str], *, fewest: int = 0) -> st.SearchStrategy[list[Record]]:
    captions = st.lists(sentences, min_size=fewest, max_size=4).map(tuple)
    record = st.builds(Record, _NAMES, captions, st.sampled_from([None, "train", "dev"]))
    return st.lists(record, min_size=1, max_size=6, unique_by=lambda record: record.name)


def _write_flickr(folder: Path, records: list[Record]) -> None:
    rows = [f"{record.name}#{k}\t{text}\n" for record in records for k, text in enumerate(record.captions)]
    write(folder / "captions.token.txt", "".join(rows))
    for split in ("train", "dev"):
        write(folder / f"{split}Images.txt", "".join(f"{r.name}\n" for r in records if r.split == split))


def _write_karpathy(folder: Path, records: list[Record]) -> None:
    images = [
        {"filename": r.name, "split": r.split, "sentences": [{"raw": text} for text in r.captions]}
        for r in records
    ]
    (folder / "dataset_x.json").write_text(json.dumps({"images": images}))


def _write_coco(folder: Path, records: list[Record]) -> None:
    for split in (None, "train", "dev"):
        part = [record for record in records if record.split == split]
        content = {
            "images": [{"id": record.name, "file_name": record.name} for record in part],
            "annotations": [
                {"id": f"{record.name}#{k}", "image_id": record.name, "caption": text}
                for record in part
                for k, text in enumerate(record.captions)
            ],
        }
        (folder / ("captions.json" if split is None else f"captions_{split}.json")).write_text(
            json.dumps(content)
        )


def _rows(records: list[Record]) -> list[dict[str, str | None]]:
    return [
        {"image": record.name, "caption": text, "split": record.split}
        for record in records
        for text in record.captions or ("",)
    ]


def _write_delimited(folder: Path, records: list[Record], *, name: str, delimiter: str) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", "caption", "split"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(_rows(records))


def _write_csv(folder: Path, records: list[Record]) -> None:
    _write_delimited(folder, records, name="captions.csv", delimiter=",")


def _write_tsv(folder: Path, records: list[Record]) -> None:
    _write_delimited(folder, records, name="captions.tsv", delimiter="\t")


def _write_parquet(folder: Path, records: list[Record]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text = pyarrow.string()
    schema = pyarrow.schema([("image", text), ("caption", text), ("split", text)])
    parquet.write_table(pyarrow.Table.from_pylist(_rows(records), schema=schema), folder / "captions.parquet")


def _read_back(writer: Callable[[Path, list[Record]], None], records: list[Record]) -> CaptionedImages:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        touch(folder / "images", [record.name for record in records])
        writer(folder, records)
        data = read(folder)
    assert data.problems == ()
    return data


def _expect(data: CaptionedImages, records: list[Record]) -> None:
    found = {
        image: Record(
            image, tuple(c for c, o in zip(data.captions, data.owners, strict=True) if o == place), split
        )
        for place, (image, split) in enumerate(zip(data.image_ids, data.splits, strict=True))
    }
    assert found == {record.name: record for record in records}
    assert data.caption_ids == tuple(
        f"{data.image_ids[owner]}#{list(data.owners[:c]).count(owner)}" for c, owner in enumerate(data.owners)
    )


_few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("writer", [_write_karpathy, _write_coco])
@_few
@given(records=_records(_LINES))
def test_json_gives_back_what_was_written(
    writer: Callable[[Path, list[Record]], None], records: list[Record]
) -> None:
    _expect(_read_back(writer, records), records)


@pytest.mark.parametrize("writer", [_write_csv, _write_tsv, _write_parquet])
@_few
@given(records=_records(_LINES))
def test_tables_give_back_what_was_written(
    writer: Callable[[Path, list[Record]], None], records: list[Record]
) -> None:
    _expect(_read_back(writer, records), records)


@_few
@given(records=_records(_SENTENCES, fewest=1))
def test_flickrs_layout_gives_back_what_was_written(records: list[Record]) -> None:
    _expect(_read_back(_write_flickr, records), records)


@_few
@given(records=_records(_SENTENCES))
def test_a_plain_folder_gives_back_what_was_written(records: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for record in records:
            touch(Path(name), [record.name])
            write(Path(name) / f"{record.name}.txt", "\n".join(record.captions))
        data = read(name)
    plain = [Record(record.name, record.captions, None) for record in records]
    _expect(data, plain)


@_few
@given(records=_records(_SENTENCES, fewest=1), cut=st.floats(0, 1), noise=st.binary(max_size=8))
def test_a_damaged_file_is_read_or_refused_and_never_breaks(
    records: list[Record], cut: float, noise: bytes
) -> None:
    for writer, name in (
        (_write_flickr, "captions.token.txt"),
        (_write_csv, "captions.csv"),
        (_write_karpathy, "dataset_x.json"),
    ):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            touch(folder / "images", [record.name for record in records])
            writer(folder, records)
            content = (folder / name).read_bytes()
            middle = int(cut * len(content))
            (folder / name).write_bytes(content[:middle] + noise + content[middle + len(noise) :])
            try:
                data = read(folder / name)
            except SternaError:
                continue
            assert len(data.captions) == len(data.owners) == len(data.caption_ids)
