from __future__ import annotations

from pathlib import Path

import pytest

from sterna import errors
from sterna.data import read
from tests.data.writing import by_image, touch, write


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    folder = tmp_path / "flickr"
    touch(folder / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    rows = [f"{name}.jpg#{k}\t{name} caption {k} ." for name in "abcd" for k in range(2)]
    write(folder / "captions.token.txt", "\n".join(rows) + "\n")
    write(folder / "trainImages.txt", "a.jpg\nb.jpg\n")
    write(folder / "devImages.txt", "c.jpg\n")
    return folder


def test_the_folder_of_flickr8k_is_read_whole(shared: Path) -> None:
    data = read(shared / "data" / "flickr8k")
    assert (data.name, data.format, len(data), len(data.captions)) == ("flickr8k", "flickr", 7091, 35455)
    assert data.split_names == ("dev", "train")
    assert {name: data.splits.count(name) for name in (None, "dev", "train")} == {
        None: 91,
        "dev": 1000,
        "train": 6000,
    }
    assert data.problems == ()
    assert data.image_ids[0] == "1000268201_693b08cb0e.jpg"
    assert data.caption_ids[0] == "1000268201_693b08cb0e.jpg#0"


def test_images_belong_to_the_splits_that_list_them(flickr: Path) -> None:
    data = read(flickr)
    assert by_image(data) == {
        "a.jpg": ("train", ["a caption 0 .", "a caption 1 ."]),
        "b.jpg": ("train", ["b caption 0 .", "b caption 1 ."]),
        "c.jpg": ("dev", ["c caption 0 .", "c caption 1 ."]),
        "d.jpg": (None, ["d caption 0 .", "d caption 1 ."]),
    }
    assert [path.name for path in data.paths] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_a_split_brings_its_captions_and_numbers_their_owners_anew(flickr: Path) -> None:
    part = read(flickr, split="dev")
    assert part.image_ids == ("c.jpg",)
    assert part.caption_ids == ("c.jpg#0", "c.jpg#1")
    assert part.owners.tolist() == [0, 0]
    assert len(read(flickr).split(None)) == 4


def test_an_unknown_split_is_answered_with_the_known_ones(flickr: Path) -> None:
    with pytest.raises(errors.DataError, match=r"no split 'test'; its splits are dev, train"):
        read(flickr, split="test")


def test_several_splits_must_be_chosen_from_and_one_need_not(flickr: Path) -> None:
    with pytest.raises(errors.DataError, match=r"several splits \(dev, train\); name one"):
        read(flickr).one_split()
    (flickr / "trainImages.txt").unlink()
    assert read(flickr).one_split().image_ids == ("c.jpg",)
    (flickr / "devImages.txt").unlink()
    assert len(read(flickr).one_split()) == 4
    with pytest.raises(errors.DataError, match=r"no split 'dev'; it has no splits"):
        read(flickr).one_split("dev")


@pytest.mark.parametrize(
    ("captions", "split_list", "images", "split"),
    [
        ("Flickr8k.token.txt", "Flickr_8k.testImages.txt", "Flicker8k_Dataset", "test"),
        (
            "Flickr8k_text/Flickr8k.token.txt",
            "Flickr8k_text/Flickr_8k.devImages.txt",
            "Flicker8k_Dataset",
            "dev",
        ),
        ("results_20130124.token", "test.txt", "flickr30k-images", "test"),
        ("captions.txt", "heldoutImages.txt", ".", "heldout"),
    ],
)
def test_the_official_names_are_found(
    tmp_path: Path, captions: str, split_list: str, images: str, split: str
) -> None:
    touch(tmp_path / images, ["1.jpg", "2.jpg"])
    write(tmp_path / captions, "1.jpg#0\tone\n2.jpg#0\ttwo\n")
    write(tmp_path / split_list, "1.jpg\n")
    for path in (tmp_path, tmp_path / captions):
        data = read(path)
        assert by_image(data) == {"1.jpg": (split, ["one"]), "2.jpg": (None, ["two"])}


def test_the_lemmas_beside_flickr8ks_captions_are_not_taken_for_captions(tmp_path: Path) -> None:
    touch(tmp_path, ["1.jpg"])
    write(tmp_path / "Flickr8k.token.txt", "1.jpg#0\tdogs ran\n")
    write(tmp_path / "Flickr8k.lemma.token.txt", "1.jpg#0\tdog run\n")
    assert read(tmp_path).captions == ("dogs ran",)


def test_entities_lists_name_images_without_their_ending(tmp_path: Path) -> None:
    touch(tmp_path / "flickr30k-images", ["36979.jpg"])
    write(tmp_path / "results.token", "36979.jpg#0\tone\n")
    write(tmp_path / "val.txt", "36979\n")
    assert read(tmp_path).splits == ("val",)


def test_broken_rows_are_named_with_file_and_line_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["a.jpg", "b.jpg"])
    rows = [
        b"a.jpg#0\tfirst",
        b"",
        b"no tab here",
        b"a.jpg#x\tno number",
        b"a.jpg#1\t   ",
        b"a.jpg#0\tsame id",
        b"b.jpg#0\tgood",
        b"b.jpg#1\tnot \xff text",
        b"gone.jpg#0\tone",
        b"gone.jpg#1\ttwo",
        b"../../etc/passwd#0\tbad",
    ]
    (tmp_path / "captions.token.txt").write_bytes(b"\r\n".join(rows))
    write(tmp_path / "trainImages.txt", "a.jpg\nmissing.jpg\n")
    write(tmp_path / "devImages.txt", "b.jpg\na.jpg\n")
    data = read(tmp_path)
    assert by_image(data) == {"a.jpg": ("dev", ["first"]), "b.jpg": ("dev", ["good"])}
    assert data.problems == (
        "captions.token.txt:3: not a line NAME.jpg#K<TAB>caption",
        "captions.token.txt:4: not a line NAME.jpg#K<TAB>caption",
        "captions.token.txt:5: the caption is empty",
        "captions.token.txt:6: the caption's id 'a.jpg#0' was used before, at captions.token.txt:1",
        "captions.token.txt:8: the caption is not UTF-8 text",
        "trainImages.txt:1: 'a.jpg' is in the split 'dev' already and is not put in 'train' too",
        "captions.token.txt:9: the photograph 'gone.jpg' is not there (2 rows name it)",
        "captions.token.txt:11: the photograph '../../etc/passwd' points outside the data's folder",
        "trainImages.txt:2: the photograph 'missing.jpg' is not there",
    )


