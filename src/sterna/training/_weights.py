"""Smaller weights: rounded to half precision or to int8 with scales, in torch and in an ONNX graph.

Both sides round by the same rules, and rounding what is already rounded changes nothing: a network rounded in
torch, exported, and then stored small is the same network. In the graph, float32 is made again from what is
stored by `Cast` (and `Mul`), which ONNX Runtime does once, at loading; a table of word vectors is made again
row by row, as its words are looked up. Computing is float32 throughout.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

__all__ = ["Precision", "round_weights", "shrink_graph"]

Precision = Literal["float32", "float16", "int8"]
_SMALL = 1024  # below it, and with one axis (norms, biases), a tensor stays float32


@torch.no_grad()
def round_weights(module: nn.Module, precision: Precision) -> None:
    """Round `module`'s weights in place; "int8" is for linear layers, convolutions and word vectors alone."""
    done: set[int] = set()
    for inner in module.modules():
        channels = isinstance(inner, nn.Linear | nn.Embedding | nn.Conv2d)
        for name, weight in inner.named_parameters(recurse=False):
            if id(weight) in done or not _is_large(tuple(weight.shape)) or precision == "float32":
                continue
            done.add(id(weight))
            if precision == "int8" and channels and name == "weight":
                quantized, scale = _to_int8(weight.numpy(), axis=0)
                weight.copy_(torch.from_numpy(quantized.astype(np.float32) * scale))
            else:
                weight.copy_(weight.half().float())


def shrink_graph(path: Path, precision: Precision) -> None:
    """Store the weights of an ONNX file in `precision`, and equal ones once."""
    import onnx

    model = onnx.load(str(path))
    _drop_aliases(model.graph)
    _join_equal(model.graph)
    if precision != "float32":
        _Shrinking(model.graph, precision).run()
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


class _Shrinking:
    def __init__(self, graph: GraphProto, precision: Precision) -> None:
        self.graph = graph
        self.precision = precision
        self.users: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        for node in graph.node:
            for place, name in enumerate(node.input):
                self.users[name].append((node, place))
        self.before: list[NodeProto] = []
        self.after: dict[int, list[NodeProto]] = {}

    def run(self) -> None:
        from onnx import TensorProto

        for tensor in list(self.graph.initializer):
            if tensor.data_type == TensorProto.FLOAT and _is_large(tuple(tensor.dims)):
                self._shrink(tensor)
        nodes = list(self.before)
        for node in self.graph.node:
            nodes += [node, *self.after.get(id(node), [])]
        copies = [_copy(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)

    def _shrink(self, tensor: TensorProto) -> None:
        from onnx import numpy_helper

        values = numpy_helper.to_array(tensor)
        axis = _channel_axis(self.users[tensor.name])
        if self.precision == "int8" and axis is not None:
            stored, scale = _to_int8(values, axis=axis)
        else:
            stored, scale = values.astype(np.float16), None
        looked_up = all(_is_lookup(node, place) for node, place in self.users[tensor.name])
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}.stored"))
        if scale is not None:
            self.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        if looked_up:
            for node, _ in self.users[name]:
                self._restore_rows(name, node, scaled=scale is not None)
        else:
            self.before += _restore(f"{name}.stored", name, f"{name}.scale" if scale is not None else None)

    def _restore_rows(self, name: str, node: NodeProto, *, scaled: bool) -> None:
        # Rows are looked up as they are stored and only then made float32: the table itself never is.
        from onnx import helper

        output, indices = node.output[0], node.input[1]
        node.input[0], node.output[0] = f"{name}.stored", f"{output}.stored"
        scale = f"{output}.scale" if scaled else None
        rows = [helper.make_node("Gather", [f"{name}.scale", indices], [scale], axis=0)] if scale else []
        self.after[id(node)] = [*rows, *_restore(f"{output}.stored", output, scale)]


def _restore(stored: str, name: str, scale: str | None) -> list[NodeProto]:
    from onnx import TensorProto, helper

    if scale is None:
        return [helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)]
    return [
        helper.make_node("Cast", [stored], [f"{name}.whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.whole", scale], [name]),
    ]


def _copy(node: NodeProto) -> NodeProto:
    from onnx import NodeProto

    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _is_large(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and int(np.prod(shape)) >= _SMALL


def _is_lookup(node: NodeProto, place: int) -> bool:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return node.op_type == "Gather" and place == 0 and axis == 0


def _channel_axis(users: list[tuple[NodeProto, int]]) -> int | None:
    """The axis of output channels where all users are products, convolutions or look-ups that agree on it."""
    axes = set()
    for node, place in users:
        if node.op_type == "MatMul" and place == 1:
            axes.add(1)
        elif node.op_type == "Conv" and place == 1:
            axes.add(0)
        elif node.op_type == "Gemm" and place == 1:
            turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            axes.add(0 if turned else 1)
        elif _is_lookup(node, place):
            axes.add(0)
        else:
            return None
    return axes.pop() if len(axes) == 1 else None


def _to_int8(values: NDArray[np.float32], *, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 and its scales, one a channel on `axis`; `values` are nearly their product."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = np.abs(values).max(axis=others, keepdims=True).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(values / scale).astype(np.int8), scale


def _drop_aliases(graph: GraphProto) -> None:
    """Give a weight that several layers share one name; the exporter makes an `Identity` for each but one."""
    names = {tensor.name: tensor.name for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in names:
            names[node.output[0]] = names[node.input[0]]
        else:
            nodes.append(_copy(node))
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _join_equal(graph: GraphProto) -> None:
    names: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    kept = []
    for tensor in graph.initializer:
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(tensor.raw_data).digest())
        if not tensor.raw_data or key not in names:
            names.setdefault(key, tensor.name)
            kept.append(_copy_tensor(tensor))
        else:
            same[tensor.name] = names[key]
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _copy_tensor(tensor: TensorProto) -> TensorProto:
    from onnx import TensorProto

    copy = TensorProto()
    copy.CopyFrom(tensor)
    return copy
