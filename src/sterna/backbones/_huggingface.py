"""Networks and tokenizers of `transformers`, from the hub or a folder: safetensors, never foreign code."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from tokenizers import Tokenizer
from torch import Tensor, nn

from sterna._transformers import quiet_transformers
from sterna.backbones._bert import BertText
from sterna.backbones._tokenizer import layer_number, set_up_text
from sterna.backbones._tuning import add_low_rank, run_again
from sterna.backbones._types import TextBackbone, Tokens, freeze
from sterna.errors import MissingExtraError, ModelError, SternaError
from sterna.files import hash_bytes, hash_json

__all__ = ["HuggingFaceText", "hash_weights", "load_network", "load_text", "trying"]


@contextlib.contextmanager
def trying(name: str, what: str = "loaded") -> Iterator[None]:
    """Turn whatever is raised about a missing or unfit model into one sentence."""
    try:
        yield
    except SternaError:
        raise
    except Exception as error:  # transformers, safetensors and a network's code raise whatever they like
        reason = _reason(error)
        hint = "name a folder with config.json and model.safetensors, or a model of the hub that is in reach"
        ending = f"; {hint}" if what == "loaded" else ""
        raise ModelError(f"{name}: cannot be {what} ({reason}){ending}") from error


_REASONS = (
    (
        r"Unrecognized configuration class .*configuration_(\w+)\.",
        r"it is of the kind {0}, which is not what is wanted",
    ),
    (
        r"is not a local folder|correct path to a directory|Repo id must|couldn't connect",
        "no such folder or model",
    ),
)


def _reason(error: Exception) -> str:
    """What went wrong, without the advice and the lists of a library that is not what people called."""
    text = " ".join(str(error).split())
    for pattern, words in _REASONS:
        if found := re.search(pattern, text):
            return words.format(*found.groups())
    return text if len(text) <= 300 else f"{text[:300].rsplit(' ', 1)[0]} ..."


def load_network(name: str, *, kind: str = "hf", revision: str | None = None) -> nn.Module:
    """The network of a hub name or folder, in float32, safetensors alone.

    Arguments:
        name: of the hub, or a folder.
        kind: what the name stands behind: "hf" for an encoder, "detector".
        revision: of the hub's model; `None` means its main one.

    Raises `ModelError` where it is not there or not usable, `MissingExtraError` without `transformers`.
    """
    try:
        from transformers import AutoModel, AutoModelForObjectDetection
    except ImportError as error:
        raise MissingExtraError(f"The backbone {kind}:{name}", extra="hf") from error
    auto = AutoModelForObjectDetection if kind == "detector" else AutoModel
    with quiet_transformers(bars=not Path(name).is_dir()), trying(f"{kind}:{name}"):
        network, loaded = auto.from_pretrained(
            name,
            revision=revision or "main",
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    return _without_chance(network, missing=set(loaded["missing_keys"]), name=f"{kind}:{name}")


def _without_chance(network: nn.Module, *, missing: set[str], name: str) -> nn.Module:
    """Zero what the weights lack and `transformers` filled by chance, which would be part of the hash."""
    lacking = sorted(key for key in missing if "pooler" not in key)  # poolers are not used here
    if lacking:
        raise ModelError(f"{name}: its weights lack {lacking[0]!r} and {len(lacking) - 1} more tensors")
    with torch.no_grad():
        for key, value in network.named_parameters():
            if key in missing:
                value.zero_()
    return network


def hash_weights(network: nn.Module) -> str:
    """Hash of all parameters and buffers, by name."""
    state = {
        key: hash_bytes(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for key, value in network.state_dict().items()
    }
    return hash_json(state)


def load_text(
    name: str,
    *,
    label: str | None = None,
    max_tokens: int = 64,
    trainable_layers: int | None = 0,
    low_rank: int = 0,
    hidden_layer: int | None = None,
    checkpointing: bool = False,
) -> TextBackbone:
    """A text encoder by hub name or folder; the options are `text_backbone`'s.

    Arguments:
        name: of the hub, or a folder.
        label: the name that it bears; `None` means `hf:` and `name`.
    """
    network = load_network(name)
    tokenizer = _load_tokenizer(name)
    config: Any = network.config
    kind = BertText if config.model_type == "bert" else HuggingFaceText
    return kind(
        label or f"hf:{name}",
        network,
        tokenizer=tokenizer,
        weights=hash_weights(network),
        max_tokens=max_tokens,
        trainable_layers=trainable_layers,
        low_rank=low_rank,
        hidden_layer=hidden_layer,
        checkpointing=checkpointing,
    )


def _load_tokenizer(name: str) -> Tokenizer:
    file = Path(name) / "tokenizer.json"
    if file.is_file():
        try:
            return Tokenizer.from_file(str(file))
        except Exception as error:  # the only kind that tokenizers raises
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"{file}: not a usable tokenizer ({reason}); bring back the model's own"
            ) from error
    from transformers import AutoTokenizer

    with trying(f"hf:{name}"):
        loaded = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"hf:{name}: has no fast tokenizer (tokenizer.json); save one beside its weights")
    return Tokenizer.from_str(backend.to_str())


class HuggingFaceText(TextBackbone):
    """Any encoder of `transformers` that gives a last hidden state.

    The arguments are those of `BertText`. Layers are trained where they lie, within `stem`.
    Raises `ModelError` where it cannot be run on `max_tokens` tokens.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        tokenizer: Tokenizer,
        weights: str,
        max_tokens: int = 64,
        trainable_layers: int | None = 0,
        low_rank: int = 0,
        hidden_layer: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        text: Any = getattr(network.config, "text_config", network.config)
        self.network: nn.Module = getattr(network, "text_model", network)
        layers = _layers(self.network)
        self.hidden_layer = layer_number(hidden_layer, len(layers), name)
        set_up_text(self, name, config=text, tokenizer=tokenizer, weights=weights, max_tokens=max_tokens)
        above = [] if self.hidden_layer is None else layers[self.hidden_layer :]  # they run, and nobody looks
        layers = layers[: self.hidden_layer]
        every = trainable_layers is None or (low_rank > 0 and not trainable_layers)
        tuned = len(layers) if every or trainable_layers is None else trainable_layers
        freeze(self, layers, wanted=tuned, name=name)
        tail = layers[len(layers) - tuned :]
        if low_rank:
            add_low_rank(tail, low_rank, name=name)
        elif trainable_layers is None:
            self._train_whole(above)
        self._try_longest()
        if checkpointing:
            for layer in tail:
                layer.forward = partial(_again, layer.forward)

    def _train_whole(self, above: Sequence[nn.Module]) -> None:
        self.network.requires_grad_(True)
        named = self.network.named_modules()
        poolers = [one for name, one in named if name.rpartition(".")[2] == "pooler"]
        for unused in (*poolers, *above):
            unused.requires_grad_(False)

    def _try_longest(self) -> None:
        # not every network says truly how much it can read, and some need more than ids and a mask
        other = int((self.tokenizer.padding or {}).get("pad_id") == 0)  # padding has no position in some
        ids = torch.full((1, self.max_tokens), other, dtype=torch.int64)
        with (
            torch.inference_mode(),
            trying(self.name, f"run on {self.max_tokens} tokens"),
        ):
            self(ids, torch.ones_like(ids))

    def stem(self, ids: Int64[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Ids [B, T] and mask [B, T] to the hidden state [B, T, D] that was asked for."""
        number = self.hidden_layer
        options = {} if number is None else {"output_hidden_states": True}
        out = self.network(input_ids=ids, attention_mask=mask.to(torch.int64), **options)
        hidden: Tensor = out.last_hidden_state if number is None else out.hidden_states[number]
        return hidden

    def tail(self, hidden: Float[Tensor, "B T D"], mask: Shaped[Tensor, "B T"]) -> Tokens:
        """Masked positions become zeros."""
        real = mask.to(torch.bool)
        return Tokens(hidden * real[..., None].to(hidden.dtype), real)


def _layers(network: nn.Module) -> list[nn.Module]:
    """The layers of an encoder: the outermost list of modules that is named so."""
    for name, module in network.named_modules():
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in ("layer", "layers", "block"):
            return list(module)
    return []


def _again(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    return run_again(forward, *inputs, active=True, **options)