def test_photographs_may_lie_elsewhere(flickr: Path, tmp_path: Path) -> None:
    (flickr / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(errors.DataError, match=r"no usable photograph found.*'a\.jpg' is not there"):
        read(flickr)
    data = read(flickr, images=tmp_path / "elsewhere")
    assert len(data) == 4
    assert data.paths[0].parent.name == "elsewhere"


def test_a_name_in_decomposed_letters_finds_its_file_and_has_a_composed_id(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    touch(tmp_path / "images", [decomposed])
    write(tmp_path / "captions.token.txt", f"{composed}#0\tone\n")
    write(tmp_path / "devImages.txt", f"{decomposed}\n")
    data = read(tmp_path)
    assert by_image(data) == {composed: ("dev", ["one"])}
    assert data.paths[0].is_file()


def test_two_caption_files_in_a_folder_must_be_chosen_from(flickr: Path) -> None:
    write(flickr / "other.token", "a.jpg#0\tother\n")
    with pytest.raises(
        errors.DataError, match=r"several caption files \(captions\.token\.txt, other\.token\)"
    ):
        read(flickr)
    assert read(flickr / "other.token").captions == ("other",)


def test_marks_at_the_start_of_a_file_and_utf_16_are_understood(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg"])
    text = "a.jpg#0\tün\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "captions.token.txt").write_bytes(text.encode(encoding))
        data = read(tmp_path)
        assert (data.image_ids, data.captions) == (("a.jpg",), ("ün",))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    touch(tmp_path, ["a.jpg", "b.jpg"])
    write(
        tmp_path / "any.txt",
        f"# of two photographs{end}a.jpg#0\tone\u2028\x0bline{end}{end}b.jpg#0\ttwo{end}",
    )
    write(tmp_path / "devImages.txt", f"a.jpg{end}b.jpg{end}")
    data = read(tmp_path / "any.txt")
    assert by_image(data) == {"a.jpg": ("dev", ["one\u2028\x0bline"]), "b.jpg": ("dev", ["two"])}
    assert data.problems == ("any.txt:1: not a line NAME.jpg#K<TAB>caption",)


@pytest.mark.parametrize("name", ["allImages.txt", "Flickr_8k.allImages.txt", "flickr8k_images.txt"])
def test_a_list_of_all_images_takes_none_out_of_its_split(flickr: Path, name: str) -> None:
    before = by_image(read(flickr))
    write(flickr / name, "a.jpg\nb.jpg\nc.jpg\nd.jpg\n")
    data = read(flickr)
    assert by_image(data) == before
    assert data.problems == ()


def test_a_list_of_all_images_is_a_split_where_it_stands_alone_or_is_called_so(flickr: Path) -> None:
    everything = "a.jpg\nb.jpg\nc.jpg\nd.jpg\n"
    write(flickr / "trainImages.txt", everything)
    assert read(flickr).splits == ("train", "train", "dev", "train")
    for name in ("trainImages.txt", "devImages.txt"):
        (flickr / name).unlink()
    write(flickr / "ourImages.txt", everything)
    assert read(flickr).split_names == ("our",)
    (flickr / "ourImages.txt").rename(flickr / "allImages.txt")
    assert read(flickr).split_names == ()
