"""Sentences about wrong usage in the words that were typed: options, not the arguments of the Python API."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

__all__ = ["as_typed", "usage_sentence"]

# How the Python API's sentences name arguments: as their first word (min_score is nan; ...) or with a value.
_ARGUMENT = re.compile(r"^([a-z_]+)(?= is | ')|\b([a-z_]+)=(?=\S)")
_EXTRA = "unexpected extra argument"
_SENTENCES = {"explain", "search"}  # commands that take one
_NEEDED = {
    "greater_than_equal": "at least {ge} is needed",
    "greater_than": "more than {gt} is needed",
    "less_than_equal": "at most {le} is needed",
    "less_than": "less than {lt} is needed",
    "int_parsing": "a whole number is needed",
    "int_parsing_size": "a whole number of fewer digits is needed",
    "int_from_float": "a whole number is needed",
    "float_parsing": "a number is needed",
}


def usage_sentence(error: typer.TyperException, args: Sequence[str] | None) -> str:
    """What an error of parsing the command line says, and which help explains it."""
    message = _about_value(error, _typed(args))
    if message is None:
        plain = error.format_message().rstrip(".").replace(": Value error, ", ": ")
        message = f"{plain[:1].lower()}{plain[1:]}"
        if _EXTRA in message and _SENTENCES.intersection(_typed(args)[:1]):
            message += "; put a sentence in quotes"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sterna"
    return f"{message}; see `{command} --help`"


def as_typed(sentence: str, args: Sequence[str] | None) -> str:
    """A sentence about arguments of the Python API, with the command's options in their place."""
    from sterna.cli._app import app

    words = _typed(args)
    options = _options(typer.main.get_command(app), words)

    def option(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        named = options.get(name) or options.get(f"{name}s")
        if named is None:
            return found[0]
        return _spelling(named, words) + (" " if found[2] else "")

    typed = _ARGUMENT.sub(option, sentence)
    return typed if typed == sentence else typed.replace(", or None", ", or none")


def _about_value(error: typer.TyperException, words: Sequence[str]) -> str | None:
    """`-k 0: at least 1 is needed`; `None` where the error is about something else."""
    problems = getattr(error.__context__, "errors", None)  # of pydantic, which looks at values for Typer
    options = getattr(getattr(error, "param", None), "opts", ())
    if problems is None or not options or not options[0].startswith("-"):
        return None
    problem: Mapping[str, Any] = problems()[0]
    if problem["type"] not in _NEEDED:
        return None
    needed = _NEEDED[problem["type"]].format(**problem.get("ctx", {}))
    return f"{_spelling(options, words)} {problem['input']}: {needed}"


def _typed(args: Sequence[str] | None) -> Sequence[str]:
    return sys.argv[1:] if args is None else args


def _options(command: Any, words: Iterable[str]) -> dict[str, Sequence[str]]:
    """The spellings of the options of the command that was called, by the names of its arguments."""
    for word in words:
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    return {
        param.name: param.opts
        for param in command.params
        if param.name is not None and param.opts and param.opts[0].startswith("-")
    }


def _spelling(options: Sequence[str], words: Sequence[str]) -> str:
    """The option as it was typed, or else in full."""
    for option in options:
        if any(word == option or word.startswith(f"{option}=") for word in words):
            return option
    return max(options, key=len)
