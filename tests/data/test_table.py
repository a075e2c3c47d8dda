from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sterna import errors
from sterna.data import read
from tests.data.writing import by_image, touch, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    touch(tmp_path / "images", ["a.jpg", "b.jpg", "deep/c.jpg"])
    return tmp_path


def test_rows_of_a_csv_file_are_captions(folder: Path) -> None:
    text = 'image,caption,split\na.jpg,"one, two",dev\nb.jpg,"say ""hi""\nthere",test\na.jpg,three,dev\n'
    write(folder / "captions.csv", text)
    for path in (folder, folder / "captions.csv"):
        data = read(path)
        assert data.format == "table"
        assert by_image(data) == {
            "a.jpg": ("dev", ["one, two", "three"]),
            "b.jpg": ("test", ['say "hi"\nthere']),
        }
        assert data.caption_ids == ("a.jpg#0", "b.jpg#0", "a.jpg#1")
        assert data.problems == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("any.tsv", "file\ttext\na.jpg\tone, 2\n"),
        ("any.csv", "\ufefffile_name;sentence\r\na.jpg;one, 2\r\n"),
        ("results.csv", "image_name| comment_number| comment\na.jpg| 0| one, 2\n"),
        ("captions.txt", 'image,caption\na.jpg,"one, 2"\n'),
        ("any.csv", 'Image Path,Caption\nimages/a.jpg,"one, 2"\n'),
    ],
)
def test_usual_names_of_columns_and_separators_are_recognised(folder: Path, name: str, text: str) -> None:
    write(folder / name, text)
    data = read(folder)
    assert (data.paths[0].name, data.captions) == ("a.jpg", ("one, 2",))


def test_columns_can_be_named(folder: Path) -> None:
    write(folder / "x.csv", "wo,was,part,nr\na.jpg,one,dev,7\n")
    with pytest.raises(errors.DataError, match=r"no column holds image.*\(wo, was, part, nr\)"):
        read(folder / "x.csv")
    data = read(folder, columns={"image": "wo", "caption": "was", "split": "part", "caption_id": "nr"})
    assert by_image(data) == {"a.jpg": ("dev", ["one"])}
    assert data.caption_ids == ("7",)


def test_wrong_columns_are_answered_with_the_right_ones(folder: Path) -> None:
    path = write(folder / "x.csv", "image,caption\na.jpg,one\n")
    with pytest.raises(errors.DataError, match=r"no column 'foto' for image; its columns are image, caption"):
        read(path, columns={"image": "foto"})
    with pytest.raises(
        errors.DataError, match=r"'picture' is not something that is read; known: image, caption"
    ):
        read(path, columns={"picture": "image"})
    other = write(folder / "y.csv", "image,words\na.jpg,one\n")
    with pytest.raises(errors.DataError, match=r"no column holds caption.*\(image, words\)"):
        read(other, format="table")


def test_a_column_of_ids_is_the_captions_where_it_differs_in_every_row_and_else_the_images(
    folder: Path,
) -> None:
    path = write(folder / "x.csv", "id,image,caption\n4,a.jpg,one\n5,a.jpg,two\n")
    assert (read(path).image_ids, read(path).caption_ids) == (("a.jpg",), ("4", "5"))
    write(path, "id,image,caption\n4,a.jpg,one\n4,a.jpg,two\n5,b.jpg,three\n")
    assert (read(path).image_ids, read(path).caption_ids) == (("4", "5"), ("4#0", "4#1", "5#0"))
    write(path, "image_id,id,image,caption\nA,4,a.jpg,one\nA,5,a.jpg,two\n")
    assert (read(path).image_ids, read(path).caption_ids) == (("A",), ("4", "5"))


def test_a_row_without_a_caption_adds_its_image_alone(folder: Path) -> None:
    write(folder / "x.csv", "image,caption\na.jpg,\nb.jpg,one\n")
    assert by_image(read(folder)) == {"a.jpg": (None, []), "b.jpg": (None, ["one"])}


def test_one_file_a_split_gives_splits(folder: Path) -> None:
    write(folder / "train.csv", "image,caption\na.jpg,one\n")
    write(folder / "captions_dev.csv", "image,caption\nb.jpg,two\n")
    assert by_image(read(folder)) == {"b.jpg": ("dev", ["two"]), "a.jpg": ("train", ["one"])}
    write(folder / "more.csv", "image,caption\nb.jpg,two\n")
    with pytest.raises(
        errors.DataError, match=r"several tables \(captions_dev\.csv, more\.csv, train\.csv\)"
    ):
        read(folder)


