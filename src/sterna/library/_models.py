"""Which model a library's vectors are of, and loading it."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import LibraryError, ModelError, UsageError
from sterna.library._catalog import Catalog

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["SHIPPED", "Models", "default_spec", "index_command", "model_of", "register"]

SHIPPED = ""  # the model inside the package, whichever that is
_OBJECT = "object:"  # a model that was handed over as an object, by its name


class Models:
    """Loads each model once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def get(self, model: str | Path | Encoder | None) -> tuple[Encoder, str]:
        """An encoder and the text that names it in the catalogue; `None` is the shipped model."""
        if model is not None and not isinstance(model, str | Path):
            if not hasattr(model, "fingerprint"):
                raise UsageError(f"model={model!r}: neither the name of a model nor an encoder")
            _check_cosines(model)
            return model, f"{_OBJECT}{model.name}"
        if model is not None and not str(model).strip():
            raise UsageError("the model's name is empty; name one, or none for the library's own")
        spec = SHIPPED if model is None else _spec(model)
        if spec.startswith(_OBJECT):
            raise LibraryError(
                f"the library's model {spec.removeprefix(_OBJECT)!r} was given as a Python object; give it "
                "again (model=...), or name another"
            )
        with self._lock:
            if spec not in self._loaded:
                from sterna.encoders import load

                encoder = load(spec or None)
                _check_cosines(encoder)
                self._loaded[spec] = encoder
            return self._loaded[spec], spec

    def fingerprint_now(self, model: str | Path | Encoder | None) -> str | None:
        """The fingerprint a model has today, where that is known without loading torch; else `None`."""
        if isinstance(model, str | Path) and not (Path(_spec(model)) / "config.json").is_file():
            return None  # no model folder: of a training run or the hub, an object's name, or moved away
        try:
            return self.get(model)[0].fingerprint
        except Exception:  # whatever keeps it from loading, the status says what is recorded
            return None


def _check_cosines(encoder: Encoder) -> None:
    """Raise `ModelError` for a model whose vectors say nothing by their directions."""
    if getattr(encoder, "score", "dot") == "order":
        raise ModelError(
            f"{encoder.name}: was trained to compare vectors by order violations, and a library searches by "
            "cosines; use a model trained with another score"
        )


def _spec(model: str | Path) -> str:
    """A spec that means the same from every working folder."""
    text = str(model)
    kind, name = ("hf:", text[3:]) if text.startswith("hf:") else ("", text)
    path = Path(name).expanduser()
    return kind + str(path.resolve()) if path.exists() else text


def default_spec(catalog: Catalog) -> str | None:
    """What loads the library's default model, `None` for the shipped one."""
    spec = catalog.value("SELECT spec FROM models WHERE id = (SELECT value FROM facts WHERE name = 'model')")
    return spec or None


def index_command(spec: str | None, *, default: bool) -> str:
    """The command that brings the vectors of a model up to date, as far as a command can name it."""
    named = spec and not default and not spec.startswith(_OBJECT)
    return f"sterna index --model {shlex.quote(spec)}" if spec and named else "sterna index"


def model_of(catalog: Catalog, fingerprint: str) -> int | None:
    """The id of the model with this fingerprint."""
    number = catalog.value("SELECT id FROM models WHERE fingerprint = ?", (fingerprint,))
    return None if number is None else int(number)


def register(catalog: Catalog, encoder: Encoder, *, spec: str, models: Models) -> int:
    """The id of a model, added where it is new; the first is the default, and what its name comes to mean.

    A model that is known by another `spec` is named by this one where the other no longer loads it.
    """
    with catalog.transaction():
        number = model_of(catalog, encoder.fingerprint)
        old = catalog.value("SELECT spec FROM models WHERE id = ?", (number,))
        if number is not None and old != spec and not spec.startswith(_OBJECT):
            here = models.fingerprint_now(old or None) == encoder.fingerprint
            if not here:
                catalog.run("UPDATE models SET spec = ?, name = ? WHERE id = ?", (spec, encoder.name, number))
        if number is None:
            number = catalog.run(
                "INSERT INTO models (name, spec, fingerprint, dim, dtype) VALUES (?, ?, ?, ?, 'float16')",
                (encoder.name, spec, encoder.fingerprint, encoder.dim),
            )
        default = catalog.fact("model")
        same = catalog.value("SELECT spec FROM models WHERE id = ?", (default,)) == spec
        if default is None or (same and default != number):
            catalog.set_fact("model", number)
            catalog.touch(losses=True)
        return number
