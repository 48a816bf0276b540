"""Keeps the few outlying channels of activations out of the products of eight bits (LLM.int8, Dettmers et al., 2022).

Some channels of a transformer's activations are tens of times as large as the others; the one scale of a quantised
tensor then leaves next to no resolution to those. Which channels they are hardly depends on the text: they are read
off typical texts once, multiplied in fp32 on the side, and set to nought in what is quantised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

_GAIN = 2.0
OUTLYING = 1 / 48
FloatArray = npt.NDArray[np.float32]


def split_outliers(
    model: onnx.ModelProto, ids: Sequence[Sequence[int]], *, leave: Sequence[str] = (), most: float = OUTLYING
) -> list[str]:
    """Give outlying channels products of their own; what the model gives stays the same but for rounding.

    Args:
        model: an exported model in fp32; it is changed.
        ids: token ids of typical texts, from which the channels' sizes are read.
        leave: names of products that are left as they are.
        most: share of a product's channels that may be taken for outlying, 0 to 1.

    Returns:
        the names of the new products, which are to stay in fp32.
    """
    graph = model.graph
    weights = {t.name: t for t in graph.initializer if len(t.dims) == 2}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights and n.name not in leave]
    sizes = _sizes(model, sorted({n.input[0] for n in products}), ids)
    nodes: list[onnx.NodeProto] = []
    aside: list[str] = []
    for node in graph.node:
        size = sizes.get(node.input[0]) if node in products else None
        outlying = _outlying(size, most) if size is not None else np.empty(0, dtype=np.int64)
        if not len(outlying):
            nodes.append(node)
            continue
        nodes += _split(graph, node, numpy_helper.to_array(weights[node.input[1]]), outlying)
        aside.append(nodes[-2].name)
    del graph.node[:]
    graph.node.extend(nodes)
    return aside


def _outlying(size: FloatArray, most: float) -> npt.NDArray[np.int64]:
    count = int(len(size) * most)
    order = np.argsort(-size)
    # Each costs a little: it is worth it where without them the others are resolved at least twice as finely.
    worth = count > 0 and size[order[0]] > _GAIN * size[order[count]]
    return np.sort(order[:count]) if worth else np.empty(0, dtype=np.int64)


def _split(
    graph: onnx.GraphProto, product: onnx.NodeProto, weight: FloatArray, outlying: npt.NDArray[np.int64]
) -> list[onnx.NodeProto]:
    out = product.output[0]
    mask = np.ones(len(weight), dtype=np.float32)
    mask[outlying] = 0
    for own, value in (("mask", mask), ("channels", outlying), ("weight", weight[outlying])):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{out}.outlying.{own}"))
    source, product.input[0], product.output[0] = product.input[0], f"{out}.even", f"{out}.most"
    return [
        helper.make_node("Mul", [source, f"{out}.outlying.mask"], [f"{out}.even"]),
        product,
        helper.make_node("Gather", [source, f"{out}.outlying.channels"], [f"{out}.outlying"], axis=-1),
        helper.make_node(
            "MatMul", [f"{out}.outlying", f"{out}.outlying.weight"], [f"{out}.rest"], name=f"{out}.outlying"
        ),
        helper.make_node("Add", [f"{out}.most", f"{out}.rest"], [out]),
    ]


def _sizes(model: onnx.ModelProto, names: Sequence[str], ids: Sequence[Sequence[int]]) -> dict[str, FloatArray]:
    """Give the largest absolute value of each channel of some tensors."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    votes = next(i for i in session.get_inputs() if i.name == "votes")
    silent = np.zeros((1, votes.shape[1]), dtype=np.float32)
    found: dict[str, Any] = dict.fromkeys(names, 0.0)
    for one in ids:
        outputs = session.run(None, {"input_ids": np.asarray([one], dtype=np.int64), "votes": silent})
        for name, value in zip(names, outputs, strict=True):
            found[name] = np.maximum(found[name], np.abs(value).reshape(-1, value.shape[-1]).max(0))
    return found
