"""A model folder small enough for a test, made without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

DIM, SIZE, CELLS = 32, 32, 4
VOCABULARY = "[PAD] [UNK] a the dog cat beach snow red green blue two people sunset"
WORDS = VOCABULARY.split()


def make_tiny_model(folder: Path, *, seed: int = 0, size: int = SIZE, alignment: str | None = None) -> Path:
    """Write `config.json`, `image.onnx`, `text.onnx`, `tokenizer.json` and `README.md` to `folder`.

    With an `alignment` its networks also tell regions (the cells of a grid) and words.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    _save(folder / "image.onnx", _image_graph(rng, size, items=alignment is not None))
    _save(folder / "text.onnx", _text_graph(rng, items=alignment is not None))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "schema": 1,
        "name": f"tiny-{seed}",
        "dim": DIM,
        "image": {
            "file": "image.onnx", "size": size, "fit": "squeeze", "input": "pixels", "output": "vectors",
        },
        "text": {
            "file": "text.onnx", "max_tokens": 16, "inputs": ["ids", "mask"], "output": "vectors",
            "lowercase": True,
        },
    }  # fmt: skip
    if alignment is not None:
        config |= {"score": alignment, "alignment": alignment}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "README.md").write_text("# tiny\n\nA model for tests.\n", encoding="utf-8")
    return folder


def _save(path: Path, graph: onnx.GraphProto) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _image_graph(rng: np.random.Generator, size: int, *, items: bool) -> onnx.GraphProto:
    weights = rng.normal(size=(3 * CELLS * CELLS, DIM)).astype(np.float32)
    patch = size // CELLS
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["real", "centre"], ["shifted"]),
        helper.make_node("Transpose", ["shifted"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["cells"], kernel_shape=[patch, patch], strides=[patch, patch]
        ),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["out"]),
        helper.make_node("LpNormalization", ["out"], ["vectors"], axis=1, p=2),
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIM])]
    constants = [
        numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.float32(127), "centre"),
    ]  # fmt: skip
    if items:
        colours = rng.normal(size=(3, DIM)).astype(np.float32)
        constants += [
            numpy_helper.from_array(colours, "colours"),
            numpy_helper.from_array(np.array([0, 3, -1], dtype=np.int64), "rows"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ]
        nodes += [
            helper.make_node("Reshape", ["cells", "rows"], ["listed"]),
            helper.make_node("Transpose", ["listed"], ["by_cell"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["by_cell", "colours"], ["seen"]),
            helper.make_node("LpNormalization", ["seen"], ["regions"], axis=2, p=2),
            helper.make_node("ReduceSum", ["regions", "last"], ["sums"], keepdims=0),
            helper.make_node("Mul", ["sums", "zero"], ["zeros"]),
            helper.make_node("Equal", ["zeros", "zero"], ["regions_mask"]),
        ]
        outputs += [
            helper.make_tensor_value_info("regions", TensorProto.FLOAT, ["n", CELLS * CELLS, DIM]),
            helper.make_tensor_value_info("regions_mask", TensorProto.BOOL, ["n", CELLS * CELLS]),
        ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", size, size, 3])
    return helper.make_graph(nodes, "image", [pixels], outputs, constants)


def _text_graph(rng: np.random.Generator, *, items: bool) -> onnx.GraphProto:
    table = rng.normal(size=(len(WORDS), DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["tokens"]),
        helper.make_node("Cast", ["mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["column"]),
        helper.make_node("Mul", ["tokens", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["total"], keepdims=0),
        helper.make_node("LpNormalization", ["total"], ["vectors"], axis=1, p=2),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"])
    mask = helper.make_tensor_value_info("mask", TensorProto.INT64, ["n", "t"])
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", DIM])]
    if items:
        nodes += [
            helper.make_node("LpNormalization", ["kept"], ["words"], axis=2, p=2),
            helper.make_node("Cast", ["mask"], ["words_mask"], to=TensorProto.BOOL),
        ]
        outputs += [
            helper.make_tensor_value_info("words", TensorProto.FLOAT, ["n", "t", DIM]),
            helper.make_tensor_value_info("words_mask", TensorProto.BOOL, ["n", "t"]),
        ]
    return helper.make_graph(nodes, "text", [ids, mask], outputs, constants)
