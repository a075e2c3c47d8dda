"""Backbones: pixels to regions with boxes, sentences to tokens. Each is a frozen stem and a tail."""

from __future__ import annotations

from sterna.backbones._build import IMAGE_BACKBONES, TEXT_BACKBONES, image_backbone, text_backbone
from sterna.backbones._classes import Classes, classes_of
from sterna.backbones._detector import Detections, Detector
from sterna.backbones._onnx import (
    export_image_backbone,
    export_image_tail,
    export_onnx,
    export_text_backbone,
    fold_batch_norm,
    refuse_detector,
)
from sterna.backbones._tuning import merge_low_rank
from sterna.backbones._types import ImageBackbone, Regions, TextBackbone, Tokens

__all__ = [
    "IMAGE_BACKBONES",
    "TEXT_BACKBONES",
    "Classes",
    "Detections",
    "Detector",
    "ImageBackbone",
    "Regions",
    "TextBackbone",
    "Tokens",
    "classes_of",
    "export_image_backbone",
    "export_image_tail",
    "export_onnx",
    "export_text_backbone",
    "fold_batch_norm",
    "image_backbone",
    "merge_low_rank",
    "refuse_detector",
    "text_backbone",
]
