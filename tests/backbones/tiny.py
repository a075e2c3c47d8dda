"""Networks of `transformers` with random weights, made in a test, and photographs as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from tests.conftest import draw_photo

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "dog",
    "cat",
    "runs",
    "in",
    "the",
    "snow",
    "##s",
    "two",
    "people",
]
_SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 32}
_PATCHES = {**_SMALL, "image_size": 32, "patch_size": 8}

VISION = {
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**_PATCHES)),
    "deit": lambda: transformers.DeiTModel(transformers.DeiTConfig(**_PATCHES)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**_PATCHES)),
    "registers": lambda: transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**_PATCHES, num_register_tokens=4)
    ),
    "clip": lambda: transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config={**_SMALL, "vocab_size": 64}, vision_config=dict(_PATCHES), projection_dim=16
        )
    ),
    "siglip": lambda: transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**_PATCHES)),
    "resnet": lambda: transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1])
    ),
    "convnext": lambda: transformers.ConvNextModel(
        transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 24], depths=[1, 1, 1, 1], image_size=128)
    ),
    "swin": lambda: transformers.SwinModel(
        transformers.SwinConfig(
            embed_dim=12, depths=[1, 1], num_heads=[1, 2], window_size=4, image_size=32, patch_size=4
        )
    ),
}


def vision_folder(folder: Path, kind: str) -> Path:
    """A folder with a tiny vision model of one kind."""
    torch.manual_seed(0)
    VISION[kind]().save_pretrained(folder)
    return folder


def _convolutions(kind: type, *stages: int):
    return kind(
        embedding_size=8,
        hidden_sizes=[8, 12, 16, 24],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=[f"stage{stage}" for stage in stages],
    )


_DETECTOR = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "num_labels": 5}
_QUERIES = {
    "num_queries": 12,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
}


def _detr(kind: str, *stages: int):
    convolutions = _convolutions(transformers.ResNetConfig, *stages)
    config = getattr(transformers, f"{kind}Config")(**_DETECTOR, **_QUERIES, backbone_config=convolutions)
    return getattr(transformers, f"{kind}ForObjectDetection")(config)


def _rt_detr():
    config = transformers.RTDetrConfig(
        **{**_DETECTOR, **_QUERIES},
        backbone_config=_convolutions(transformers.RTDetrResNetConfig, 2, 3, 4),
        encoder_in_channels=[12, 16, 24],
        encoder_hidden_dim=32,
        decoder_in_channels=[32, 32, 32],
        decoder_n_points=2,
        hidden_expansion=0.5,
        num_denoising=2,
    )
    return transformers.RTDetrForObjectDetection(config)


DETECTORS = {
    "Detr": lambda: _detr("Detr", 4),
    "ConditionalDetr": lambda: _detr("ConditionalDetr", 4),
    "DeformableDetr": lambda: _detr("DeformableDetr", 2, 3, 4),
    "RTDetr": _rt_detr,
}


def detector_folder(folder: Path, kind: str = "Detr", *, side: int = 64) -> Path:
    """A folder with a tiny detector that looks at photographs of 64 pixels (DETRs: at least, at most 96)."""
    torch.manual_seed(0)
    network = DETECTORS[kind]()
    with torch.no_grad():  # chance that differs from query to query
        for name, value in network.named_parameters():
            if "quer" in name or (
                value.ndim == 2 and ("decoder" in name or "class" in name or "bbox" in name)
            ):
                value.normal_(std=1.0 if "query_position" in name else 0.3)
    network.save_pretrained(folder)
    size = (
        {"height": side, "width": side} if kind == "RTDetr" else {"shortest_edge": side, "longest_edge": 96}
    )
    getattr(transformers, f"{kind}ImageProcessorPil")(size=size).save_pretrained(folder)
    return folder


def make_tokenizer() -> Tokenizer:
    """A BERT's tokenizer of fourteen words."""
    tokenizer = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
    )
    return tokenizer


def text_folder(folder: Path, kind: str = "bert") -> Path:
    """A folder with a tiny text encoder and its tokenizer."""
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(**_SMALL, vocab_size=len(WORDS), max_position_embeddings=64)
        network = transformers.BertModel(config)
    elif (
        kind == "roberta"
    ):  # the first of its positions is never used: it reads two tokens fewer than it says
        config = transformers.RobertaConfig(**_SMALL, vocab_size=len(WORDS), max_position_embeddings=66)
        network = transformers.RobertaModel(config)
    elif kind == "t5":
        config = transformers.T5Config(d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=3, vocab_size=14)
        network = transformers.T5Model(config)
    else:
        config = transformers.DistilBertConfig(
            dim=24, n_layers=2, n_heads=3, hidden_dim=32, vocab_size=len(WORDS)
        )
        network = transformers.DistilBertModel(config)
    network.save_pretrained(folder)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def pixels(count: int, size: int) -> torch.Tensor:
    """[count, size, size, 3] uint8: drawn photographs."""
    images = [draw_photo(seed).resize((size, size)) for seed in range(count)]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))
