"""The model folder, run by ONNX Runtime: what ships, is trained and is exchanged."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sterna.encoders._align import check_aligns
from sterna.encoders._config import ModelConfig, fingerprint_folder, read_config
from sterna.encoders._network import Network, first_line
from sterna.encoders._pipeline import Pipeline, decode
from sterna.encoders._protocol import EncodedPhoto
from sterna.encoders._texts import as_sentence, as_sentences, encode_sorted
from sterna.encoders._threads import available_threads
from sterna.errors import ModelError
from sterna.images import Photo, PhotoSource, to_square

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["FolderEncoder"]

_BATCH = 2  # as fast as larger ones on one core, in a third of the memory of 8
_MAX_LANES = 4
_TEXT_BATCH = 64
_FEW = 2  # words that are no sentence yet


class FolderEncoder:
    """Encoder of a model folder; each of its networks is loaded when it is first needed.

    Arguments:
        folder: holds `config.json` (see `ModelConfig`), both networks and `tokenizer.json`.
        threads: cores to use; `None` takes all that this process may use.

    Raises `ModelError` naming the file that is missing or cannot be used.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        config = self.config = read_config(folder)
        self.name = config.name
        self.score = config.score
        self.alignment = config.alignment
        self.dim = config.dim
        self.min_score = config.min_score
        self.fit = config.fit
        cores = threads or available_threads()
        # Several network calls of a core each keep all cores busy without waiting for one another.
        lanes = min(cores, _MAX_LANES)
        self._images = Network(
            config.image_file,
            inputs=(config.image_input,),
            output=config.image_output,
            items=config.image_items if config.alignment else None,
            dim=config.dim,
            threads=cores // lanes,
        )
        self._texts = Network(
            config.text_file,
            inputs=config.text_inputs,
            output=config.text_output,
            items=config.text_items if config.alignment else None,
            dim=config.dim,
            threads=cores,
        )
        self._pipeline: Pipeline[NDArray[np.uint8]] = Pipeline(
            prepare=self._prepare,
            network=self._run_images,
            dim=config.dim,
            size=config.size,
            batch=_BATCH,
            lanes=lanes,
            decoders=cores,
        )
        self._reading = threading.Lock()
        self._tokenizer: Tokenizer | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what decides a vector, as `config.json` states it, or else from the files."""
        return self.config.fingerprint or fingerprint_folder(self.config.folder)

    def encode_images(self, photos: Sequence[PhotoSource] | PhotoSource) -> NDArray[np.float32]:
        """Encode photographs, or one, to `[N, E]`; raise `PhotoError` naming the first that is unreadable."""
        return self._pipeline.encode(photos)

    def stream_images(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        """Encode photographs as they come; see `Encoder.stream_images`."""
        return self._pipeline.stream(photos)

    def encode_texts(self, sentences: Sequence[str] | str) -> NDArray[np.float32]:
        """Encode sentences, or one, to `[M, E]`; those beyond `max_tokens` are cut there.

        Texts of one or two words are put into the sentence that the model has for them, if it has one.
        """
        texts = as_sentences(sentences, max_tokens=self.config.max_tokens)
        tokens = self._tokens([self._in_sentence(text) for text in texts])
        return encode_sorted(tokens, length=len, network=self._run_texts, dim=self.dim, batch=_TEXT_BATCH)

    def regions(self, photo: PhotoSource) -> NDArray[np.float32]:
        """The regions of a photograph; see `Aligns`. Raises `UsageError` where the model has none."""
        check_aligns(self)
        square = decode(photo, at_least=self.config.size, prepare=self._prepare)
        return self._images.run_items({self.config.image_input: square[None]})[0]

    def words(self, sentence: str) -> NDArray[np.float32]:
        """The words of a sentence; see `Aligns`. Raises `UsageError` where the model has none."""
        check_aligns(self)
        texts = as_sentences(as_sentence(sentence), max_tokens=self.config.max_tokens)
        return self._texts.run_items(self._feed(self._tokens(texts)))[0]

    def _in_sentence(self, text: str) -> str:
        frame = self.config.few_words
        return text if frame is None or not 0 < len(text.split()) <= _FEW else frame.replace("{}", text)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        if self.config.lowercase:
            texts = [text.lower() for text in texts]
        with self._reading:
            tokenizer = self._tokenizer = self._tokenizer or _read_tokenizer(self.config)
        return [tokenizer.encode(text).ids for text in texts]

    def _prepare(self, photo: Photo) -> NDArray[np.uint8]:
        return to_square(photo.image, self.config.size, self.config.fit)

    def _run_images(self, squares: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._images.run({self.config.image_input: np.stack(squares)})

    def _run_texts(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        return self._texts.run(self._feed(tokens))

    def _feed(self, tokens: list[list[int]]) -> dict[str, NDArray[np.int64]]:
        longest = max(1, *map(len, tokens))
        ids = np.zeros((len(tokens), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, item in enumerate(tokens):
            ids[row, : len(item)] = item
            mask[row, : len(item)] = 1
        return dict(zip(self.config.text_inputs, (ids, mask), strict=True))


def _read_tokenizer(config: ModelConfig) -> Tokenizer:
    from tokenizers import Tokenizer

    file = config.tokenizer_file
    try:
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(config.max_tokens)
    except Exception as error:  # the library raises bare exceptions
        raise ModelError(f"{file}: not a tokenizer that can be loaded ({first_line(error)})") from error
    return tokenizer
