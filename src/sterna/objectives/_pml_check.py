"""Parameters of pytorch-metric-learning's parts are checked before the library sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sterna.errors import UsageError, check_known
from sterna.objectives._objective import is_mapping, is_number
from sterna.objectives._pml_table import NOT_NEGATIVE, POSITIVE

__all__ = ["check_value", "spec_of"]

CHOICES = {"type_of_triplets": ("all", "easy", "hard", "semihard")}
RANGES = ("allowed_neg_range", "allowed_pos_range")


def spec_of(kind: str, spec: object) -> tuple[str, dict[str, Any]]:
    """A part's name and its own parameters, from a name or a mapping of `name` and parameters."""
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or not is_mapping(spec) or not isinstance(spec.get("name"), str):
        raise UsageError(f"{kind}: a name, or a mapping with a name and parameters, is needed; came {spec!r}")
    return spec["name"], {key: value for key, value in spec.items() if key != "name"}


def check_value(name: str, key: str, value: object, *, default: object) -> None:
    """Refuse what the library would only trip over in the first step, such as text as a margin."""
    if key == "reducers":
        if not isinstance(value, Mapping) or not value:
            raise UsageError(
                f"{name}: reducers={value!r}: a mapping of the loss's terms and reducers is needed"
            )
        return
    if key in CHOICES:
        check_known(f"{name}: {key}", str(value), CHOICES[key])
        return
    fits, wanted = _fits(key, value, default=default)
    if not fits:
        raise UsageError(f"{name}: {key}={value!r}: {wanted} is needed")
    if is_number(value):
        _check_sign(name, key, value)


def _fits(key: str, value: object, *, default: object) -> tuple[bool, str]:
    """Whether a value may stand where the library has `default`, and what may."""
    if key == "weights":
        return _are_numbers(value), "a number for each image"
    if key in RANGES:
        return value is None or _are_numbers(value, count=2), "a list of two numbers"
    if key == "triplets_per_anchor":
        return value == "all" or (is_number(value) and isinstance(value, int)), "'all' or a whole number"
    return _fits_type(value, type(default) if key != "collect_stats" else bool)


def _fits_type(value: object, wanted: type) -> tuple[bool, str]:
    if wanted is bool:
        return isinstance(value, bool), "true or false"
    if wanted is str:
        return isinstance(value, str), "a str"
    if wanted in (int, float):
        return is_number(value), "a finite number"
    return value is None or is_number(value), "a number"


def _are_numbers(value: object, *, count: int | None = None) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or (count and len(value) != count):
        return False
    return all(map(is_number, value))


def _check_sign(name: str, key: str, value: Any) -> None:
    if key in POSITIVE and not value > 0:
        raise UsageError(f"{name}: {key}={value}: must be above 0")
    if key in NOT_NEGATIVE and value < 0:
        raise UsageError(f"{name}: {key}={value}: must be 0 or more")
