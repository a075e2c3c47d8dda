"""From what a person names to an encoder."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from sterna.encoders._protocol import Encoder
from sterna.errors import ModelError, UsageError

__all__ = ["default_model", "load"]

_HUB = "hf:"


def default_model() -> Path:
    """Folder of the model that ships inside the package."""
    return Path(str(files("sterna"))) / "models" / "base"


def load(model: str | Path | None = None, *, threads: int | None = None) -> Encoder:
    """Load an encoder.

    Arguments:
        model: `None` for the shipped model; a model folder; the folder of a training run (extra `train`);
            `hf:NAME` or `hf:FOLDER` for a dual encoder of Hugging Face such as CLIP or SigLIP (extra `hf`).
            A folder may begin with `~`.
        threads: cores to use; `None` takes all that this process may use.

    Raises `ModelError` where there is no such model or it cannot be used, `MissingExtraError` where it needs
    a part that is not installed, `UsageError` for `threads` below 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}: at least 1 is needed")
    if model is None:
        if not default_model().is_dir():
            raise ModelError(
                f"{default_model()}: the shipped model is missing from this installation; name a model"
            )
        model = default_model()
    text = _expanded(str(model))
    for accepts, build in _KINDS.values():
        if accepts(text):
            return build(text, threads)
    kinds = "; ".join(_KINDS)
    raise ModelError(f"{text}: no model of any known kind; known: {kinds}")


def _expanded(text: str) -> str:
    """A path with its `~` written out; what is no path, or whose home is not known, stays as it is."""
    if text.startswith(_HUB):
        return _HUB + _expanded(text.removeprefix(_HUB))
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:  # of a user who is not there
        return text


def _is_model_folder(text: str) -> bool:
    return (Path(text) / "config.json").is_file() and not _is_run(text)


def _is_run(text: str) -> bool:
    return (Path(text) / "settings.yaml").is_file() and (Path(text) / "checkpoints").is_dir()


def _folder(text: str, threads: int | None) -> Encoder:
    from sterna.encoders._folder import FolderEncoder

    return FolderEncoder(Path(text), threads=threads)


def _hugging_face(text: str, threads: int | None) -> Encoder:
    if text == _HUB:
        raise UsageError("hf: names no model; write hf:NAME-or-folder")
    from sterna.encoders._hf import HuggingFaceEncoder

    return HuggingFaceEncoder(text.removeprefix(_HUB), threads=threads)


def _run(text: str, threads: int | None) -> Encoder:
    from sterna.encoders._torch import RunEncoder

    return RunEncoder(Path(text), threads=threads)


# Kind, as people are told of it: what it is recognised by, and what loads it. A new kind is one line.
_KINDS: dict[str, tuple[Callable[[str], bool], Callable[[str, int | None], Encoder]]] = {
    "hf:NAME or hf:FOLDER (CLIP, SigLIP and kin)": (lambda text: text.startswith(_HUB), _hugging_face),
    "the folder of a training run (settings.yaml and checkpoints)": (_is_run, _run),
    "a model folder (config.json, image.onnx, text.onnx, tokenizer.json)": (_is_model_folder, _folder),
}
