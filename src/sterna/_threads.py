"""How many cores there are to use."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["available_threads"]

_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of a container: "QUOTA PERIOD" in microseconds, or "max PERIOD"


def available_threads() -> int:
    """Cores that this process may use: those it may run on, or fewer where its container has a limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (int(number) for number in _LIMIT.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return allowed
    return max(1, min(allowed, math.ceil(quota / period)))
