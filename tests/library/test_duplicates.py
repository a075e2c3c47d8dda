"""Photographs that look the same: found by their vectors, the best of them first."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna.errors import LibraryError, UsageError
from sterna.library import Hit, Library, Progress
from tests.conftest import draw_photo
from tests.library.fake import ColourEncoder, save


def write(path: Path, image: Image.Image, *, taken_at: datetime | None = None, quality: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken_at is not None:
        exif.get_ifd(0x8769)[0x9003] = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    image.save(path, quality=quality, exif=exif)
    return path


def names(groups: list[tuple[Hit, ...]]) -> list[list[str]]:
    return [[hit.path.name for hit in group] for group in groups]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three photographs; of the first a small and a recompressed copy, of the second a small one."""
    folder = tmp_path / "photos"
    first, second = draw_photo(0), draw_photo(1)
    write(folder / "a.jpg", first)
    write(folder / "a-small.jpg", first.resize((160, 120)))
    write(folder / "a-tiny.jpg", first.resize((80, 60)))
    write(folder / "b-small.jpg", second.resize((160, 120)))
    write(folder / "z.jpg", second)
    write(folder / "other.jpg", draw_photo(2))
    return folder


def test_copies_are_grouped_behind_the_one_of_the_most_pixels(library: Library, root: Path) -> None:
    library.index(root)
    groups = library.duplicates(min_score=0.99)
    assert [(group[0].path.name, {hit.path.name for hit in group[1:]}) for group in groups] == [
        ("a.jpg", {"a-small.jpg", "a-tiny.jpg"}),
        ("z.jpg", {"b-small.jpg"}),
    ]
    best, *others = groups[0]
    assert (best.rank, best.score, best.width, best.height) == (1, 1.0, 320, 240)
    assert [hit.rank for hit in others] == [2, 3]
    assert 1 >= others[0].score >= others[1].score >= 0.99


def test_of_equal_sizes_the_earliest_is_the_best_then_the_largest_file(
    library: Library, tmp_path: Path
) -> None:
    image, other = draw_photo(0), draw_photo(1)
    write(tmp_path / "photos" / "a.jpg", image)  # of today
    write(tmp_path / "photos" / "b.jpg", image, taken_at=datetime(2020, 5, 1), quality=70)
    old = write(tmp_path / "photos" / "c.jpg", image, quality=80)
    os.utime(old, (1e9, 1e9))  # of 2001
    write(tmp_path / "photos" / "m.jpg", other, taken_at=datetime(2020, 5, 1), quality=70)
    write(tmp_path / "photos" / "n.jpg", other, taken_at=datetime(2020, 5, 1), quality=95)
    library.index(tmp_path / "photos")
    groups = library.duplicates(min_score=0.99)
    assert [(group[0].path.name, len(group)) for group in groups] == [("c.jpg", 3), ("n.jpg", 2)]
    assert groups[1][0].taken_at == datetime(2020, 5, 1)


def test_photographs_of_two_moments_are_two_however_alike(library: Library, tmp_path: Path) -> None:
    image = draw_photo(0)
    for second in (1, 2):
        taken_at = datetime(1960, 5, 1, 12, 0, second)
        write(tmp_path / "photos" / f"{second}.jpg", image, taken_at=taken_at)
        write(tmp_path / "photos" / f"{second}-small.jpg", image.resize((160, 120)), taken_at=taken_at)
    library.index(tmp_path / "photos")
    assert names(library.duplicates(min_score=0.99)) == [["1.jpg", "1-small.jpg"], ["2.jpg", "2-small.jpg"]]


def test_the_photographs_are_not_read(library: Library, root: Path) -> None:
    library.index(root)
    for file in root.iterdir():
        file.write_bytes(b"gone")
    assert len(library.duplicates(min_score=0.99)) == 2


def test_equal_copies_are_paths_of_one_photograph_told_of_where_asked(library: Library, root: Path) -> None:
    for name in ("other.jpg", "a-small.jpg"):
        (root / "kept").mkdir(exist_ok=True)
        (root / "kept" / name).write_bytes((root / name).read_bytes())
    library.index(root)
    assert len(library.duplicates(min_score=0.99)) == 2
    groups = library.duplicates(min_score=0.99, copies=True)
    alone = [group for group in groups if len(group) == 1]
    assert len(groups) == 3
    assert [(hit.path, hit.also) for hit in alone[0]] == [
        (root / "kept" / "other.jpg", (root / "other.jpg",))
    ]
    (small,) = [hit for hit in groups[0] if hit.path.name == "a-small.jpg"]
    assert (small.path, small.also) == (root / "a-small.jpg", (root / "kept" / "a-small.jpg",))


def test_a_row_of_photographs_each_like_the_next_is_no_single_group(library: Library, tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "photos" / f"{number:02}.png", (240 - number * 20, number * 20, 60), size=(16, 16))
    encoder = ColourEncoder()
    vectors = encoder.encode_images(sorted((tmp_path / "photos").iterdir()))
    least = float((vectors[:-1] * vectors[1:]).sum(axis=1).min()) - 1e-3
    library.index(tmp_path / "photos")
    groups = library.duplicates(min_score=least)
    assert max(len(group) for group in groups) < 6
    assert all(hit.score >= least for group in groups for hit in group)


def test_what_is_compared_is_told_and_is_this_library_s_model(library: Library, root: Path) -> None:
    library.index(root)
    told: list[Progress] = []
    library.duplicates(progress=told.append)
    assert [(one.phase, one.done, one.total) for one in told] == [("comparing", 6, 6)]
    with pytest.raises(LibraryError, match="no photograph has a vector of the model another"):
        library.duplicates(model=ColourEncoder("another"))


def test_photographs_that_are_gone_are_in_no_group(library: Library, root: Path) -> None:
    library.index(root)
    (root / "b-small.jpg").unlink()
    library.index()
    assert [group[0].path.name for group in library.duplicates(min_score=0.99)] == ["a.jpg"]


def test_an_empty_folder_has_no_duplicates(library: Library, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    library.index(tmp_path / "empty")
    assert library.duplicates(copies=True) == []


@pytest.mark.parametrize("score", [0, -1, 1.5, float("nan"), "0.9", None])
def test_a_least_score_says_how_like(library: Library, score: object) -> None:
    with pytest.raises(UsageError, match="a number above 0 and up to 1 is needed"):
        library.duplicates(min_score=score)


def test_a_library_without_photographs_says_what_to_do(library: Library) -> None:
    with pytest.raises(LibraryError, match="nothing is indexed yet"):
        library.duplicates()


def test_a_vector_that_is_damaged_is_told(library: Library, root: Path) -> None:
    library.index(root)
    library.duplicates()
    (segment,) = (library.path / "vectors").rglob("*.f16")
    rows = np.fromfile(segment, np.float16).reshape(6, -1)
    rows[3] = 7
    segment.write_bytes(rows.tobytes())
    with pytest.raises(LibraryError, match="not of unit length"):
        library.duplicates()
