"""`import sterna`: what it offers, and that it costs next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sterna


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_every_name_is_there_and_in_order() -> None:
    assert sorted(sterna.__all__) == sterna.__all__
    for name in sterna.__all__:
        assert getattr(sterna, name) is not None
        assert name in dir(sterna)


def test_errors_are_those_of_their_room() -> None:
    from sterna import errors

    for name in errors.__all__:
        if isinstance(getattr(errors, name), type):
            assert getattr(sterna, name) is getattr(errors, name)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'sterna' has no attribute 'lod'; it has Client, DataError, .* load"
    ):
        sterna.lod  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import sterna; print(*sorted(set(sys.modules) - before))"
    loaded = set(run(code).split())
    assert not {"numpy", "PIL", "json", "yaml", "sterna.errors"} & loaded


def test_loading_a_model_imports_no_torch_and_no_engine_before_it_is_used(tiny_model) -> None:
    heavy = "{'torch', 'transformers', 'pydantic', 'faiss', 'onnxruntime', 'tokenizers', 'pyarrow'}"
    code = (
        "import sys, sterna\n"
        f"model = sterna.load({str(tiny_model)!r})\n"
        f"print(sorted({heavy} & set(sys.modules)))\n"
        "model.encode_texts('a dog')\n"
        f"print(sorted({heavy} & set(sys.modules)))\n"
    )
    assert run(code).splitlines() == ["[]", "['onnxruntime', 'tokenizers']"]


def test_rooms_open_through_the_door() -> None:
    assert run("import sterna; print(sterna.images.FITS)") == "('squeeze', 'crop', 'letterbox')"
