"""What is wrong with a field, in Sterna's words: its name, what came, and what would be right."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from sterna.settings import key_hint

__all__ = ["complaints"]

_MOST = 20  # fields that are told of
_LONGEST = 60  # letters of a name that came
_PLACES = {"body", "query", "path", "header"}
_KINDS = {"float", "int", "str", "bool"}  # how the branches of a field of several types are called

_OF_NUMBERS = {  # errors that a text has only where it is read as a number
    "greater_than_equal", "greater_than", "less_than_equal", "less_than", "finite_number", "int_parsing",
}  # fmt: skip


def _letters(count: int) -> str:
    return f"a text of {count:,} letter" if count == 1 else f"a text of {count:,} letters"


# What is needed, by pydantic's name of the error and its bounds.
_NEEDED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda bound: f"at least {bound['ge']:.15g}",
    "greater_than": lambda bound: f"more than {bound['gt']:.15g}",
    "less_than_equal": lambda bound: f"at most {bound['le']:.15g}",
    "less_than": lambda bound: f"less than {bound['lt']}",
    "literal_error": lambda bound: str(bound["expected"]),
    "string_too_short": lambda bound: f"{_letters(bound['min_length'])} or more",
    "string_too_long": lambda bound: f"{_letters(bound['max_length'])} or fewer",
    "too_short": lambda bound: f"a list of {bound['min_length']:,} or more",
    "too_long": lambda bound: f"a list of at most {bound['max_length']:,}",
    "finite_number": lambda _: "a finite number",
    "bool_type": lambda _: "true or false",
    "list_type": lambda _: "a list",
    "model_type": lambda _: "a JSON object",
    "string_type": lambda _: "a text",
    "missing": lambda _: "a value",
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float"), lambda _: "a whole number"
    ),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "a number"),
}


def complaints(errors: Sequence[Any], *, kind: type[BaseModel] | None = None) -> list[dict[str, str]]:
    """For each field that pydantic refuses its name and a sentence; texts that came are not repeated.

    Arguments:
        errors: of pydantic, with what came.
        kind: what was to be made of a body; its keys are named where another one came.
    """
    fields: dict[str, list[Any]] = {}
    for error in errors:
        fields.setdefault(_name(error), []).append(error)
    return [{"field": name, "detail": _sentence(found, kind)} for name, found in list(fields.items())[:_MOST]]


def _name(error: Any) -> str:
    placed = len(error["loc"]) > 1 and error["loc"][0] in _PLACES  # alone it is a key of that name
    parts = error["loc"][1:] if placed else error["loc"]
    if error["type"] == "extra_forbidden":
        parts = (*parts[:-1], str(parts[-1])[:_LONGEST])
    else:
        parts = [one for one in parts if isinstance(one, int) or (one.isidentifier() and one not in _KINDS)]
    return ".".join(map(str, parts))


def _sentence(found: Sequence[Any], kind: type[BaseModel] | None) -> str:
    first = found[0]
    if first["type"] == "value_error":  # a sentence of ours
        return str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return f"the body is no JSON ({first['ctx']['error']})"
    if first["type"] == "extra_forbidden":
        hint = "" if kind is None else f"; {key_hint(kind, [str(part) for part in first['loc']])}"
        return f"unknown{hint}"
    if any(error["type"] not in _NEEDED for error in found):
        return str(first["msg"])
    needed = dict.fromkeys(_NEEDED[error["type"]](error.get("ctx") or {}) for error in found)
    came = "nothing" if first["type"] == "missing" else _told(_number(first))
    return f"{came} came; {' or '.join(needed)} is needed"


def _number(error: Any) -> object:
    """What came; the number that a text of an address is where one is needed."""
    value = error["input"]
    if isinstance(value, str) and error["type"] in _OF_NUMBERS:
        with contextlib.suppress(ValueError):
            return value if value.lstrip("+-").isdecimal() else float(value)
    return value


def _told(value: object) -> str:
    """What came: a number as it is, of all else the kind and the length."""
    if isinstance(value, str) and not value.lstrip("+-").isdecimal():
        return _letters(len(value)) if value else "an empty text"
    if isinstance(value, str | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text if len(text) <= _MOST else "a number"
    if isinstance(value, list):
        return f"a list of {len(value):,}" if value else "an empty list"
    return "null" if value is None else "an object"
