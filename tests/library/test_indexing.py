"""What one `index` run after another makes of a folder that changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sterna.errors import LibraryError, LockedError, UsageError
from sterna.files import FileLock
from sterna.library import IndexReport, Library, Progress
from tests.library.fake import ColourEncoder, save


def counts(report: IndexReport) -> dict[str, int]:
    """What a report counts, without what it counts none of."""
    told = report.as_json()
    names = ("new", "changed", "moved", "removed", "failed", "offline")
    return {name: told[name] for name in names if told[name]}


def names(library: Library, query: str = "red", **options: object) -> list[str]:
    return sorted(hit.path.name for hit in library.search(query, k=100, **options))


def test_a_library_that_is_not_there_has_a_status_and_is_not_made_by_it(library: Library) -> None:
    assert library.status().as_json() == {
        "schema": 1, "roots": [], "indexed": 0, "stale": 0, "failed": [], "models": [], "bytes": 0,
    }  # fmt: skip
    with pytest.raises(LibraryError, match="nothing is indexed yet; run `sterna index DIR`"):
        library.search("red")
    with pytest.raises(LibraryError, match="nothing is indexed yet; name folders"):
        library.index()
    assert not library.path.exists()


def test_the_report_and_the_status_are_the_documented_json(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    report = library.index(colours).as_json()
    assert report.pop("seconds") >= 0
    assert report == {
        "schema": 1, "new": 3, "changed": 0, "moved": 0, "removed": 0, "failed": 0, "offline": 0,
        "unlisted": [], "left_out": [], "taken_in": [],
    }  # fmt: skip
    status = library.status().as_json()
    assert status.pop("bytes") > 0
    model = status.pop("models")[0]
    assert (model["name"], model["photos"], model["stale"], model["dim"]) == ("colours", 3, 0, encoder.dim)
    assert status == {
        "schema": 1,
        "roots": [{"path": str(colours), "online": True, "photos": 3}],
        "indexed": 3,
        "stale": 0,
        "failed": [],
    }


def test_nothing_is_embedded_twice(library: Library, colours: Path, encoder: ColourEncoder) -> None:
    assert counts(library.index(colours)) == {"new": 3}
    assert counts(library.index(colours)) == {}
    assert counts(library.index()) == {}
    os.utime(colours / "red.png", (1, 1))
    assert counts(library.index()) == {}
    assert sorted(encoder.embedded) == ["blue.png", "green.png", "red.png"]


def test_an_unchanged_file_is_not_even_opened(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in colours.rglob("*.png"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    library.index(colours)
    opened: list[object] = []
    plain = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(path) or plain(path, *rest, **more)
    )
    library.index()
    assert not [path for path in opened if str(path).endswith(".png")]


def test_a_file_as_young_as_its_drive_s_clock_is_looked_at_again(library: Library, colours: Path) -> None:
    path = save(colours / "one.bmp", "navy")
    library.index(colours)
    before = path.stat()
    save(path, "teal")  # another content of the same size, within the same tick
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert counts(library.index()) == {"changed": 1}


def test_new_changed_moved_removed_and_duplicate_files_are_told_apart(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    library.index(colours)
    encoder.embedded.clear()
    (colours / "trips" / "green.png").rename(colours / "moved.png")
    save(colours / "red.png", "maroon")
    (colours / "trips" / "sea" / "blue.png").unlink()
    save(colours / "new.png", "white")
    shutil.copy(colours / "new.png", colours / "copy.png")
    assert counts(library.index()) == {"new": 1, "changed": 1, "moved": 1, "removed": 1}
    assert sorted(encoder.embedded) in (["copy.png", "red.png"], ["new.png", "red.png"])
    assert names(library) == ["copy.png", "moved.png", "red.png"]
    (hit,) = [hit for hit in library.search("white") if hit.path.name == "copy.png"]
    assert hit.also == (colours / "new.png",)
    assert library.status().indexed == 3


def test_two_files_that_swap_their_names_are_not_embedded_again(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    library.index(colours)
    encoder.embedded.clear()
    red, green = colours / "red.png", colours / "trips" / "green.png"
    red.rename(colours / "aside")
    green.rename(red)
    (colours / "aside").rename(green)
    assert counts(library.index()) == {"changed": 2}
    assert encoder.embedded == []
    assert library.search("red")[0].path == green
    assert library.status().indexed == 3


def test_a_whole_folder_that_moves_is_not_embedded_again(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    library.index(colours)
    (colours / "trips").rename(colours / "travels")
    assert counts(library.index()) == {"moved": 2}
    assert len(encoder.embedded) == 3
    assert library.search("lime")[0].path == colours / "travels" / "green.png"


def test_a_photograph_leaves_with_its_last_path(library: Library, colours: Path) -> None:
    shutil.copy(colours / "red.png", colours / "twin.png")
    assert counts(library.index(colours)) == {"new": 3}
    (colours / "red.png").unlink()
    assert counts(library.index()) == {"removed": 1}
    assert "twin.png" in names(library)
    (colours / "twin.png").unlink()
    assert counts(library.index()) == {"removed": 1}
    assert names(library) == ["blue.png", "green.png"]
    assert library.status().indexed == 2


def test_an_absent_root_deletes_nothing_and_is_still_found(
    library: Library, colours: Path, tmp_path: Path, encoder: ColourEncoder
) -> None:
    other = save(tmp_path / "scans" / "white.png", "white").parent
    library.index(colours, other)
    colours.rename(tmp_path / "elsewhere")
    report = library.index()
    assert (counts(report), report.offline_roots) == ({"offline": 1}, (colours,))
    assert {root.path.name: root.online for root in library.status().roots} == {
        "photos": False,
        "scans": True,
    }
    hit = library.search("red")[0]
    assert (hit.path, hit.online, hit.away) == (colours / "red.png", False, colours)
    assert library.status().indexed == 4
    # at its new name nothing is embedded again, and what is there is preferred
    assert counts(library.index(tmp_path / "elsewhere")) == {}
    assert len(encoder.embedded) == 4
    hit = library.search("red")[0]
    assert (hit.path, hit.online) == (tmp_path / "elsewhere" / "red.png", True)
    (tmp_path / "elsewhere").rename(colours)
    assert counts(library.index(colours)) == {}


def test_an_empty_mount_point_is_an_absent_root_and_an_emptied_folder_is_not(
    library: Library, colours: Path
) -> None:
    library.index(colours)
    shutil.rmtree(colours)
    colours.mkdir()
    with library._opened.catalog().transaction():
        library._opened.catalog().run("UPDATE roots SET device = 1")
    assert counts(library.index()) == {"offline": 1}
    assert library.status().indexed == 3
    with library._opened.catalog().transaction():
        library._opened.catalog().run("UPDATE roots SET device = ?", (colours.stat().st_dev,))
    assert counts(library.index()) == {"removed": 3}


def test_hidden_and_thumbnail_folders_and_excluded_names_are_left_out(
    library: Library, colours: Path
) -> None:
    for where in (".git", ".thumbnails", "@eaDir", "Thumbs", "__MACOSX", "$RECYCLE.BIN", "lost+found"):
        save(colours / where / "thumb.png", "gray")
    save(colours / ".hidden.png", "gray")
    save(colours / "raw" / "one.png", "navy")
    save(colours / "two_small.png", "teal")
    assert counts(library.index(colours, exclude=["raw", "*_small.*"])) == {"new": 3}
    assert counts(library.index()) == {}  # they are remembered
    assert counts(library.index(colours, exclude=["trips/*"])) == {"new": 2, "removed": 2}
    assert counts(library.index(colours, exclude=[""])) == {"new": 2}


def test_folders_within_folders_become_one_root(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    raw = colours / "trips" / os.fsdecode(b"caf\xe9.png")
    save(colours / "trips" / "x.png", "gold").rename(raw)
    assert counts(library.index(colours / "trips")) == {"new": 3}
    assert counts(library.index(colours)) == {"new": 1}
    assert [root.path for root in library.status().roots] == [colours]
    assert counts(library.index(colours / "trips")) == {}
    assert len(encoder.embedded) == 4
    assert library.status().indexed == 4
    assert library.search("gold")[0].path == raw


def test_a_folder_around_an_absent_root_is_refused(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    outer = tmp_path.parent / f"{tmp_path.name}-outer"
    tmp_path.rename(outer)
    tmp_path.mkdir()
    (outer / "library").rename(tmp_path / "library")
    with pytest.raises(LibraryError, match="indexed by itself and not there now"):
        library.index(tmp_path)
    assert library.status().indexed == 3


def test_what_is_no_folder_is_refused_before_anything_is_made(library: Library, colours: Path) -> None:
    with pytest.raises(UsageError, match="a file, not a folder"):
        library.index(colours / "red.png")
    with pytest.raises(UsageError, match="no such folder"):
        library.index(colours / "nowhere")
    assert not library.path.exists()


def test_another_model_makes_vectors_of_its_own(library: Library, colours: Path) -> None:
    library.index(colours)
    other = ColourEncoder("inverted", sign=-1.0)
    with pytest.raises(LibraryError, match="no photograph has a vector of the model inverted"):
        library.search("red", model=other)
    assert counts(library.index(model=other)) == {"new": 3}
    save(colours / "white.png", "white")
    assert counts(library.index()) == {"new": 1}
    models = {model.name: model for model in library.status().models}
    assert (models["colours"].photos, models["colours"].stale, models["colours"].default) == (4, 0, True)
    assert (models["inverted"].photos, models["inverted"].stale, models["inverted"].default) == (3, 1, False)
    assert library.search("red")[0].path.name == "red.png"
    assert library.search("red", model=other)[0].path.name == "red.png"
    assert counts(library.index(model=other)) == {"new": 1}


def test_a_model_that_became_another_under_its_name_makes_the_library_stale(
    tmp_path: Path, colours: Path, encoder: ColourEncoder
) -> None:
    Library.open(tmp_path / "library", model=encoder).index(colours)
    newer = ColourEncoder()
    newer.fingerprint = "1" * 64
    library = Library.open(tmp_path / "library", model=newer)
    status = library.status()
    assert (status.indexed, status.stale) == (0, 3)
    with pytest.raises(LibraryError, match="as it is now; run `sterna index`"):
        library.search("red")
    assert counts(library.index()) == {"new": 3}
    assert (library.status().indexed, library.status().stale) == (3, 0)


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(tmp_path: Path, colours: Path) -> None:
    class Meddler(ColourEncoder):
        def stream_images(self, photos):
            for answer in super().stream_images(photos):
                if self.embedded[-1] == "red.png" and not self.meddled:
                    self.meddled = True
                    save(colours / "red.png", "maroon", size=(40, 40))
                yield answer

        meddled = False

    shutil.copy(colours / "red.png", colours / "trips" / "twin.png")
    library = Library.open(tmp_path / "library", model=Meddler())
    first = library.index(colours)
    assert first.new == 3  # green, blue, and red through its twin
    assert library.status().indexed == 3
    assert counts(library.index()) == {"new": 1}


def test_a_run_tells_the_failures_of_its_own_folders(library: Library, colours: Path, tmp_path: Path) -> None:
    other = tmp_path / "scans"
    other.mkdir()
    for folder in (colours, other):
        (folder / "broken.jpg").write_bytes(b"no photograph of " + bytes(folder))
    library.index(other)
    for report, folder in ((library.index(colours), colours), (library.index(other), other)):
        assert report.failed == 1
        assert [failure.path for failure in report.failures] == [folder / "broken.jpg"]
    assert library.index().failures == library.status().failed
    assert len(library.status().failed) == 2


def test_progress_is_told_with_counts_and_time_left(library: Library, colours: Path) -> None:
    told: list[Progress] = []
    library.index(colours, progress=told.append)
    assert (told[-1].phase, told[-1].done, told[-1].total, told[-1].new) == ("embedding", 3, 3, 3)
    assert told[-1].rate > 0
    assert told[-1].seconds_left == 0


def test_stopping_keeps_what_was_made(tmp_path: Path, photos: Path) -> None:
    class Stopped(ColourEncoder):
        def stream_images(self, photos):
            for number, answer in enumerate(super().stream_images(photos)):
                if number == 5:
                    raise KeyboardInterrupt
                yield answer

    library = Library.open(tmp_path / "library", model=Stopped())
    with pytest.raises(KeyboardInterrupt):
        library.index(photos)
    assert library.status().indexed == 5
    assert counts(Library.open(tmp_path / "library", model=ColourEncoder()).index()) == {"new": 7}


def test_a_second_process_is_told_that_one_is_writing(library: Library, colours: Path) -> None:
    library.index(colours)
    with FileLock(library.path / "lock", what="it"):
        with pytest.raises(
            LockedError, match=r"written by another process; wait for it \(sterna index --wait"
        ):
            library.index()
        assert library.search("red")
    assert counts(library.index(wait=None)) == {}


def test_sentences_inside_and_beside_photographs_are_known(library: Library, colours: Path) -> None:
    (colours / "red.txt").write_text("a red wall\n\nred everywhere\n", encoding="utf-8")
    (colours / "trips" / "green.png.txt").write_bytes(b"caf\xe9 lime")
    (colours / "notes.txt").write_text("not a caption", encoding="utf-8")
    library.index(colours)
    assert library.search("red")[0].captions == ("a red wall", "red everywhere")
    assert {hit.caption for hit in library.captions(colours / "red.png")} == {
        "a red wall", "red everywhere", "caf\ufffd lime",
    }  # fmt: skip
    best = library.captions(colours / "trips" / "green.png")[0]
    assert (best.caption, best.path) == ("caf\ufffd lime", colours / "trips" / "green.png")
    (colours / "red.txt").unlink()
    library.index()
    assert library.search("red")[0].captions == ()


def test_the_room_of_removed_photographs_is_given_back(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._tidy._WORTH", 2)
    library.index(colours)
    assert names(library) == ["blue.png", "green.png", "red.png"]
    (before,) = (library.path / "vectors").rglob("*.f16")
    size = before.stat().st_size
    shutil.rmtree(colours / "trips")
    assert counts(library.index()) == {"removed": 2}
    (after,) = (library.path / "vectors").rglob("*.f16")
    assert (after.name, after.stat().st_size) == ("000002.f16", size // 3)
    assert names(library) == ["red.png"]
    save(colours / "white.png", "white")
    assert counts(library.index()) == {"new": 1}
    assert library.search("red")[0].path.name == "red.png"
    assert library.search("white")[0].path.name == "white.png"


def test_vectors_of_weights_that_a_name_no_longer_means_leave(
    tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = ColourEncoder()
    monkeypatch.setattr("sterna.encoders.load", lambda spec: shipped)
    Library.open(tmp_path / "library").index(colours)
    shipped = ColourEncoder("newer")
    library = Library.open(tmp_path / "library")
    assert (library.status().indexed, library.status().stale) == (0, 3)
    assert counts(library.index()) == {"new": 3}
    assert [(model.name, model.photos, model.default) for model in library.status().models] == [
        ("newer", 3, True)
    ]
    assert len(list((tmp_path / "library" / "vectors").rglob("*.f16"))) == 1
    assert names(library) == ["blue.png", "green.png", "red.png"]
