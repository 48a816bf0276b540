"""Lets a product of eight bits see what it reads more finely: a scale for each token, or two steps.

A quantiser gives all of a text's activations one scale. Where one token is many times as large as the others, little
resolution is left to those; so each token is divided by its largest value before the product and multiplied by it
after. Where even that is too coarse, as in what attention compares, the rest that eight bits leave is multiplied in
eight bits as well, and both products are added: sixteen bits for twice the time of a product that is a small part of
the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

_LEAST = "rasd.least"


def scale_by_token(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Let products read tokens whose largest absolute value is one; what they give stays the same.

    Args:
        model: an exported model in fp32; it is changed.
        names: of the products.
    """
    if not names:
        return
    model.graph.initializer.append(numpy_helper.from_array(np.array([1e-12], dtype=np.float32), _LEAST))

    def even(source: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("Abs", [source], [f"{source}.size"]),
            helper.make_node("ReduceMax", [f"{source}.size"], [f"{source}.most"], axes=[-1], keepdims=1),
            # An empty token would be divided by nought.
            helper.make_node("Add", [f"{source}.most", _LEAST], [f"{source}.largest"]),
            helper.make_node("Div", [source, f"{source}.largest"], [f"{source}.even"]),
        ]

    def product(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        source, out = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{source}.even", f"{out}.even"
        return [node, helper.make_node("Mul", [f"{out}.even", f"{source}.largest"], [out])]

    _rewrite(model.graph, names, even, product)


def read_in_two_steps(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Let products read their input in two parts: what eight bits keep of it, and the rest; the sum stays the same.

    A quantiser finds the first part on the grid of eight bits that it was put on.

    Args:
        model: an exported model in fp32; it is changed.
        names: of the products.
    """

    def rest(source: str) -> list[onnx.NodeProto]:
        kept = [f"{source}.{part}" for part in ("kept", "kept.scale", "kept.zero")]
        return [
            helper.make_node("DynamicQuantizeLinear", [source], kept),
            helper.make_node("DequantizeLinear", kept, [f"{source}.coarse"]),
            helper.make_node("Sub", [source, f"{source}.coarse"], [f"{source}.rest"]),
        ]

    def product(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        source, out = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{source}.coarse", f"{out}.coarse"
        fine = helper.make_node("MatMul", [f"{source}.rest", node.input[1]], [f"{out}.fine"], name=f"{node.name}.fine")
        return [node, fine, helper.make_node("Add", [f"{out}.coarse", f"{out}.fine"], [out])]

    _rewrite(model.graph, names, rest, product)


def _rewrite(
    graph: onnx.GraphProto,
    names: Collection[str],
    prepare: Callable[[str], list[onnx.NodeProto]],
    replace: Callable[[onnx.NodeProto], list[onnx.NodeProto]],
) -> None:
    """Put nodes before what the named products read, once for each such value, and others in place of the products."""
    nodes: list[onnx.NodeProto] = []
    prepared: set[str] = set()
    for node in graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        if node.input[0] not in prepared:
            prepared.add(node.input[0])
            nodes += prepare(node.input[0])
        nodes += replace(node)
    del graph.node[:]
    graph.node.extend(nodes)
