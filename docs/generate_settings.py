"""Write docs/reference/settings.md from the settings of training themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sterna.objectives import OBJECTIVES
from sterna.training import TrainSettings

PAGE = Path(__file__).with_name("reference") / "settings.md"
INTRODUCTION = """# Settings of training

This page is made by `docs/generate_settings.py`. Settings are written as YAML (`--config`); any one can be
changed with `--set KEY=VALUE`, where a key is its section and name: `--set optimizer.rate=0.002`."""
PML = """- **pml:NAME**: a loss of pytorch-metric-learning by its class, such as `pml:NTXentLoss`, with its
own parameters, and `distance`, `reducer`, `embedding_regularizer`, `weight_regularizer` and `miner`, each a
name or a mapping of `name` and parameters.

[Objectives](../objectives.md) has their formulas."""


def sections(kind: type[BaseModel], name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section with its name, the top first; sections that are alike come each."""
    yield name, kind
    for key, field in kind.model_fields.items():
        inner = f"{name}.{key}".lstrip(".")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation, inner)
        if get_origin(field.annotation) is dict and issubclass(get_args(field.annotation)[1], BaseModel):
            yield from sections(get_args(field.annotation)[1], f"{inner}.PART")


def describe(name: str, kind: type[BaseModel]) -> str:
    """A section as Markdown: what it says of itself, and its settings with their defaults."""
    rows = [
        f"| `{f'{name}.{key}'.lstrip('.')}` | {shown(field)}{choices(field.annotation)} |"
        for key, field in kind.model_fields.items()
        if not isinstance(field.default, BaseModel)
    ]
    title = f"## `{name}`" if name else "## At the top"
    return "\n\n".join(
        [
            title,
            inspect.cleandoc(kind.__doc__ or ""),
            "\n".join(["| setting | default |", "| --- | --- |", *rows]),
        ]
    )


def shown(field: FieldInfo) -> str:
    """A default as YAML would have it."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def choices(annotation: Any) -> str:
    """The names that a setting may be, where they are few and fixed."""
    if get_origin(annotation) is not Literal:
        return ""
    return f" (of {', '.join(map(str, get_args(annotation)))})"


def objectives() -> str:
    """The objectives, by name, with their parameters."""
    parts = ["## Objectives", "`objective.name` is one of these, `objective.params` its parameters."]
    for name, kind in OBJECTIVES.items():
        parameters = inspect.signature(kind).parameters.values()
        given = ", ".join(
            f"`{one.name}={one.default}`" for one in parameters if one.name not in ("embedding", "images")
        )
        words = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n", maxsplit=1)[0].split())
        parts.append(f"- **{name}** ({given}): {words}")
    parts.append(PML)
    return "\n\n".join(parts)


def page() -> str:
    """The whole page."""
    return (
        "\n\n".join([INTRODUCTION, *(describe(*one) for one in sections(TrainSettings)), objectives()]) + "\n"
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
