"""Any dual encoder of Hugging Face's `transformers`: CLIP, SigLIP and kin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna._transformers import quiet_transformers
from sterna.encoders._network import first_line
from sterna.encoders._pipeline import Pipeline
from sterna.encoders._protocol import EncodedPhoto
from sterna.encoders._texts import as_sentences, encode_sorted
from sterna.encoders._threads import available_threads, torch_threads
from sterna.errors import ModelError, PhotoError
from sterna.files import hash_file, hash_json
from sterna.images import Photo, PhotoSource

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["HuggingFaceEncoder"]

_SCHEMA = 1  # raised when the code below begins to give other vectors
_BATCH = 8
_TEXT_BATCH = 32
_MOST_TOKENS = 512
_THIN = 8  # times as long as wide, from which a processor's own resizing would take memory without bound
_DECIDING = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "spiece.model",
)


class HuggingFaceEncoder:
    """Encoder of a hub name or a folder that `transformers.AutoModel` loads, with both kinds of features.

    What is in the local cache is used without asking the hub. Only safetensors are read and no code that
    comes with a model is run. A GPU is used where torch finds one; computing is in float32.

    Arguments:
        source: `openai/clip-vit-base-patch32`, or a folder made by `save_pretrained`.
        threads: cores that torch uses in this process; `None` leaves that as it is.

    Raises `ModelError` where it cannot be found or used, `MissingExtraError` without transformers.
    """

    def __init__(self, source: str, *, threads: int | None = None) -> None:
        self.name = f"hf:{source}"
        self._source = source
        self._folder = Path(source) if Path(source).is_dir() else None
        self._load()
        torch_threads(threads)
        self._one_at_a_time = threading.Lock()  # tokenizers of transformers change themselves while they work
        with self._errors("encode a sentence with"):
            self.dim = int(self._text_features(self._tokens(["a"])).shape[1])
        self._pipeline: Pipeline[dict[str, NDArray[Any]]] = Pipeline(
            prepare=self._prepare,
            network=self._run_images,
            dim=self.dim,
            size=self._side(),
            batch=_BATCH,
            lanes=1,
            decoders=threads or available_threads(),
        )

    def encode_images(self, photos: Sequence[PhotoSource] | PhotoSource) -> NDArray[np.float32]:
        """Encode photographs, or one, to `[N, E]`; raise `PhotoError` naming the first that is unreadable."""
        return self._pipeline.encode(photos)

    def stream_images(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        """Encode photographs as they come; see `Encoder.stream_images`."""
        return self._pipeline.stream(photos)

    def encode_texts(self, sentences: Sequence[str] | str) -> NDArray[np.float32]:
        """Encode sentences, or one, to `[M, E]`; those beyond the model's context are cut there."""
        texts = as_sentences(sentences, max_tokens=self._max_tokens)
        with self._errors("encode sentences with"):
            return encode_sorted(
                texts,
                length=len,
                network=lambda batch: self._text_features(self._tokens(batch)),
                dim=self.dim,
                batch=_TEXT_BATCH,
            )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the hub's commit, or of the folder's weights and settings."""
        commit = getattr(self._model.config, "_commit_hash", None)
        if self._folder is None and commit:
            return hash_json({"schema": _SCHEMA, "name": self._source, "commit": commit})
        if self._folder is None:
            raise ModelError(f"{self.name}: its commit is unknown; name the folder that it was downloaded to")
        files = {
            file.name: file for pattern in _DECIDING for file in self._folder.glob(pattern) if file.is_file()
        }
        hashes = {name: hash_file(file) for name, file in sorted(files.items())}
        return hash_json({"schema": _SCHEMA, "files": hashes})

    def _load(self) -> None:
        source = str(self._folder) if self._folder else self._source
        with quiet_transformers(bars=False):
            local = self._is_local(source)
        with quiet_transformers(bars=not local), self._errors("load"):
            import torch
            import transformers

            safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local}
            self._images: Any = transformers.AutoImageProcessor.from_pretrained(source, backend="pil", **safe)
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source, **safe)
            model: Any = transformers.AutoModel.from_pretrained(
                source, use_safetensors=True, dtype=torch.float32, **safe
            )
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            kind = type(model).__name__
            raise ModelError(
                f"{self.name}: a {kind} does not encode both images and text; CLIP and SigLIP do"
            )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model: Any = model.eval().requires_grad_(False).to(self._device)

    def _is_local(self, source: str) -> bool:
        """Whether all is here already, so that the hub need not be asked; it is asked here whether it has it.

        Once, and for the smallest file: where there is no network each question takes half a minute.
        """
        import transformers

        if self._folder is not None:
            return True
        try:
            transformers.AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
            return True
        except (OSError, ValueError):
            with self._errors("find"):
                transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
            return False

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Errors of transformers and torch as one sentence about the model."""
        try:
            yield
        except (ModelError, MemoryError):
            raise
        except Exception as error:
            reason = first_line(error)
            raise ModelError(f"{self.name}: transformers cannot {doing} it ({reason})") from error

    @property
    def fit(self) -> str:
        """What its processor takes of a photograph, as `sterna.images.FITS` has it; "own" where unknown."""
        if getattr(self._images, "do_center_crop", None):
            return "crop"
        size = dict(getattr(self._images, "size", None) or {})
        return "squeeze" if size.get("height") and size.get("width") else "own"

    @cached_property
    def _max_tokens(self) -> int:
        config = getattr(self._model.config, "text_config", self._model.config)
        known = (getattr(config, "max_position_embeddings", None), self._tokenizer.model_max_length)
        return min([_MOST_TOKENS, *(int(value) for value in known if value)])

    def _tokens(self, texts: list[str]) -> Mapping[str, torch.Tensor]:
        # SigLIP has no mask: it was trained on sentences padded to its full length, and is used the same way.
        fixed = str(self._model.config.model_type).startswith("siglip")
        with self._one_at_a_time:
            tokens: Mapping[str, torch.Tensor] = self._tokenizer(
                texts,
                padding="max_length" if fixed else True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
        return tokens

    def _text_features(self, tokens: Mapping[str, torch.Tensor]) -> NDArray[np.float32]:
        return self._features(self._model.get_text_features, tokens)

    def _side(self) -> int:
        """Pixels of the shorter side that its own resizing begins with."""
        sizes = [getattr(self._images, name, None) or {} for name in ("size", "crop_size")]
        sides = [dict(size).get(name) for size in sizes for name in ("shortest_edge", "height", "width")]
        return max([int(side) for side in sides if side], default=512)

    def _prepare(self, photo: Photo) -> dict[str, NDArray[Any]]:
        arrays = self._images(images=[self._not_thin(photo)], return_tensors="np")
        return {name: np.asarray(value)[0] for name, value in arrays.items()}

    def _not_thin(self, photo: Photo) -> Image.Image:
        """What its processor makes the same of, where resizing the shorter side would make it very long."""
        image = photo.image
        width, height = image.size
        most = _THIN * min(width, height)
        if max(width, height) <= most:
            return image
        size = dict(getattr(self._images, "size", None) or {})
        if size.get("height") and size.get("width"):  # squeezed, from averages that are still far finer
            across, down = width // (_THIN * size["width"]), height // (_THIN * size["height"])
            return image.reduce((max(1, across), max(1, down)))
        if getattr(self._images, "do_center_crop", None):  # of which the middle is taken
            left, top = max(0, (width - most) // 2), max(0, (height - most) // 2)
            return image.crop((left, top, min(width, left + most), min(height, top + most)))
        shape = f"{photo.width} x {photo.height} pixels"
        raise PhotoError(f"{shape}: too long and thin for this model, which takes up to {_THIN} to 1")

    def _run_images(self, items: list[dict[str, NDArray[Any]]]) -> NDArray[np.float32]:
        import torch

        batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
        with self._errors("encode photographs with"):
            return self._features(self._model.get_image_features, batch)

    def _features(
        self, network: Callable[..., Any], inputs: Mapping[str, torch.Tensor]
    ) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            output = network(**{name: value.to(self._device) for name, value in inputs.items()})
            vectors = output if isinstance(output, torch.Tensor) else output.pooler_output
            unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)
