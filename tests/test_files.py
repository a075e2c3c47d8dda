"""Files written whole or not at all, and what is said where they cannot be."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sterna.errors import DiskError, ModelError, SettingsError, SternaError
from sterna.files import (
    check_new_folder,
    check_writable,
    new_file,
    new_folder,
    read_json,
    system_reason,
    write_json,
    write_text,
)
from sterna.settings import Settings, load_settings
from sterna.words import counted


def test_a_new_file_and_folder_have_the_mode_that_the_system_gives_new_ones(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
        with new_folder(tmp_path / "folder") as aside:
            (aside / "inside").write_text("text", encoding="utf-8")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "folder")]
    assert modes == [0o640, 0o750]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text"
    assert (tmp_path / "folder/inside").exists()


def test_writing_never_touches_the_mode_of_other_threads_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(mask: int) -> int:
        raise AssertionError(f"umask({mask}) holds for the whole process")

    monkeypatch.setattr(os, "umask", refuse)
    write_text(tmp_path / "file", "text")
    with new_folder(tmp_path / "folder"):
        pass


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")

    def write_half(make: Callable[[Path], AbstractContextManager[Path]], path: Path) -> None:
        with make(path) as aside:
            (aside / "half" if aside.is_dir() else aside).write_text("half", encoding="utf-8")
            raise KeyError

    with pytest.raises(KeyError):
        write_half(new_file, tmp_path / "file")
    with pytest.raises(KeyError):
        write_half(new_folder, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "old"


def test_many_threads_write_one_file_whole(tmp_path: Path) -> None:
    texts = [str(number) * 5000 for number in range(8)]
    threads = [threading.Thread(target=write_text, args=(tmp_path / "file", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_text(encoding="utf-8") in texts
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_names_the_target_and_not_the_hidden_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    write_text(tmp_path / "file", "text")
    targets = {
        tmp_path / "taken": os.strerror(errno.EISDIR),
        tmp_path / "file/inside": os.strerror(errno.EEXIST),
    }
    for target, words in targets.items():
        with pytest.raises(DiskError) as caught:
            write_text(target, "text")
        assert str(caught.value) == f"{target}: cannot be written ({words})"
    with pytest.raises(DiskError) as caught, new_file(tmp_path / "new") as aside:
        aside.unlink()
    assert str(caught.value) == f"{tmp_path / 'new'}: cannot be written ({os.strerror(errno.ENOENT)})"
    with pytest.raises(DiskError) as caught, new_folder(tmp_path / "new") as aside:
        (aside / "no folder" / "file").write_text("text", encoding="utf-8")
    assert str(caught.value) == f"{tmp_path / 'new'}: cannot be written ({os.strerror(errno.ENOENT)})"


def test_an_error_about_another_file_is_not_taken_for_the_targets(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), new_file(tmp_path / "new"):
        (tmp_path / "other").read_text(encoding="utf-8")
    assert not list(tmp_path.iterdir())


def test_whether_something_can_be_written_is_known_beforehand_and_leaves_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "text")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new" / "folders" / "file")
    check_new_folder(tmp_path / "new" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for check in (check_writable, check_new_folder):
        with pytest.raises(DiskError) as caught:
            check(tmp_path / "file" / "inside")
        assert str(caught.value).startswith(f"{tmp_path / 'file' / 'inside'}: cannot be written (")
    with pytest.raises(SternaError, match="already exists"):
        check_new_folder(tmp_path)


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    for make in (new_file, new_folder):
        with pytest.raises(DiskError) as caught, make(tmp_path / "new"):
            raise OSError(errno.ENOSPC, "No space left on device")
        advice = "free some space and run the command again"
        assert str(caught.value) == f"{tmp_path / 'new'}: the disk is full; {advice}"


def test_a_folder_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    with (
        pytest.raises(SternaError, match="already exists; name a folder that does not"),
        new_folder(tmp_path),
    ):
        pass


def test_a_long_name_of_any_script_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("写" * 80)  # 240 bytes, where 255 are allowed
    write_text(path, "text")
    assert path.read_text(encoding="utf-8") == "text"


def test_json_that_cannot_be_read_is_one_sentence_of_the_class_that_is_asked_for(tmp_path: Path) -> None:
    write_json(tmp_path / "good", {"ü": [1, None]})
    assert read_json(tmp_path / "good") == {"ü": [1, None]}
    (tmp_path / "bad").write_text("{", encoding="utf-8")
    (tmp_path / "deep").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name, words in {
        "gone": "no such file",
        "": "a folder, not a file",
        "good/inside": "no such file",
        "bad": "not valid JSON (",
        "deep": "not valid JSON (",
        "bytes": "not valid JSON (",
    }.items():
        with pytest.raises(ModelError) as caught:
            read_json(tmp_path / name, error=ModelError)
        assert str(caught.value).startswith(f"{tmp_path / name}: {words}")
        assert "\n" not in str(caught.value)


def test_settings_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Settings, tmp_path)
    assert str(caught.value) == f"{tmp_path}: a folder, not a file"


def test_what_the_system_refuses_has_one_wording() -> None:
    said = {
        number: system_reason(OSError(number, os.strerror(number))) for number in (errno.EACCES, errno.EIO)
    }
    assert said == {
        errno.EACCES: "you have no permission to read it",
        errno.EIO: "the drive reports an error",
    }
    other = OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    assert system_reason(other) == f"the system refuses ({os.strerror(errno.ENXIO)})"


def test_a_short_write_of_numpy_is_a_full_disk(tmp_path: Path) -> None:
    def write() -> None:
        with new_file(tmp_path / "values.npy"):
            raise OSError("4466688 requested and 3467200 written")

    with pytest.raises(DiskError, match=r"values\.npy: the disk is full"):
        write()


def test_what_a_killed_process_left_beside_a_folder_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    program = "\n".join(
        [
            "import sys",
            "from pathlib import Path",
            "from sterna.files import new_folder",
            "with new_folder(Path(sys.argv[1])) as aside:",
            "    (aside / 'half').write_text('half')",
            "    print('written', flush=True)",
            "    sys.stdin.read()",
        ]
    )
    for name in (".model.notes.tmp", ".model.0123456789ab.tmp.d", ".other.0123456789ab.tmp"):
        (tmp_path / name).mkdir()  # of others
    others = set(tmp_path.iterdir())
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path / "model"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
    assert len(set(tmp_path.iterdir()) - others) == 2
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    with new_folder(tmp_path / "model"):
        assert len(set(tmp_path.iterdir()) - others) == 2  # the living one's and our own
    (tmp_path / "model").rmdir()
    writers[1].communicate(timeout=60)
    assert writers[1].returncode == 0
    assert set(tmp_path.iterdir()) - others == {tmp_path / "model"}
    assert (tmp_path / "model" / "half").is_file()


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("photograph",), "0 photographs"),
        (1, ("photograph",), "1 photograph"),
        (12_345, ("photograph",), "12,345 photographs"),
        (1, ("query", "queries"), "1 query"),
        (2, ("query", "queries"), "2 queries"),
    ],
)
def test_one_of_a_thing_is_told_as_one(number: int, words: tuple[str, ...], told: str) -> None:
    assert counted(number, *words) == told