def test_ids_that_restart_in_every_file_lose_nothing(folder: Path) -> None:
    write(folder / "train.csv", "id,image,caption\n1,a.jpg,one\n2,b.jpg,two\n")
    write(folder / "dev.csv", "id,image,caption\n1,deep/c.jpg,three\n2,deep/c.jpg,four\n")
    data = read(folder)
    assert by_image(data) == {
        "deep/c.jpg": ("dev", ["three", "four"]),
        "a.jpg": ("train", ["one"]),
        "b.jpg": ("train", ["two"]),
    }
    assert data.caption_ids == ("dev/1", "dev/2", "train/1", "train/2")
    write(folder / "train.csv", "id,image,caption\n1,a.jpg,one\n1,a.jpg,uno\n2,b.jpg,two\n")
    write(folder / "dev.csv", "id,image,caption\n1,deep/c.jpg,three\n")  # the images', as told by the other
    data = read(folder)
    assert by_image(data) == {
        "dev/1": ("dev", ["three"]),
        "train/1": ("train", ["one", "uno"]),
        "train/2": ("train", ["two"]),
    }
    assert data.caption_ids == ("dev/1#0", "train/1#0", "train/1#1", "train/2#0")
    assert data.problems == ()


def test_ids_that_mean_the_same_in_every_file_stay_as_they_are(folder: Path) -> None:
    write(folder / "train.csv", "image_id,image,caption,caption_id\n1,a.jpg,one,10\n2,b.jpg,two,11\n")
    write(folder / "dev.csv", "image_id,image,caption,caption_id\n1,a.jpg,one,10\n3,deep/c.jpg,three,12\n")
    data = read(folder)
    assert by_image(data) == {"1": ("dev", ["one"]), "3": ("dev", ["three"]), "2": ("train", ["two"])}
    assert data.caption_ids == ("10", "12", "11")
    assert data.problems == (
        "train.csv:2: '1' is in the split 'dev' already and is not put in 'train' too",
        "train.csv:2: the caption's id '10' was used before, at dev.csv:2",
    )


def test_an_image_in_two_files_has_the_captions_of_both(folder: Path) -> None:
    write(folder / "train.csv", "image,caption\na.jpg,one\n./a.jpg,two\n")
    write(folder / "dev.csv", "image,caption\na.jpg,three\nb.jpg,four\n")
    data = read(folder)
    assert by_image(data) == {"a.jpg": ("dev", ["three", "one", "two"]), "b.jpg": ("dev", ["four"])}
    assert data.caption_ids == ("a.jpg#0", "b.jpg#0", "a.jpg#1", "a.jpg#2")
    assert [problem.split(":")[:2] for problem in data.problems] == [["train.csv", "2"], ["train.csv", "3"]]


def test_absolute_paths_give_the_ids_that_relative_ones_do(folder: Path, tmp_path: Path) -> None:
    table = write(folder / "x.csv", "image,caption\na.jpg,one\ndeep/c.jpg,two\nimages/b.jpg,three\n")
    relative = read(table)
    names = [folder / "images/a.jpg", folder / "images/deep/c.jpg", folder / "images/b.jpg"]
    write(table, "image,caption\n" + "".join(f"{name},a caption\n" for name in names))
    absolute = read(table)
    assert absolute.image_ids == ("a.jpg", "deep/c.jpg", "b.jpg")
    assert absolute.caption_ids == ("a.jpg#0", "deep/c.jpg#0", "b.jpg#0")
    assert absolute.paths == relative.paths
    # another photograph of a name that stands for the one in `images` keeps its whole path
    touch(folder, ["a.jpg"])
    write(table, f"image,caption\n{folder / 'a.jpg'},one\n{folder / 'images/a.jpg'},two\n")
    data = read(table)
    assert by_image(data) == {str(folder / "a.jpg"): (None, ["one"]), "a.jpg": (None, ["two"])}
    assert data.paths == (folder / "a.jpg", folder / "images" / "a.jpg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("any.csv", "\nimage,caption\na.jpg,one\n"),
        ("any.csv", "\r\n  \r\nimage,caption\r\na.jpg,one\r\n"),
        ("any.csv", "\ufeff\n,\nimage,caption\na.jpg,one\n"),
        ("any.csv", "\n\nimage;caption\na.jpg;one\n"),
        ("any.tsv", "\rimage\tcaption\ra.jpg\tone\r"),
        ("captions.txt", " \n\nimage,caption\na.jpg,one\n"),
        ("captions.txt", "image,caption\ra.jpg,one\r"),
    ],
)
def test_blank_lines_before_the_names_of_the_columns_are_skipped(folder: Path, name: str, text: str) -> None:
    write(folder / name, text)
    data = read(folder)
    assert (data.format, by_image(data)) == ("table", {"a.jpg": (None, ["one"])})
    assert data.problems == ()


