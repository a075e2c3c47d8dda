"""Shapes in the signatures of the room are checked while its tests run."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
jaxtyping = pytest.importorskip("jaxtyping")
jaxtyping.install_import_hook("sterna.backbones", "beartype.beartype")
