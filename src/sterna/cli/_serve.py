"""`sterna serve`: answer from the library over HTTP."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sterna.cli._options import LibraryModelOption, LibraryOption
from sterna.cli._output import say
from sterna.cli._paths import typed_path
from sterna.errors import UsageError
from sterna.files import system_reason

if TYPE_CHECKING:
    from sterna.server import ServerSettings

__all__ = ["serve"]

_VARIABLE = "STERNA_TOKEN"


def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen; others can come in only with a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")
    ] = 8265,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            parser=typed_path,
            metavar="FILE",
            help="A file that holds the token that every request needs; STERNA_TOKEN may hold it, too.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="A further name it is reached by; may be repeated."
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option("--cors", metavar="ORIGIN", help="Let pages of https://... ask, too; may be repeated."),
    ] = None,
    allow_roots: Annotated[
        list[Path] | None,
        typer.Option(
            "--allow-roots",
            parser=typed_path,
            metavar="DIR",
            help="Let requests add folders in DIR to the library; may be repeated.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep the library up to date while files in its folders change.")
    ] = False,
    fetch_images: Annotated[
        bool,
        typer.Option(
            "--fetch-images", help="Let requests name an image on the public Internet, which is fetched."
        ),
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as lines of JSON.")] = False,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
) -> None:
    """Answer from the library over HTTP, until Ctrl-C.

    Only this machine can reach it unless --host says otherwise; then every request needs a token, which is
    made and shown once where none is given. A browser shows a page at its address.

    \b
    Examples:
      sterna serve
      sterna serve --port 9000 --library ./my-library
      sterna serve --watch
      sterna serve --host 0.0.0.0 --token-file token.txt
    """
    from pydantic import SecretStr

    from sterna.library import Library
    from sterna.server import ServerSettings, is_loopback, run
    from sterna.settings import load_settings

    given = _token(token_file)
    made = secrets.token_urlsafe(24) if given is None and not is_loopback(host) else None
    settings = load_settings(
        ServerSettings,
        {
            "host": host,
            "port": port,
            "token": None if (token := given or made) is None else SecretStr(token),
            "allowed_hosts": tuple(allow_host or ()),
            "cors": tuple(cors or ()),
            "allow_roots": tuple(allow_roots or ()),
            "watch": watch,
            "fetch_images": fetch_images,
            "log_json": log_json,
        },
    )
    with Library.open(library, model=model) as opened:
        run(
            opened,
            settings=settings,
            announce=lambda address: _announce(address, settings, made=made),
            notice=say,
        )
    say("stopped")


def _token(file: Path | None) -> str | None:
    """The token in a file or in the environment."""
    if file is None:
        return os.environ.get(_VARIABLE) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"--token-file {file}: {system_reason(error)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--token-file {file}: not text; write a token into it") from None
    if not token:
        raise UsageError(f"--token-file {file}: empty; write a token of 16 or more signs into it")
    return token


def _announce(address: str, settings: ServerSettings, *, made: str | None) -> None:
    say(f"listening at {address}")
    if made is not None:
        say("every request needs the token in this link, which a browser opens once; it is not shown again")
        say(f"{address}/login?token={made}")
    elif settings.token is not None:
        say("every request needs the token; in a browser, open /login?token=TOKEN once")
