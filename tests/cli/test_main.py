"""Exit codes and the one sentence on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sterna import __version__, library
from sterna.errors import DiskError, LibraryError, StoppedError, UsageError
from tests.cli.conftest import Sterna


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(library.Library, "open", refuse)


def test_the_version_is_printed(sterna: Sterna) -> None:
    outcome = sterna("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"sterna {__version__}\n", "")


def test_no_command_at_all_prints_the_help(sterna: Sterna) -> None:
    outcome = sterna()
    assert outcome.code == 0
    assert "sterna index ~/Pictures" in outcome.out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["captoin"], "sterna: no such command 'captoin'. Did you mean 'caption'?; see `sterna --help`\n"),
        (["search", "-k", "0"], "sterna: -k 0: at least 1 is needed; see `sterna search --help`\n"),
        (["search", "--limit=x"], "sterna: --limit x: a whole number is needed; see"),
        (
            ["search", "x", "--min-score", "nan"],
            "sterna: --min-score nan: a finite number is needed, or none",
        ),
        (["search", "--format", "xml", "a dog"], "sterna search --help"),
        (["search", "a dog", "-0"], "sterna: -0 goes with --format paths only\n"),
        (["caption"], "PHOTO"),
        (["extract", "--data", ".", "--out", "x", "--shard", "3/2"], "1 <= I <= N"),
        (["eval", "--data", ".", "--columns", "image"], "NAME=COLUMN"),
        (["train", "--out", "run"], "--config FILE is needed"),
        (["search", "a dog", "--plus", "0.5:"], "give a text or a file after the weight"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_sentence(sterna: Sterna, args: list[str], sentence: str) -> None:
    outcome = sterna(*args)
    assert outcome.code == 2
    assert outcome.out == ""
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("sterna: ")


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (LibraryError("lib: is not a library"), 1, "sterna: lib: is not a library\n"),
        (StoppedError("run: stopped after step 3 of 10"), 130, "sterna: run: stopped after step 3 of 10\n"),
        (UsageError("k=-1: must be 1 or more"), 2, "sterna: k=-1: must be 1 or more\n"),
        (DiskError("a\nb\x1b[31m: the disk is full"), 1, "sterna: a\\nb\\x1b[31m: the disk is full\n"),
        (PermissionError(13, "Permission denied", "secret"), 1, "sterna: secret: Permission denied\n"),
        (
            KeyError("x"),
            1,
            "an error that Sterna did not expect: KeyError: 'x' (set STERNA_DEBUG=1 to see where)\n",
        ),
        (KeyboardInterrupt(), 130, "sterna: interrupted\n"),
    ],
)
def test_an_error_becomes_an_exit_code_and_one_sentence(
    sterna: Sterna, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, printed: str
) -> None:
    raising(error, monkeypatch)
    outcome = sterna("status", "--format", "json")
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.endswith(printed)
    assert "Traceback" not in outcome.err


def test_the_traceback_is_shown_when_it_is_asked_for(sterna: Sterna, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyError("x"), monkeypatch)
    monkeypatch.setenv("STERNA_DEBUG", "1")
    outcome = sterna("status")
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("(set STERNA_DEBUG=1 to see where)\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    # What `| head` does while `sterna` still has more to say than a pipe holds.
    program = "\n".join(
        [
            "import sys",
            "from sterna.cli import app, main",
            "@app.command('much')",
            "def much() -> None:",
            "    print('a line\\n' * 100_000)",
            "sys.exit(main(['much']))",
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == b""
    assert process.returncode == 141


def test_any_name_can_be_printed_on_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    program = "import sys\nfrom sterna.cli import main\nsys.exit(main(['model', 'info', 'möwe\\udcff\\n']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr == b"sterna: m\\xf6we\\xff\\n: no such model folder\n"


def test_a_missing_learning_wing_names_the_command_that_installs_it(
    sterna: Sterna, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [module for module in sys.modules if module.startswith("sterna.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = sterna("export", tmp_path, "--out", tmp_path / "model")
    assert outcome.code == 1
    assert outcome.err == "sterna: Exporting a model needs an extra part: pip install 'sterna[train]'\n"


def test_an_interrupt_while_loading_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    outcome = subprocess.run(
        [sys.executable, "-m", "sterna", "status"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (130, "", "sterna: interrupted\n")


def test_ctrl_c_is_heeded_before_anything_of_python_s_is_loaded() -> None:
    # -S, -I: what an installation of Python loads by itself is not ours
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; before = set(sys.modules); import sterna.cli; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    outcome = subprocess.run(
        [sys.executable, "-S", "-I", "-c", program, str(source)], capture_output=True, text=True, check=True
    )
    assert outcome.stdout == "['__future__', 'sterna']\n"


def test_a_closed_stdout_is_no_failure(tmp_path: Path) -> None:
    program = "import sys\nfrom sterna.cli import main\nsys.exit(main(['model', 'info']))"
    outcome = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "more"), [("index", "; run the same command again to go on"), ("search", "")]
)
def test_an_interrupted_command_that_goes_on_when_it_is_called_again_says_so(
    sterna: Sterna, monkeypatch: pytest.MonkeyPatch, command: str, more: str
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sterna.library.Library.open", stopped)
    outcome = sterna(command, "x" if command == "search" else "/tmp")
    assert (outcome.code, outcome.err) == (130, f"sterna: interrupted{more}\n")


def test_a_sentence_without_quotes_is_told_to_have_some(sterna: Sterna) -> None:
    assert "put a sentence in quotes" in sterna("search", "a", "dog").err
    assert "put a sentence in quotes" not in sterna("status", "dog").err