def test_broken_rows_are_named_with_the_line_where_they_begin(folder: Path) -> None:
    rows = [
        "image,caption,split",
        'a.jpg,"two',
        'lines",dev',
        "a.jpg,too few",
        'a.jpg,"quoted" and not,dev',
        ",no image,dev",
        "",
        "gone.jpg,one,dev",
        "a.jpg,one,test",
        "../../secret.jpg,one,dev",
        "/etc/hosts,one,dev",
        'b.jpg,"never closed,dev',
        "b.jpg,swallowed,dev",
    ]
    write(folder / "x.csv", "\n".join(rows) + "\n")
    data = read(folder)
    assert by_image(data) == {"a.jpg": ("dev", ["two\nlines", "one"])}
    assert data.problems == (
        "x.csv:4: has 2 cells where the header has 3",
        "x.csv:5: not a row (',' expected after '\"')",
        "x.csv:12: not a row (unexpected end of data)",
        "x.csv:6: names no photograph",
        "x.csv:9: 'a.jpg' is in the split 'dev' already and is not put in 'test' too",
        "x.csv:8: the photograph 'gone.jpg' is not there",
        "x.csv:10: the photograph '../../secret.jpg' points outside the data's folder",
        "x.csv:11: the photograph '/etc/hosts' points outside the data's folder",
    )


def test_paths_stay_inside_the_folder_of_photographs_that_is_named(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    touch(outside, ["o.jpg"])
    table = write(folder / "sub" / "x.csv", f"image,caption\n{outside / 'o.jpg'},one\n../outside/o.jpg,two\n")
    with pytest.raises(errors.DataError, match="points outside"):
        read(table)
    data = read(table, images=outside)
    assert data.captions == ("one", "two")
    assert data.image_ids == ("o.jpg",)


def test_backslashes_in_paths_are_understood(folder: Path) -> None:
    write(folder / "x.csv", "image,caption\ndeep\\c.jpg,one\n")
    assert read(folder).paths[0].name == "c.jpg"


def test_an_empty_table_is_refused_in_a_sentence(folder: Path) -> None:
    path = write(folder / "x.csv", "")
    with pytest.raises(errors.DataError, match=r"x\.csv:1: no row of column names"):
        read(path, format="table")
    write(path, "image,caption\n")
    with pytest.raises(errors.DataError, match="no usable photograph found"):
        read(path)


def test_parquet_is_read_like_csv(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "image": ["a.jpg", "a.jpg", "b.jpg", None],
            "caption": pyarrow.array(["one", "two", None, "four"]).dictionary_encode(),
            "id": [1, 2, 3, 4],
            "pixels": [b"", b"", b"", b""],
        }
    )
    parquet.write_table(table, folder / "captions.parquet")
    data = read(folder)
    assert by_image(data) == {"a.jpg": (None, ["one", "two"]), "b.jpg": (None, [])}
    assert data.caption_ids == ("1", "2")
    assert data.problems == ("captions.parquet:4: names no photograph",)
    with pytest.raises(errors.DataError, match=r"the column 'pixels' holds binary; text is needed"):
        read(folder, columns={"caption": "pixels"})


def test_a_damaged_parquet_file_is_named(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    path = write(folder / "captions.parquet", "PAR1 no")
    with pytest.raises(errors.DataError, match=r"captions\.parquet: not a readable Parquet file"):
        read(path, format="table")


def test_parquet_without_its_extra_part_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "captions.parquet", "PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.MissingExtraError, match=r"sterna\[parquet\]"):
        read(folder)
