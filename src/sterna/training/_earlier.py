"""Files of the two earlier implementations of TERN: read without running anything in them."""

from __future__ import annotations

import argparse
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sterna.errors import ModelError, UsageError
from sterna.files import system_reason
from sterna.model import TERN, from_reimplementation, from_tern

__all__ = ["Earlier", "read_earlier"]

Kind = Literal["tern", "reimplementation"]

_STATES = ("model", "state_dict", "model_state_dict")
_FACTS = ("epoch", "Eiters", "iters", "best_rsum", "best_value")
_FLOOR = (2, 10)  # CVE-2025-32434 and CVE-2026-24747: holes in weights-only loading before it
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True)
class Earlier:
    """What a file of an earlier implementation holds.

    Fields:
        path: the file.
        kind: "tern", the paper authors' TERN and TERAN, or "reimplementation".
        config: the model's config, in their words.
        state: the weights, by their names.
        facts: what else the file says that is worth keeping: epochs, steps, best value.
    """

    path: Path
    kind: Kind
    config: Mapping[str, Any]
    state: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def model(self, *, zero_region: bool = False) -> TERN:
        """The TERN that computes what theirs did; see `sterna.model.from_tern`.

        `zero_region` is for the paper authors' models alone. Raises `UsageError` and `ModelError`, with the
        file's name, where config or weights cannot be brought over.
        """
        try:
            if self.kind == "tern":
                return from_tern(self.config, self.state, zero_region=zero_region)
            return from_reimplementation(self.config, self.state)
        except UsageError as error:
            raise UsageError(f"{self.path}: {error}") from None
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from None


def read_earlier(path: str | Path, *, config: str | Path | None = None) -> Earlier:
    """Read a checkpoint of the paper authors' TERN or TERAN, or of the re-implementation.

    Arguments:
        path: their `.pth`, `.tar` or `.pth.tar`, a state dict alone or under "model" or "state_dict"; or a
            `.safetensors` with the weights, their names beginning with "weights." or not, and the config as
            JSON in its metadata.
        config: a YAML or JSON file with the model's config, for files that hold none; it goes before theirs.

    Nothing in the file is run: tensors and plain values are loaded, and the `argparse.Namespace` in TERAN's.
    Raises `ModelError` where the file is neither, is damaged, or asks for anything else to be made;
    `UsageError` where there is no config.
    """
    path = Path(path)
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    state = _state(path, loaded)
    chosen = loaded.get("config") if config is None else _read_config(Path(config))
    if not isinstance(chosen, Mapping):
        raise UsageError(f"{path}: holds no config; name the file that does with --config (config=...)")
    facts = {key: loaded[key] for key in _FACTS if isinstance(loaded.get(key), int | float)}
    return Earlier(path, _kind(path, state), chosen, state, facts)


def _read_pickle(path: Path) -> Mapping[str, Any]:
    if _version() < _FLOOR:
        raise ModelError(
            f"{path}: torch {torch.__version__} has holes in weights-only loading, so it is not loaded; "
            "install torch 2.10 or later"
        )
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write; refused just the same
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {system_reason(error)}") from None
    except Exception as error:  # torch, zip and pickle raise whatever they like over a damaged file
        reason = " ".join(str(error).split())
        if asked := _GLOBAL.search(reason):
            raise ModelError(
                f"{path}: asks for {asked[1]}, which loading would run or make, and is not loaded; only "
                "tensors, plain values and argparse.Namespace are: save its weights and config alone"
            ) from None
        # Torch's own words are left out: they tell how to switch its safety off.
        raise ModelError(
            f"{path}: not a checkpoint of torch, or a damaged one; one of torch.save with tensors and plain "
            "values, or a .safetensors file, can be imported"
        ) from None
    if not isinstance(loaded, Mapping):
        raise ModelError(
            f"{path}: holds a {type(loaded).__name__}; a state dict is needed, alone or in a dict"
        )
    return loaded


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = json.loads(metadata["config"]) if "config" in metadata else None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: not a safetensors file that can be read ({error})") from None
    weights = {
        name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")
    }
    return {"state_dict": weights or tensors, "config": config}


def _state(path: Path, loaded: Mapping[str, Any]) -> Mapping[str, Tensor]:
    found = next((loaded[key] for key in _STATES if isinstance(loaded.get(key), Mapping)), loaded)
    if not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(
            f"{path}: holds {', '.join(map(str, list(found)[:5])) or 'nothing'}; a state dict is needed, "
            f"alone or as {', '.join(_STATES)}"
        )
    return found


def _kind(path: Path, state: Mapping[str, Tensor]) -> Kind:
    names = [name.split("img_txt_enc.")[-1].removeprefix("module.") for name in state]
    if any(name.startswith("encoder_v.") for name in names):
        return "reimplementation"
    if any(name.startswith(("img_enc.", "cap_proj.")) for name in names):
        return "tern"
    raise ModelError(
        f"{path}: weights of neither earlier implementation ({', '.join(names[:5])}); those of the paper's "
        "have img_enc and cap_proj, those of the re-implementation's encoder_v"
    )


def _read_config(file: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML, too
    except OSError as error:
        raise UsageError(f"{file}: {system_reason(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not valid YAML or JSON ({' '.join(str(error).split())})") from None
    if not isinstance(config, Mapping):
        raise UsageError(f"{file}: holds a {type(config).__name__}; a mapping of sections is needed")
    return config
