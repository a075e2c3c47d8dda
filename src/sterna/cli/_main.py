"""From what happens in a command to an exit code and, on failure, one clear sentence on stderr."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence

import typer

from sterna.cli._output import prepare_streams, say
from sterna.cli._usage import as_typed, usage_sentence
from sterna.errors import SternaError, StoppedError, UsageError

__all__ = ["main"]

_CONTINUED = {"extract", "index", "watch"}  # commands that go on where they were stopped
_FAILED, _USAGE, _INTERRUPTED, _BROKEN_PIPE = 1, 2, 130, 141


def main(args: Sequence[str] | None = None) -> int:
    """See `sterna.cli.main`."""
    prepare_streams()
    if not sys.warnoptions:  # Pillow remarks on damaged photographs, which are recorded with a reason
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_pipe()
    return code


def _run(args: Sequence[str] | None) -> int:
    from sterna.cli._app import app

    try:
        code = app(None if args is None else list(args), prog_name="sterna", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(usage_sentence(error, args), error, code=error.exit_code)
    except SternaError as error:
        sentence = as_typed(str(error), args) if isinstance(error, UsageError) else str(error)
        return _fail(sentence, error, code=_code_of(error))
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except SystemExit as leaving:  # typer turns a broken pipe into this
        if isinstance(leaving.__context__, BrokenPipeError):
            return _leave_pipe()
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(_system_sentence(error), error, code=_FAILED)
    except Exception as error:  # a person gets a sentence, whatever went wrong
        kind = type(error).__name__
        hint = "set STERNA_DEBUG=1 to see where"
        return _fail(f"an error that Sterna did not expect: {kind}: {error} ({hint})", error, code=_FAILED)
    if code == _INTERRUPTED:
        goes_on = _CONTINUED.intersection((sys.argv[1:] if args is None else args)[:1])
        say("interrupted; run the same command again to go on" if goes_on else "interrupted")
    return int(code or 0)


def _code_of(error: SternaError) -> int:
    if isinstance(error, StoppedError):
        return _INTERRUPTED
    return _USAGE if isinstance(error, UsageError) else _FAILED


def _fail(sentence: str, error: BaseException, *, code: int) -> int:
    if os.environ.get("STERNA_DEBUG", "") not in {"", "0"}:
        traceback.print_exception(error)
    say(sentence)
    return code


def _system_sentence(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {what}" if isinstance(error.filename, str | bytes) else what


def _leave_pipe() -> int:
    """Stop quietly when whoever read our output (`| head`) has gone."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    return _BROKEN_PIPE
