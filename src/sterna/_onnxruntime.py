"""ONNX Runtime, silent: what people look for, and with what, is nobody else's business."""

from __future__ import annotations

import os
from types import ModuleType

__all__ = ["onnxruntime"]


def onnxruntime() -> ModuleType:
    """ONNX Runtime, imported now, without the events that it otherwise gathers and sends to its makers.

    Its builds for Linux do so from 1.29 on, those for Windows always did.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when its library is loaded
    import onnxruntime as runtime

    runtime.disable_telemetry_events()  # where somebody else has loaded it before
    module: ModuleType = runtime
    return module
