"""A model's card, written from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["card"]

_SEEN_BEFORE = {
    "efficientnet-lite": (
        "EfficientNet-Lite (Apache-2.0), trained by Google on ImageNet's 1,000 classes. "
        "It has seen no captions."
    ),
    "minilm": (
        "all-MiniLM-L6-v2 (Apache-2.0), trained by sentence-transformers on a billion pairs of sentences. "
        "**Among them are the captions of Flickr30k and COCO**: what these say, though not their "
        "photographs, is not new to this model, and figures on those sets are to be read with that in mind."
    ),
}


def card(config: Mapping[str, Any]) -> str:
    """The `README.md` of a model folder from its `config.json`, with a front matter as on model hubs."""
    parts = [
        _front(config),
        f"# {config['name']}\n",
        _what(config),
        "## Use\n",
        _use(config),
        "## How well it finds things\n",
        _results(config["results"]),
        "## What it was made from\n",
        _made_from(config),
        "## What it sees\n",
        _preprocessing(config),
        "## Limits\n",
        _limits(config),
        "## Licence\n",
        _licence(config),
    ]
    return "\n".join(parts)


def _front(config: Mapping[str, Any]) -> str:
    return (
        "---\nlicense: apache-2.0\nlanguage: en\nlibrary_name: sterna\n"
        "pipeline_tag: feature-extraction\n"
        "tags: [image-text-retrieval, onnx]\n---\n"
    )


def _what(config: Mapping[str, Any]) -> str:
    architecture = config["architecture"]
    return (
        f"Turns photographs and English sentences into vectors of {config['dim']} numbers and unit length; "
        "the dot product of two says how well a sentence describes a photograph. "
        f"Images pass {_names(architecture['image_backbone'])}, "
        f"sentences {_names(architecture['text_backbone'])}, "
        "and then the towers of a Transformer Encoder Reasoning Network (TERN).\n"
    )


def _use(config: Mapping[str, Any]) -> str:
    return (
        "```python\nimport sterna\n\n"
        'model = sterna.load("path/to/this/folder")\n'
        'vectors = model.encode_images(["beach.jpg", "dog.jpg"])\n'
        'scores = vectors @ model.encode_texts(["a dog in the snow"]).T\n```\n\n'
        "Or without Python: `sterna index ~/Pictures --model path/to/this/folder`.\n"
    )


def _results(results: Mapping[str, Any]) -> str:
    rows = [
        "| split | images | image to text R@1 / 5 / 10 | text to image R@1 / 5 / 10 | rsum |",
        "| --- | --- | --- | --- | --- |",
    ]
    for split, report in results.items():
        if "rsum" not in report:
            continue
        both = [_percent(report[way]["hits"]) for way in ("i2t", "t2i")]
        rows.append(
            f"| {split} | {report.get('images', '')} | {both[0]} | {both[1]} | {report['rsum']:.1f} |"
        )
    if len(rows) == 2:
        return "Not measured.\n"
    return "\n".join(rows) + (
        "\n\nIn per cent: how often any right answer is among the first K of the split's whole gallery. "
        "The weights were chosen by the validation split, which flatters its figures.\n"
    )


def _percent(hits: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * hits[cutoff]:.1f}" for cutoff in ("1", "5", "10"))


def _made_from(config: Mapping[str, Any]) -> str:
    data = config["data"]
    splits = "; ".join(
        f"{name}: {count['images']:,} images with {count['captions']:,} captions"
        for name, count in data["splits"].items()
    )
    lines = [f"- **Data**: {data['name']} ({splits}; weights chosen by {data['validation']})."]
    if data.get("terms"):
        lines.append(f"- **Terms of the data**: {data['terms']}")
    architecture = config["architecture"]
    for backbone in (architecture["image_backbone"], architecture["text_backbone"]):
        known = [text for start, text in _SEEN_BEFORE.items() if backbone.startswith(start)]
        lines.append(f"- **{_names(backbone)}**: {known[0] if known else 'see its own card.'}")
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    lines.append(
        f"- Seed {config['seed']}, weights of step {config['step']}, made on {config['made']} "
        f"with {versions}."
    )
    return "\n".join(lines) + "\n"


def _preprocessing(config: Mapping[str, Any]) -> str:
    image, text = config["image"], config["text"]
    fits = {
        "squeeze": "squeezed to a square without regard to its shape",
        "crop": "cropped to its central square",
        "letterbox": "fitted into a square with borders",
    }
    return (
        f"A photograph is turned upright (EXIF), {fits[image['fit']]}, and resized to {image['size']} x "
        f"{image['size']} pixels, bicubic with antialiasing; RGB values 0 to 255 go in as they are. "
        f"Sentences are cut after {text['max_tokens']} tokens.\n"
    )


def _limits(config: Mapping[str, Any]) -> str:
    data = config["data"]
    images = next(count["images"] for name, count in data["splits"].items() if name != data["validation"])
    return (
        f"Trained on {images:,} photographs: it knows scenes of the kind that its data shows, and "
        "little beyond them. It does not read text in pictures, does not count well, does not know who "
        "people are, and understands English only. It carries over what is one-sided in its data and in its "
        "backbones' data. Scores order answers to one query; they are not probabilities. "
        "Not for decisions about people.\n"
    )


def _licence(config: Mapping[str, Any]) -> str:
    terms = config["data"].get("terms")
    return (
        "Weights and code: Apache-2.0, as the backbones. "
        + (f"The data that it was trained on has terms of its own: {terms}" if terms else "")
    ).rstrip() + "\n"


def _names(backbone: str) -> str:
    names = backbone.split("+")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}, side by side"
