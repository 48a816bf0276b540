"""Fused attention in the exported graph: one product for query, key and value, one node for all heads of a layer.

The tracer knows nothing of ONNX Runtime's ``MultiHeadAttention``. An attention function of our own, which every encoder
of transformers' attention interface can be told to use, writes that node; afterwards the graph is tidied: the layouts
that transformers builds for its heads are undone, as the node splits the heads itself, and the three products that read
the same tokens become one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from transformers import AttentionInterface, PreTrainedModel

log = logging.getLogger(__name__)
NODE = "MultiHeadAttention"
DOMAIN = "com.microsoft"
_NAME = "rasd_fused"
_LONGEST = 512
_CLOSE = 1e-3
# From the attention upwards; the tracer may have cancelled the two transposes already.
_LAYOUTS = (("Reshape", "Transpose", "Transpose", "Reshape"), ("Reshape", "Reshape"))


class _Heads(torch.autograd.Function):
    """Attention of all heads over one text, without a mask; a single node where it is traced."""

    @staticmethod
    def forward(
        _: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, scaling: float
    ) -> torch.Tensor:
        q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (query, key, value))
        found = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling)
        return found.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int, scaling: float) -> Any:
        found = graph.op(f"{DOMAIN}::{NODE}", query, key, value, num_heads_i=heads, scale_f=scaling)
        # What follows must know that the shape is the query's.
        found.setType(query.type())
        return found


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    del module
    if mask is not None:
        raise ValueError("the fused attention reads one text without padding, and got a mask")
    heads, size = query.shape[1], query.shape[3]
    joined = (t.transpose(1, 2).flatten(2) for t in (query, key, value))
    found = _Heads.apply(*joined, int(heads), float(scaling or size**-0.5))  # type: ignore[no-untyped-call]
    return found.unflatten(-1, (int(heads), int(size))), None


@contextmanager
def fused_attention(encoder: PreTrainedModel) -> Iterator[None]:
    """Let an encoder attend through the fused node meanwhile, where it says the same so.

    An encoder that does not take its attention from transformers' interface, or whose layers need a mask of their own
    (such as a sliding window), attends in plain operations.

    Args:
        encoder: the transformer, in fp32.
    """
    AttentionInterface.register(_NAME, _attend)
    before = encoder.config._attn_implementation
    ids = torch.arange(min(int(getattr(encoder.config, "max_position_embeddings", _LONGEST)), _LONGEST) - 4)[None]
    ids = 5 + ids % (encoder.config.vocab_size - 5)
    encoder.set_attn_implementation("eager")
    wanted = _read(encoder, ids)
    encoder.set_attn_implementation(_NAME)
    try:
        if not torch.allclose(_read(encoder, ids), wanted, atol=_CLOSE, rtol=_CLOSE):
            log.warning("the encoder's attention cannot be fused: it would say something else; exported as it is")
            encoder.set_attn_implementation("eager")
        yield
    finally:
        encoder.set_attn_implementation(before)


@torch.no_grad()
def _read(encoder: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return found


def tidy(model: onnx.ModelProto) -> None:
    """Undo layouts that lead into a fused attention, join its three products, drop what nothing reads.

    Args:
        model: an exported model; it is changed.
    """
    graph = model.graph
    made = {name: node for node in graph.node for name in node.output}
    for node in [n for n in graph.node if n.op_type == NODE]:
        for place in range(3):
            node.input[place] = _before_layout(node.input[place], made)
    for node in [n for n in graph.node if n.op_type == NODE]:
        _join_products(graph, node, made)
    _drop_unread(graph)
    _order(graph)
    if all(o.domain != DOMAIN for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _before_layout(name: str, made: dict[str, onnx.NodeProto]) -> str:
    """Give what stood before heads were split off and joined again, which is nothing in the end."""
    for pattern in _LAYOUTS:
        found = name
        for wanted in pattern:
            node = made.get(found)
            if node is None or node.op_type != wanted:
                break
            found = node.input[0]
        else:
            return found
    return name


def _join_products(graph: onnx.GraphProto, attention: onnx.NodeProto, made: dict[str, onnx.NodeProto]) -> None:
    parts = [_linear(name, graph, made) for name in attention.input[:3]]
    linear = [p for p in parts if p is not None]
    if len(linear) < 3 or len({source for source, _, _ in linear}) > 1:
        return
    name = attention.output[0]
    weights = np.concatenate([w for _, w, _ in linear], axis=1)
    sizes = np.array([w.shape[1] for _, w, _ in linear], dtype=np.int64)
    for own, value in (
        ("weight", weights),
        ("bias", np.concatenate([b for _, _, b in linear])),
        ("sizes", sizes),
    ):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{name}.qkv.{own}"))
    outputs = [f"{name}.{part}" for part in ("query", "key", "value")]
    graph.node.extend(
        [
            helper.make_node(
                "MatMul", [linear[0][0], f"{name}.qkv.weight"], [f"{name}.qkv.product"], name=f"{name}.qkv"
            ),
            helper.make_node("Add", [f"{name}.qkv.product", f"{name}.qkv.bias"], [f"{name}.qkv"]),
            helper.make_node("Split", [f"{name}.qkv", f"{name}.qkv.sizes"], outputs, axis=-1),
        ]
    )
    for place, output in enumerate(outputs):
        attention.input[place] = output


def _linear(
    name: str, graph: onnx.GraphProto, made: dict[str, onnx.NodeProto]
) -> tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Give source, weight and bias where a value is a product with a constant, plus a constant."""
    values = {t.name: t for t in graph.initializer}

    def constant(of: str) -> onnx.TensorProto | None:
        # Of constants that are equal, such as fresh biases, the tracer keeps one and names the others after it.
        while of in made and made[of].op_type == "Identity":
            of = made[of].input[0]
        return values.get(of)

    add = made.get(name)
    if add is None or add.op_type != "Add":
        return None
    bias = next((found for i in add.input if (found := constant(i)) is not None), None)
    product = next((made[i] for i in add.input if i in made and made[i].op_type == "MatMul"), None)
    weight = constant(product.input[1]) if product is not None else None
    if bias is None or product is None or weight is None:
        return None
    return product.input[0], numpy_helper.to_array(weight), numpy_helper.to_array(bias)


def _drop_unread(graph: onnx.GraphProto) -> None:
    while True:
        read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
        kept = [node for node in graph.node if read.intersection(node.output)]
        if len(kept) == len(graph.node):
            break
        del graph.node[:]
        graph.node.extend(kept)
    values = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(values)


def _order(graph: onnx.GraphProto) -> None:
    """Put every node after those whose output it reads."""
    waiting, ready = list(graph.node), {t.name for t in graph.initializer} | {i.name for i in graph.input} | {""}
    ordered: list[onnx.NodeProto] = []
    while waiting:
        later = []
        for node in waiting:
            if ready.issuperset(node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        waiting = later
    del graph.node[:]
    graph.node.extend(ordered)
