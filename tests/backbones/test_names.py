"""Names to backbones."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
from sterna.backbones import IMAGE_BACKBONES, TEXT_BACKBONES, image_backbone, text_backbone
from sterna.errors import UsageError


def test_an_unknown_image_backbone_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        image_backbone("efficientnet-lite3")
    assert str(caught.value).startswith(
        "'efficientnet-lite3': no such image backbone; did you mean 'efficientnet-lite"
    )
    assert all(name in str(caught.value) for name in IMAGE_BACKBONES)
    assert "hf:NAME-or-folder" in str(caught.value)


def test_an_unknown_part_of_several_is_named() -> None:
    with pytest.raises(UsageError, match=r"'resnet': no such image backbone"):
        image_backbone("resnet+efficientnet-lite0", size=64, cells=1)


def test_an_unknown_text_backbone_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        text_backbone("bart")
    known = ", ".join(sorted(TEXT_BACKBONES))
    assert str(caught.value) == f"'bart': no such text backbone; known: {known}, hf:NAME-or-folder"
