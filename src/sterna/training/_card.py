"""A model's card, written from its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_UNKNOWN = "see its own card."


def card(config: Mapping[str, Any]) -> str:
    """The `README.md` of a model folder from its `config.json`, with a front matter as on model hubs."""
    parts = [
        _front(config),
        f"# {config['name']}\n",
        _what(config),
        "## Use\n",
        _use(config),
        "## How well it finds things\n",
        _results(config),
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
    licence = "other" if _others(config) else "apache-2.0"
    return (
        f"---\nlicense: {licence}\nlanguage: en\nlibrary_name: sterna\n"
        "pipeline_tag: feature-extraction\n"
        "tags: [image-text-retrieval, onnx]\n---\n"
    )


def _what(config: Mapping[str, Any]) -> str:
    architecture = config["architecture"]
    arithmetic = "; the image part computes in int8" if "arithmetic" in architecture else ""
    return (
        f"Turns photographs and English sentences into vectors of {config['dim']} numbers and unit length; "
        f"{_compared(config)} "
        f"Images pass {_names(architecture['image_backbone'])}, "
        f"sentences {_names(architecture['text_backbone'])}, "
        f"and then {_towers(architecture['model'])}{arithmetic}."
        f"{_named(architecture)}{_committee(architecture)}\n"
    )


def _towers(model: Mapping[str, Any]) -> str:
    """What stands on the backbones, and whether anything in it attends."""
    sides = (model.get("image") or {}, model.get("text") or {})
    attends = model.get("shared_layers") or any(
        side.get(name) for side in sides for name in ("layers", "second_layers")
    )
    if attends:
        return "the towers of a Transformer Encoder Reasoning Network (TERN)"
    return "small networks over what is pooled of their regions and words, without transformer layers"


def _named(architecture: Mapping[str, Any]) -> str:
    """What stands beside the towers where a model uses the names of classes."""
    weight = architecture["model"].get("names")
    if not weight:
        return ""
    return (
        " Beside what these learned, a photograph is the mean of the names of ImageNet's 1,000 classes (the "
        "words and meanings of WordNet 3.0, read as sentences are), weighted by how likely its networks find "
        f"each, and a sentence is the mean of its words; such a cosine counts {weight:g} times as much."
    )


def _committee(architecture: Mapping[str, Any]) -> str:
    """How many runs it is made of, and how their vectors became fewer numbers."""
    if "members" not in architecture:
        return ""
    members, reduced = architecture["members"], architecture["reduced"]
    seeds = " and ".join(_seed(member, members[0]) for member in members)
    who = (
        f"{len(members)} such models, trained by themselves, stand side by side: {seeds}. Their"
        if len(members) > 1
        else "Its"
    )
    return (
        f" {who} {reduced['from']:,} numbers are turned to fewer by their principal components over "
        f"{reduced['images']:,} training photographs and {reduced['captions']:,} captions."
    )


def _seed(member: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """A member's seed, and in brackets how it, and its training, were others than the first's."""
    names = member["model"].get("names", 0)
    others = [f"names={names:g}"] if names != first["model"].get("names", 0) else []
    differing = ", ".join([*others, *(f"{name}={value}" for name, value in member["training"].items())])
    return f"one of seed {member['seed']}{f' ({differing})' if differing else ''}"


def _compared(config: Mapping[str, Any]) -> str:
    """What says how well a sentence describes a photograph."""
    alignment = config.get("alignment")
    if config.get("score") == "order":
        found = "how little a sentence's exceeds a photograph's (`sterna.scoring.order`)"
    elif alignment is None:
        found = "the dot product of two"
    else:
        found = f"the dot product of two, and then the alignment of regions with words by {alignment},"
    return f"{found} says how well a sentence describes a photograph."


def _use(config: Mapping[str, Any]) -> str:
    if config.get("score") == "order":
        return (
            "```python\nimport sterna\nfrom sterna.scoring import order\n\n"
            'model = sterna.load("path/to/this/folder")\n'
            'vectors = model.encode_images(["beach.jpg", "dog.jpg"])\n'
            'scores = order(vectors, model.encode_texts(["a dog in the snow"]))\n```\n'
        )
    asked = ', and then `sterna search "a dog in the snow" --rerank 50`' if config.get("alignment") else ""
    return (
        "```python\nimport sterna\n\n"
        'model = sterna.load("path/to/this/folder")\n'
        'vectors = model.encode_images(["beach.jpg", "dog.jpg"])\n'
        'scores = vectors @ model.encode_texts(["a dog in the snow"]).T\n```\n\n'
        f"Or without Python: `sterna index ~/Pictures --model path/to/this/folder`{asked}.\n"
    )


def _results(config: Mapping[str, Any]) -> str:
    rows = [
        "| split | images | image to text R@1 / 5 / 10 | text to image R@1 / 5 / 10 | rsum |",
        "| --- | --- | --- | --- | --- |",
    ]
    weights = config["architecture"]["weights"]
    smaller = any(kind != "float32" for kind in weights.values())
    before = False
    for split, report in config["results"].items():
        if "rsum" not in report:
            continue
        both = [_percent(report[way]["hits"]) for way in ("i2t", "t2i")]
        mark = "*" if smaller and report.get("weights") == "float32" else ""
        before = before or bool(mark)
        rows.append(
            f"| {split}{mark} | {report.get('images', '')} | {both[0]} | {both[1]} | {report['rsum']:.1f} |"
        )
    if len(rows) == 2:
        return "Not measured.\n"
    note = (
        "\n\n\\* Measured in training, with float32 weights; here they are stored as "
        f"{weights['image']} (images) and {weights['text']} (sentences)."
    )
    return "\n".join(rows) + (
        "\n\nIn per cent: how often any right answer is among the first K of the split's whole gallery. "
        "The weights were chosen by the validation split, which flatters its figures."
        + ("" if config.get("score", "dot") == "dot" else f" Answers are ordered by {config['score']}.")
        + (note if before else "")
        + "\n"
    )


def _percent(hits: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * hits[cutoff]:.1f}" for cutoff in ("1", "5", "10"))


def _made_from(config: Mapping[str, Any]) -> str:
    data = config["data"]
    splits = "; ".join(
        f"{name}: {count['images']:,} images with {count['captions']:,} captions"
        for name, count in data["splits"].items()
    )
    told = f" ({splits}; weights chosen by {data['validation']})" if splits else ", not here"
    lines = [f"- **Data**: {data['name']}{told}."]
    if data.get("terms"):
        lines.append(f"- **Terms of the data**: {data['terms']}")
    architecture = config["architecture"]
    for backbone in (architecture["image_backbone"], architecture["text_backbone"]):
        for told, parts in _told(backbone).items():
            lines.append(f"- **{_names('+'.join(parts))}**: {told}")
    if tuned := _tuned(architecture.get("tuned", {})):
        lines.append(f"- **Trained further on the data above**: {'; '.join(tuned)}.")
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    members = architecture.get("members") or [config]
    seeds = "; ".join(f"seed {one['seed']}, weights of step {one['step']}" for one in members)
    training = config.get("training", {})
    device, precision = training.get("device", "cpu"), training.get("precision", "float32")
    place = "" if device in ("cpu", "auto") else f" on {device}"
    where = f" trained{place} in {precision};" if place or precision != "float32" else ""
    lines.append(f"- {seeds.capitalize()};{where} made on {config['made']} with {versions}.")
    return "\n".join(lines) + "\n"


def _tuned(sides: Mapping[str, Any]) -> list[str]:
    """What was trained of the backbones, in words."""
    words = []
    if image := sides.get("image"):
        norms = ", with moving batch norms" if image["batch_norm"] == "moving" else ""
        augmented = _anew(image.get("augment") or {})
        last = f"the last {image['stages']} trainable parts of the image backbone"
        words.append(f"{last}{norms}{augmented}{_kept(image)}")
    if text := sides.get("text"):
        layers, rank = text["layers"], text["low_rank"]
        where = f"the last {layers} layers of" if layers not in (0, "all") else "all of"
        what = f"adapters of rank {rank} in {where}" if rank else where
        words.append(f"{what} the text backbone{_kept(text)}")
    return words


def _anew(augment: Mapping[str, Any]) -> str:
    """How photographs were changed in every epoch."""
    ways = {
        "cropped": augment.get("crop", 1) < 1,
        "mirrored": augment.get("flip", False),
        "coloured": augment.get("colour", 0) > 0,
    }
    done = [way for way, was in ways.items() if was]
    return f", on photographs that were {' and '.join(done)} anew in every epoch" if done else ""


def _kept(side: Mapping[str, Any]) -> str:
    """How much of the tuning was kept."""
    return f" (weights at {side['share']:.0%} of the way from the published ones)" if "share" in side else ""


def _preprocessing(config: Mapping[str, Any]) -> str:
    image, text = config["image"], config["text"]
    few = f' Texts of one or two words are read in "{text["few_words"]}".' if "few_words" in text else ""
    fits = {
        "squeeze": "squeezed to a square without regard to its shape",
        "crop": "cropped to its central square",
        "letterbox": "fitted into a square with borders",
    }
    return (
        f"A photograph is turned upright (EXIF), {fits[image['fit']]}, and resized to {image['size']} x "
        f"{image['size']} pixels, bicubic with antialiasing; RGB values 0 to 255 go in as they are. "
        f"Sentences are cut after {text['max_tokens']} tokens.{few}\n"
    )


def _limits(config: Mapping[str, Any]) -> str:
    splits = list(config["data"]["splits"].values())  # that of training comes first; none of imported weights
    photographs = f"{splits[0]['images']:,} photographs" if splits else "photographs of others"
    return (
        f"Trained on {photographs}: it knows scenes of the kind that its data shows, and "
        "little beyond them. It does not read text in pictures, does not count well, does not know who "
        "people are, and understands English only. It carries over what is one-sided in its data and in its "
        "backbones' data. Scores order answers to one query; they are not probabilities. "
        "Not for decisions about people.\n"
    )


def _licence(config: Mapping[str, Any]) -> str:
    terms, others = config["data"].get("terms"), _others(config)
    if others:
        whose = f"Code and the towers' weights: Apache-2.0. {_listed(others)}: under licences of their own."
    else:
        whose = "Weights and code: Apache-2.0, as the backbones."
    return whose + (f" The data that it was trained on has terms of its own: {terms}" if terms else "") + "\n"


def _told(backbone: str) -> dict[str, list[str]]:
    """What is known of a backbone, with those of its parts of which it is known."""
    told: dict[str, list[str]] = {}
    for part in backbone.split("+"):
        known = next((text for start, text in _SEEN_BEFORE.items() if part.startswith(start)), _UNKNOWN)
        told.setdefault(known, []).append(part)
    return told


def _others(config: Mapping[str, Any]) -> list[str]:
    """The parts of the backbones that are not known here."""
    architecture = config["architecture"]
    backbones = (architecture["image_backbone"], architecture["text_backbone"])
    return [part for backbone in backbones for part in _told(backbone).get(_UNKNOWN, [])]


def _names(backbone: str) -> str:
    names = backbone.split("+")
    return names[0] if len(names) == 1 else f"{_listed(names)}, side by side"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
