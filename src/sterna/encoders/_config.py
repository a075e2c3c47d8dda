"""`config.json` of a model folder, checked by hand (search needs no pydantic), and the folder's hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sterna.errors import ModelError
from sterna.files import hash_file, hash_json, read_json
from sterna.images import FITS

__all__ = ["ModelConfig", "fingerprint_folder", "read_config"]

_SCHEMA = 1
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class ModelConfig:
    """A checked `config.json`, flat.

    Attributes:
        folder: where the model lies.
        name: what people call it.
        dim: E, length of its vectors.
        fingerprint: as written in the file, or `None`.
        image_file: its network: `image_input`, uint8 `[N, size, size, 3]`, to `image_output`, `[N, E]`.
        size: side of its square in pixels.
        fit: how a photograph becomes that square; one of `sterna.images.FITS`.
        text_file: its network: `text_inputs` (ids, mask; int64 `[M, T]`) to `text_output` `[M, E]`.
        max_tokens: most tokens of a sentence, its special tokens included.
        lowercase: whether sentences are lower-cased before the tokenizer sees them.
        few_words: a sentence with a `{}`, into which texts of one or two words are put: a model of captions
            knows sentences. `None` leaves them as they are.
        tokenizer_file: of the `tokenizers` library.
        score: what its training was measured by, one of `sterna.scoring.SCORES`.
        alignment: how its regions and words are compared, one of `sterna.scoring.ALIGNMENTS`; `None` where
            its networks do not tell them.
        image_items: outputs of the regions' vectors, float `[N, R, E]`, and of their mask `[N, R]`.
        text_items: outputs of the words' vectors, float `[M, T, E]`, and of their mask `[M, T]`.
        min_score: below it a photograph seldom shows what a sentence says; `None` where that is not known.
        values: the whole file, for people.
    """

    folder: Path
    name: str
    dim: int
    fingerprint: str | None
    image_file: Path
    size: int
    fit: str
    image_input: str
    image_output: str
    text_file: Path
    max_tokens: int
    lowercase: bool
    few_words: str | None
    text_inputs: tuple[str, str]
    text_output: str
    tokenizer_file: Path
    score: str
    alignment: str | None
    image_items: tuple[str, str]
    text_items: tuple[str, str]
    min_score: float | None
    values: Mapping[str, Any]


def read_config(folder: str | Path) -> ModelConfig:
    """Read and check a model folder's `config.json` and that the files it needs are there.

    Raises `ModelError` naming the file and every problem in it.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    if not path.is_file():
        raise ModelError(f"{folder}: not a model folder, for it has no config.json")
    values = read_json(path, error=ModelError)
    if not isinstance(values, dict):
        raise ModelError(f"{path}: holds a {type(values).__name__}; an object of settings is needed")
    if values.get("schema") != _SCHEMA:
        raise ModelError(
            f"{path}: schema is {values.get('schema')!r}; this version of Sterna reads schema {_SCHEMA}"
        )
    checker = _Checker(values)
    config = _build(folder, values, checker)
    if checker.problems:
        raise ModelError(f"{path}: " + "; ".join(checker.problems))
    for file in (config.image_file, config.text_file, config.tokenizer_file):
        if not file.is_file():
            raise ModelError(f"{file}: missing from the model folder; copy the whole folder again")
    return config


def fingerprint_folder(folder: str | Path) -> str:
    """Hash all that decides a model folder's vectors: both networks, the tokenizer and the preprocessing.

    Reads the files; what `config.json` states as its fingerprint is not looked at. Raises `ModelError`.
    """
    config = read_config(folder)
    files = (config.image_file, config.text_file, config.tokenizer_file)
    try:
        hashes = [hash_file(file) for file in files]
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read ({error.strerror})") from error
    return hash_json({"files": hashes, "image": config.values["image"], "text": config.values["text"]})


