"""Where a run computes and in what precision, by way of Accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from sterna.errors import RunError, UsageError

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["choose_device", "new_accelerator"]

Precision = Literal["float32", "bfloat16", "float16"]
_MIXED: dict[Precision, str] = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_PLACE = "ACCELERATE_TORCH_DEVICE"  # where Accelerate looks for a device other than its own choice


def choose_device(name: str, precision: Precision) -> torch.device:
    """The device that `name` means here: "cpu", "auto", "cuda", "cuda:1", "mps" or another of torch's.

    "auto" is the accelerator there is, or the CPU. Raises `UsageError` where there is no such device, or it
    does not compute in `precision`.
    """
    device = _auto() if name == "auto" else _named(name)
    if precision == "float16" and device.type == "cpu":
        raise UsageError(
            f"precision=float16: the CPU (device={name}) does not train in it; use float32 or bfloat16 there"
        )
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise UsageError(f"precision=bfloat16: {device} has no such numbers; use float16 or float32")
    return device


def new_accelerator(name: str, precision: Precision) -> Accelerator:
    """Accelerate for one process on the device `name`; raises as `choose_device`, `RunError` for several."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    device = choose_device(name, precision)
    # Accelerate keeps the device of a process's first run for all that follow, unless told to forget it.
    AcceleratorState._reset_state(reset_partial_state=True)
    with _told(device):
        try:
            accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=_MIXED[precision])
        except ValueError as error:
            raise UsageError(f"precision={precision}: {device} does not train in it ({error})") from None
    if accelerator.num_processes > 1:
        raise RunError(f"{accelerator.num_processes} processes: a run trains in one process")
    return accelerator


@contextmanager
def _told(device: torch.device) -> Iterator[None]:
    kept = os.environ.get(_PLACE)
    os.environ[_PLACE] = str(device)
    try:
        yield
    finally:
        if kept is None:
            del os.environ[_PLACE]
        else:
            os.environ[_PLACE] = kept


def _auto() -> torch.device:
    found = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if found is None else found


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"device={name!r} is none; {_there_is()}") from None
    if device.type == "cpu":
        return torch.device("cpu")
    module: Any = getattr(torch, device.type, None)
    if not (hasattr(module, "is_available") and module.is_available()):
        raise UsageError(f"device={name!r} is not to be found here; {_there_is()}")
    if device.index is not None and device.index >= module.device_count():
        raise UsageError(f"device={name!r} is not to be found here; {_there_is()}")
    return device


def _there_is() -> str:
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return "there is: auto, cpu"
    count = torch.accelerator.device_count()
    numbered = [f"{found.type}:{number}" for number in range(count)] if count > 1 else []
    return f"there is: {', '.join(['auto', 'cpu', found.type, *numbered])}"
