"""A watched library follows its folders: what comes, changes, moves and goes, and what goes wrong meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from sterna.errors import DiskError, LibraryError, MissingExtraError, UsageError
from sterna.files import FileLock
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.library.test_faults import many
from tests.library.test_indexing import names
from tests.library.watching import QUIET, Watching, until


def test_what_changed_while_nobody_watched_is_indexed_first(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        assert [report.new for report in watching.reports] == [3]
        assert watching.notices == [f"watching {colours}"]
    save(colours / "white.png", "white")
    with Watching(library) as watching:  # every folder of the library
        assert [report.new for report in watching.reports] == [1]


def test_a_photograph_is_found_as_soon_as_it_is_there(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    with Watching(library, colours) as watching:
        save(colours / "trips" / "white.png", "white")
        watching.comes_to(new=1)
        assert library.search("white", k=1)[0].path.name == "white.png"  # of the same library, beside it
        save(colours / "gold.png", "gold")
        watching.comes_to(new=2)
    assert sorted(encoder.embedded) == ["blue.png", "gold.png", "green.png", "red.png", "white.png"]


def test_a_photograph_that_changes_and_one_that_goes_are_followed(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        save(colours / "red.png", "white", size=(40, 40))
        watching.comes_to(changed=1)
        (colours / "trips" / "green.png").unlink()
        watching.comes_to(changed=1, removed=1)
    assert names(library) == ["blue.png", "red.png"]


@pytest.mark.parametrize("folder", ["trips/sea", pytest.param("new", marks=pytest.mark.long), "other root"])
def test_a_photograph_that_moves_is_known_by_its_content(
    library: Library, colours: Path, tmp_path: Path, encoder: ColourEncoder, folder: str
) -> None:
    other = tmp_path / "scans"
    save(other / "gold.png", "gold")
    target = other if folder == "other root" else colours / folder
    with Watching(library, colours, other) as watching:
        until(lambda: len(watching.notices) >= 2)
        target.mkdir(exist_ok=True)
        (colours / "red.png").rename(target / "crimson.png")
        watching.comes_to(moved=1)
    assert len(encoder.embedded) == 4
    assert library.search("red", k=1)[0].path == target / "crimson.png"


def test_a_folder_that_is_renamed_moves_its_photographs(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    with Watching(library, colours) as watching:
        (colours / "trips").rename(colours / "travels")
        watching.comes_to(moved=2)
        save(colours / "travels" / "sea" / "white.png", "white")  # what is in it is watched by its new name
        watching.comes_to(moved=2, new=1)
    assert len(encoder.embedded) == 4
    assert library.search("blue", k=1)[0].path == colours / "travels" / "sea" / "blue.png"


def test_a_folder_that_is_removed_and_made_anew_is_watched_anew(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        shutil.rmtree(colours / "trips")
        save(colours / "trips" / "white.png", "white")
        watching.comes_to(new=1, removed=2)
        save(colours / "trips" / "gold.png", "gold")
        watching.comes_to(new=2, removed=2)


@pytest.mark.long
def test_a_folder_full_of_photographs_takes_a_few_runs(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    with Watching(library, colours) as watching:
        for number in range(5):
            for inner in range(100):
                save(colours / "import" / str(number) / f"{inner}.png", (number, inner, 77), size=(8, 8))
        until(lambda: watching.counts() == {"new": 500}, watching.told)
        assert len(watching.reports) < 20
        shutil.move(colours / "import", colours / "trips" / "import")
        watching.comes_to(new=500, moved=500)
    assert library.index().new == 0
    assert library.status().indexed == 503


def slowly(path: Path, data: bytes, *, pieces: int) -> None:
    """Write a file in pieces, as a slow copy does."""
    step = -(-len(data) // pieces)
    with path.open("wb") as file:
        for start in range(0, len(data), step):
            file.write(data[start : start + step])
            file.flush()
            time.sleep(QUIET / 3)


@pytest.mark.long
def test_a_file_that_is_still_being_written_is_waited_for(
    library: Library, colours: Path, tmp_path: Path, encoder: ColourEncoder
) -> None:
    noise = Image.frombytes("RGB", (1900, 1900), os.urandom(1900 * 1900 * 3))
    noise.save(tmp_path / "large.bmp")
    data = (tmp_path / "large.bmp").read_bytes()
    assert len(data) > 10_000_000
    with Watching(library, colours) as watching:
        writer = threading.Thread(target=slowly, args=(colours / "slow.bmp", data), kwargs={"pieces": 25})
        writer.start()
        save(colours / "white.png", "white")  # it does not wait for the other for ever
        until(lambda: watching.counts()["new"] >= 1, watching.told)
        writer.join()
        watching.comes_to(new=2)
    assert encoder.embedded.count("slow.bmp") == 1
    assert {report.failed for report in watching.reports} == {0}


@pytest.mark.long
def test_a_copy_that_pauses_is_no_failure_and_a_broken_file_is_one_in_the_end(
    library: Library, colours: Path
) -> None:
    save(colours.parent / "white.jpg", "white", size=(300, 300))
    data = (colours.parent / "white.jpg").read_bytes()
    with Watching(library, colours, debounce=1.0) as watching:
        (colours / "half.jpg").write_bytes(data[:500])
        (colours / "broken.jpg").write_bytes(b"no photograph")
        time.sleep(2.5)  # long enough to be looked into
        (colours / "half.jpg").write_bytes(data)
        watching.comes_to(new=1, failed=1)
        (failure,) = [failure for report in watching.reports for failure in report.failures]
        assert failure.path == colours / "broken.jpg"
        save(colours / "gold.png", "gold")
        watching.comes_to(new=2, failed=1)  # it is not told of again
        save(colours / "broken.png", "teal").rename(colours / "broken.jpg")
        until(lambda: not library.status().failed)


def test_a_root_that_goes_loses_nothing_and_is_followed_when_it_is_there_again(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    away = colours.with_name("away")
    with Watching(library, colours) as watching:
        until(lambda: f"watching {colours}" in watching.notices, watching.told)
        colours.rename(away)
        until(lambda: f"{colours}: not there now; nothing of it was touched" in watching.notices)
        save(away / "white.png", "white")
        (away / "red.png").unlink()
        assert library.status().indexed == 3
        away.rename(colours)
        until(lambda: f"{colours}: there again" in watching.notices)
        watching.comes_to(new=1, removed=1)
        save(colours / "trips" / "gold.png", "gold")
        watching.comes_to(new=2, removed=1)
    assert len(encoder.embedded) == 5


@pytest.mark.long
def test_a_root_that_is_removed_and_made_again_is_followed(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        until(lambda: f"watching {colours}" in watching.notices, watching.told)
        colours.rename(colours.with_name("bin"))
        shutil.rmtree(colours.with_name("bin"))
        until(lambda: len(watching.notices) == 2, watching.told)
        assert library.status().indexed == 3
        save(colours / "white.png", "white")
        watching.comes_to(new=1, removed=3)
        save(colours / "sea" / "gold.png", "gold")
        watching.comes_to(new=2, removed=3)


def test_hidden_and_excluded_files_are_no_reason_for_a_run(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    (colours / "raw").mkdir()
    (colours / ".cache").mkdir()
    with Watching(library, colours, exclude=["raw", "*.gif"]) as watching:
        for name in ("raw/white.png", ".cache/white.png", ".white.png", "white.gif"):
            save(colours / name, "white")
        (colours / "notes.doc").write_text("no photograph", encoding="utf-8")
        save(colours / "gold.png", "gold")
        watching.comes_to(new=1)
    assert "white" not in "".join(encoder.embedded)


def test_photographs_behind_links_are_followed(library: Library, colours: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere / "teal.png", "teal")
    (colours / "out").symlink_to(elsewhere)
    (colours / ".store").mkdir()
    (colours / "linked").symlink_to(colours / ".store")
    with Watching(library, colours) as watching:
        save(colours / ".store" / "white.png", "white")
        watching.comes_to(new=1)
        assert library.search("white", k=1)[0].path == colours / "linked" / "white.png"
        save(elsewhere / "gold.png", "gold")
        (colours / "again").symlink_to(colours / "trips")  # what is in it is known
        (colours / "rouge.png").symlink_to(colours / "red.png")
        until(lambda: [hit.also for hit in library.search("red", k=1)] == [(colours / "rouge.png",)])
        assert watching.counts() == {"new": 1}
    assert names(library) == ["blue.png", "green.png", "red.png", "white.png"]


def test_names_that_are_no_text_are_followed(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        save(colours / "white.png", "white")
        (colours / "white.png").rename(os.fsdecode(os.fsencode(colours) + b"/wei\xdf.png"))
        watching.comes_to(new=1)
        save(colours / "gold.png", "gold")
        watching.comes_to(new=2)


def test_sentences_beside_photographs_are_followed(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        (colours / "red.txt").write_text("a brick wall", encoding="utf-8")
        until(lambda: library.search("red", k=1)[0].captions == ("a brick wall",), watching.told)
        (colours / "red.txt").unlink()
        until(lambda: library.search("red", k=1)[0].captions == (), watching.told)


def test_folders_are_followed_by_polling(library: Library, colours: Path) -> None:
    with Watching(library, colours, poll=0.2) as watching:
        assert watching.notices == [f"watching {colours}, by a look every 0.2 seconds"]
        save(colours / "trips" / "white.png", "white")
        watching.comes_to(new=1)
        (colours / "red.png").rename(colours / "crimson.png")
        watching.comes_to(new=1, moved=1)


def test_a_network_drive_is_polled_without_being_asked(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._watching.is_network_drive", lambda folder: folder == colours)
    with Watching(library, colours) as watching:
        assert watching.notices == [f"watching {colours}, by a look every 30 seconds"]
    with Watching(library, colours, poll=False) as watching:
        assert watching.notices == [f"watching {colours}"]


def test_a_system_that_watches_no_more_folders_is_told_of_and_polled(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    def full(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", full)
    monkeypatch.setattr("sterna.library._watching._POLL", 0.2)
    with Watching(library, colours) as watching:
        save(colours / "white.png", "white")
        watching.comes_to(new=1)
    assert "OS file watch limit reached" in watching.notices[1]


def test_notices_that_were_lost_are_made_up_for(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._changes._burst", lambda: 20)
    monkeypatch.setattr(
        "sterna.library._watched.Watched.notice", lambda *_, **__: None
    )  # none of those that came is heard
    with Watching(library, colours) as watching:
        many(colours / "import", 100)
        watching.comes_to(new=100)


def test_another_process_that_writes_is_waited_for(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        with FileLock(library.path / "lock", what="the library"):
            save(colours / "white.png", "white")
            until(lambda: len(watching.notices) >= 2, watching.told)
            assert watching.notices[1] == "another process writes to this library; waiting for it"
        watching.comes_to(new=1)
    assert watching.notices[2:] == ["it goes on"]


def test_another_process_that_writes_at_the_start_is_waited_for(library: Library, colours: Path) -> None:
    library.index(colours)
    watching = Watching(library)
    lock = FileLock(library.path / "lock", what="the library")
    lock.__enter__()

    def release() -> None:
        try:
            until(lambda: watching.notices)
        finally:
            lock.__exit__()

    releasing = threading.Thread(target=release)
    releasing.start()
    with watching:
        assert watching.notices[0] == "another process writes to this library; waiting for it"
    releasing.join()


@pytest.mark.long
def test_a_full_disk_is_told_once_and_tried_again(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sterna.library import _segments

    tries: list[int] = []

    def full(*_: object) -> None:
        tries.append(1)
        raise DiskError("vectors: the disk is full; free some space")

    with Watching(library, colours) as watching:
        with monkeypatch.context() as patch:
            patch.setattr(_segments, "_write", full)
            save(colours / "white.png", "white")
            until(lambda: len(tries) == 2, watching.told)
        watching.comes_to(new=1)
    assert watching.notices[1:] == [
        "vectors: the disk is full; free some space; what changed is tried again later", "it goes on",
    ]  # fmt: skip


def test_an_encoder_that_fails_once_ends_no_watching(tmp_path: Path, colours: Path) -> None:
    class Failing(ColourEncoder):
        fails = False

        def stream_images(self, photos):
            if self.fails:
                self.fails = False
                raise RuntimeError("the network broke")
            yield from super().stream_images(photos)

    encoder = Failing()
    with Watching(Library.open(tmp_path / "library", model=encoder), colours) as watching:
        encoder.fails = True
        save(colours / "white.png", "white")
        watching.comes_to(new=1)
    assert "RuntimeError: the network broke" in watching.notices[1]


def test_stopping_keeps_what_was_embedded_and_the_next_watching_goes_on(tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 100)
    stop = threading.Event()
    library = Library.open(tmp_path / "library", model=ColourEncoder(delay=0.02))

    def look(progress: object) -> None:
        if getattr(progress, "new", 0):
            stop.set()

    library.watch(root, stop=stop, progress=look)
    kept = library.status().indexed
    assert 0 < kept < 100
    with Watching(Library.open(library.path, model=ColourEncoder()), root) as watching:
        assert [report.new for report in watching.reports] == [100 - kept]


@pytest.mark.parametrize("poll", [None, 30])
def test_a_watching_that_is_idle_stops_without_waiting_for_anything(
    library: Library, colours: Path, poll: float | None
) -> None:
    with Watching(library, colours, poll=poll) as watching:
        start = time.monotonic()
    assert time.monotonic() - start < 15
    assert len(watching.reports) == 1


def test_what_cannot_begin_is_an_error(library: Library, colours: Path) -> None:
    with pytest.raises(LibraryError, match="nothing is indexed yet"):
        library.watch()
    with pytest.raises(UsageError, match="no such folder"):
        library.watch(colours / "nowhere")
    for wrong in (0, -1, float("nan"), "soon"):
        with pytest.raises(UsageError, match=r"debounce=.*: a number of seconds above 0 is needed"):
            library.watch(colours, debounce=wrong)
        with pytest.raises(UsageError, match=r"poll=.*: a number of seconds above 0 is needed"):
            library.watch(colours, poll=wrong)


def test_a_missing_extra_is_named_before_anything_is_done(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match=r"Watching folders needs .* pip install 'sterna\[watch\]'"):
        library.watch(colours)
    assert not library.path.exists()
    with Watching(library, colours, poll=0.2) as watching:  # which needs none
        save(colours / "white.png", "white")
        watching.comes_to(new=1)


@pytest.mark.long
def test_whatever_is_done_in_a_folder_it_comes_to_what_an_ordinary_run_finds(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)
    folders = ["", "a", "a/b", "a/b/c", "d", "d/a", ".hidden", "thumbs"]

    def act(step: int) -> None:
        folder = colours / chance.choice(folders)
        photos = sorted(path for path in colours.rglob("*.png") if path.is_file())
        photo = chance.choice(photos) if photos else None
        kind = chance.choice(
            ["save", "save", "save", "save", "move", "remove", "rename", "rmtree", "change", "link"]
        )
        if kind == "save" or photo is None:
            save(folder / f"{step}.png", (step, 99, chance.randrange(256)), size=(8, 8))
        elif kind == "change":
            save(photo, (step, 9, 200), size=(9, 9))
        elif kind == "remove":
            photo.unlink()
        elif kind == "move":
            folder.mkdir(parents=True, exist_ok=True)
            photo.rename(folder / f"{step}-moved.png")
        elif kind == "link":
            (colours / f"{step}.png").symlink_to(photo)
        elif folder != colours and folder.is_dir():
            if kind == "rmtree":
                shutil.rmtree(folder)
            else:
                folder.rename(colours / f"{step}-renamed")

    with Watching(library, colours) as watching:
        for step in range(120):
            act(step)
            if step % 4 == 0:
                time.sleep(chance.uniform(0, 3 * QUIET))
        fresh = Library.open(tmp_path / "fresh", model=ColourEncoder())
        fresh.index(colours)

        def known(library: Library) -> list[object]:
            return sorted((hit.path, hit.also, hit.score) for hit in library.search("red", k=1000))

        assert len(known(fresh)) > 10
        until(lambda: known(library) == known(fresh), watching.told)


@pytest.mark.long
def test_only_the_folder_that_changed_is_listed_again(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    plain = os.scandir

    def scandir(path: object = ".") -> object:
        if isinstance(path, bytes):
            listed.append(os.fsdecode(path).removeprefix(f"{colours}/").rstrip("/"))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with Watching(library, colours) as watching:
        watching.rests(listed)
        save(colours / "trips" / "white.png", "white")
        watching.comes_to(new=1)
        assert set(listed) == {"trips"}


@pytest.mark.long
def test_a_library_inside_a_watched_folder_does_not_keep_itself_busy(
    colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sterna.library import _watching

    looks: list[int] = []
    plain = _watching.look
    monkeypatch.setattr(_watching, "look", lambda *a, **k: looks.append(1) or plain(*a, **k))
    library = Library.open(colours / "library", model=ColourEncoder())
    with Watching(library, colours) as watching:
        save(colours / "white.png", "white")
        watching.comes_to(new=1)
        watching.rests(looks)


def test_a_drive_inside_a_root_is_not_let_go(library: Library, colours: Path) -> None:
    with Watching(library, colours) as watching:
        catalog = sqlite3.connect(library.path / "catalog.sqlite")
        with catalog:  # as if it had lain on another drive, which is gone
            catalog.execute("INSERT INTO mounts VALUES (1, CAST('trips' AS BLOB), 1)")
        catalog.close()
        shutil.rmtree(colours / "trips")
        until(lambda: f"{colours / 'trips'}: not there now; nothing of it was touched" in watching.notices)
        (colours / "red.png").unlink()
        watching.comes_to(removed=1)
    assert names(library) == ["blue.png", "green.png"]


def test_a_folder_that_becomes_part_of_one_around_it_is_told_as_that(library: Library, colours: Path) -> None:
    library.index(colours / "trips")
    with Watching(library) as watching:
        library.index(colours)
        until(lambda: f"watching {colours}" in watching.notices, lambda: watching.notices)
        save(colours / "trips" / "white.png", "white")
        watching.comes_to(new=1)
    assert f"{colours / 'trips'}: now part of {colours}" in watching.notices