class _Checker:
    """Reads values by dotted name and remembers what is wrong with them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.problems: list[str] = []

    def _get(self, name: str, default: object) -> object:
        value: object = self.values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return default if value is None else value

    def text(self, name: str, *, default: str | None = None) -> str:
        value = self._get(name, default)
        if isinstance(value, str) and value:
            return value
        self.problems.append(f"{name} is {value!r}, text is needed")
        return ""

    def count(self, name: str) -> int:
        value = self._get(name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self.problems.append(f"{name} is {value!r}, a whole number from 1 is needed")
        return 1

    def section(self, name: str) -> None:
        value = self._get(name, None)
        if value is not None and not isinstance(value, Mapping):
            self.problems.append(f"{name} is {value!r}, an object of settings is needed")

    def cosine(self, name: str) -> float | None:
        value = self._get(name, None)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.problems.append(f"{name} is {value!r}, a number is needed")
        elif not -1 <= value <= 1:
            self.problems.append(f"{name} is {value!r}, a number from -1 to 1 is needed")
        else:
            return float(value)
        return None

    def flag(self, name: str) -> bool:
        value = self._get(name, False)
        if not isinstance(value, bool):
            self.problems.append(f"{name} is {value!r}, true or false is needed")
        return bool(value)

    def template(self, name: str) -> str | None:
        value = self._get(name, None)
        if value is None or (isinstance(value, str) and value.count("{}") == 1):
            return value
        self.problems.append(f"{name} is {value!r}, a sentence with one {{}} is needed")
        return None

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        value = self._get(name, None)
        if value not in known:
            self.problems.append(f"{name} is {value!r}, known: {', '.join(known)}")
        return str(value)

    def file(self, name: str, default: str) -> str:
        value = self.text(name, default=default)
        if Path(value).name != value:
            self.problems.append(f"{name} is {value!r}, the name of a file in the model folder is needed")
        return value

    def score(self, name: str, default: str | None, *, alignment: bool) -> str | None:
        value = self._get(name, default)
        if value == default:
            return default
        from sterna.scoring import ALIGNMENTS, SCORES  # which models that compare vectors do without

        known = ALIGNMENTS if alignment else SCORES
        if value not in known:
            self.problems.append(f"{name} is {value!r}, known: {', '.join(sorted(known))}")
        return str(value)

    def pair(self, name: str, default: tuple[str, str]) -> tuple[str, str]:
        value = self._get(name, default)
        if (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(isinstance(item, str) for item in value)
        ):
            return value[0], value[1]
        self.problems.append(f"{name} is {value!r}, the two names [{', '.join(default)}] are needed")
        return default


def _build(folder: Path, values: Mapping[str, Any], checker: _Checker) -> ModelConfig:
    stated = values.get("fingerprint")
    checker.section("calibration")
    return ModelConfig(
        folder=folder,
        name=checker.text("name"),
        dim=checker.count("dim"),
        fingerprint=stated if isinstance(stated, str) and stated else None,
        image_file=folder / checker.file("image.file", "image.onnx"),
        size=checker.count("image.size"),
        fit=checker.one_of("image.fit", FITS),
        image_input=checker.text("image.input", default="pixels"),
        image_output=checker.text("image.output", default="vectors"),
        text_file=folder / checker.file("text.file", "text.onnx"),
        max_tokens=checker.count("text.max_tokens"),
        lowercase=checker.flag("text.lowercase"),
        few_words=checker.template("text.few_words"),
        text_inputs=checker.pair("text.inputs", ("ids", "mask")),
        text_output=checker.text("text.output", default="vectors"),
        tokenizer_file=folder / _TOKENIZER,
        score=checker.score("score", "dot", alignment=False) or "dot",
        alignment=checker.score("alignment", None, alignment=True),
        image_items=checker.pair("image.items", ("regions", "regions_mask")),
        text_items=checker.pair("text.items", ("words", "words_mask")),
        min_score=checker.cosine("calibration.min_score"),
        values=values,
    )
