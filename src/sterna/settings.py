"""Typed settings: defaults in code, one YAML file, overrides on top; every mistake named at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sterna.errors import SettingsError
from sterna.files import system_reason, write_text

__all__ = ["Settings", "key_hint", "load_settings", "parse_overrides", "save_settings"]


class Settings(BaseModel):
    """Base of every settings object: frozen, typed, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


S = TypeVar("S", bound=Settings)
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def load_settings(
    kind: type[S],
    source: Path | Mapping[str, Any] | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> S:
    """Build settings of `kind` from a YAML file or a mapping, and what goes before it.

    Arguments:
        kind: the settings' class.
        source: a YAML file, or what one would hold.
        values: by a key's path (`{"data.path": "2019"}`), taken as they are.
        overrides: texts such as `optimizer.rate=0.001`, whose values are YAML; they go before `values`.

    Raises `SettingsError` naming the file, every wrong key with the nearest known one, and every wrong value.
    """
    where = str(source) if isinstance(source, Path) else "settings"
    whole = _read(source) if isinstance(source, Path) else dict(source or {})
    for key, value in (values or {}).items():
        _set(whole, tuple(key.split(".")), value)
    for path, value in parse_overrides(overrides):
        _set(whole, path, value)
    try:
        return kind.model_validate(whole)
    except ValidationError as error:
        problems = [_problem(kind, dict(item)) for item in error.errors()]
        changed = " with the changes on top" if values or overrides else ""
        raise SettingsError(f"{where}{changed}: " + "; ".join(problems)) from None


class _Loader(yaml.SafeLoader):
    """Plain YAML in which no key of a mapping may come twice: the first one would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise SettingsError(f"line {key.start_mark.line + 1}: {name} is there twice; leave one")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _read(file: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a safe loader's child  # nosec B506
    except SettingsError as error:
        raise SettingsError(f"{file}, {error}") from None
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such settings file") from None
    except OSError as error:
        raise SettingsError(f"{file}: {system_reason(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(loaded, dict | None):
        raise SettingsError(f"{file}: holds a {type(loaded).__name__}; a mapping of settings is needed")
    return loaded or {}


def parse_overrides(overrides: Sequence[str]) -> list[tuple[tuple[str, ...], Any]]:
    """Split `a.b=value` texts into key paths and YAML values; raise `SettingsError` where one has no `=`."""
    parsed: list[tuple[tuple[str, ...], Any]] = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SettingsError(f"{text!r}: an override is written KEY=VALUE, such as optimizer.rate=0.001")
        try:
            parsed.append((tuple(key.split(".")), _yaml_value(value)))
        except yaml.YAMLError:
            raise SettingsError(f"{text!r}: the value is not valid YAML") from None
    return parsed


def _yaml_value(text: str) -> Any:
    value = yaml.safe_load(text)
    # YAML 1.1 reads 1e-3 as text; in quotes it is meant as text.
    return float(text) if isinstance(value, str) and _EXPONENT.fullmatch(text.strip()) else value


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        inner = values.get(key)
        values[key] = dict(inner) if isinstance(inner, Mapping) else {}
        values = values[key]
    values[path[-1]] = value


def _problem(kind: type[BaseModel], error: dict[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{name}: unknown setting; {key_hint(kind, location)}"
    return f"{name}: {error['msg'].removeprefix('Value error, ')} (came: {error['input']!r})"


def key_hint(kind: type[BaseModel], location: Sequence[str]) -> str:
    """What to say of a key that `kind` does not know, by its path: the nearest one that it does, or all."""
    known = _known_keys(kind, location[:-1])
    near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"


def _known_keys(kind: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        field = kind.model_fields.get(part)
        if field is None:
            continue
        options = [field.annotation, *get_args(field.annotation)]
        models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if not models:
            return []
        kind = models[0]
    return list(kind.model_fields)


def save_settings(settings: Settings, path: Path) -> None:
    """Write resolved settings as YAML, to be read again by `load_settings`."""
    write_text(path, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
