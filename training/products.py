"""The matrix products of an exported encoder, and what they read over typical texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper

from training.fuse import NODE as ATTENTION


def weighted_products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Give the products with a constant matrix, in the graph's order.

    Args:
        graph: of an exported model in fp32.
    """
    matrices = {t.name for t in graph.initializer if len(t.dims) == 2}
    return [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in matrices]


def read_by_attention(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Give those of the products that make the queries, keys and values of a fused attention.

    Args:
        graph: of an exported model in fp32.
    """
    products = {n.output[0]: n for n in weighted_products(graph)}
    made = {name: node for node in graph.node for name in node.output}
    sources = {_source(name, made, products) for n in graph.node if n.op_type == ATTENTION for name in n.input[:3]}
    return [node for output, node in products.items() if output in sources]


def _source(name: str, made: Mapping[str, onnx.NodeProto], products: Mapping[str, onnx.NodeProto]) -> str:
    """Give the product that a value comes from by way of a bias and a split."""
    while name not in products and name in made and made[name].op_type in ("Split", "Add"):
        name = next((i for i in made[name].input if i in made), "")
    return name


@dataclass(frozen=True)
class Read:
    """What typical texts show of a tensor that a product reads.

    Args:
        moment: shape ``(channels, channels)``; second moments of the channels.
        spread: a text's largest value less its smallest, in root mean squares; the mean over texts.
    """

    moment: npt.NDArray[np.float32]
    spread: float


def observe(model: onnx.ModelProto, names: Sequence[str], ids: Sequence[Sequence[int]]) -> dict[str, Read]:
    """Watch some tensors over typical texts.

    Args:
        model: an exported model in fp32.
        names: the tensors; their last axis is the channels.
        ids: token ids of the texts, at least one.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    silent = {
        i.name: np.zeros((1, i.shape[1]), dtype=np.float32) for i in session.get_inputs() if i.name != "input_ids"
    }
    sums: dict[str, npt.NDArray[np.float32]] = {}
    spreads: dict[str, list[float]] = {name: [] for name in names}
    for one in ids:
        outputs = session.run(None, {"input_ids": np.asarray([one], dtype=np.int64), **silent})
        for name, value in zip(names, outputs, strict=True):
            own = value.reshape(-1, value.shape[-1])
            sums[name] = sums.get(name, np.float32(0)) + own.T @ own
            size = float(np.sqrt((own**2).mean()))
            spreads[name].append(float(own.max() - own.min()) / size if size else 0.0)
    rows = np.float32(sum(map(len, ids)))
    return {name: Read(total / rows, float(np.mean(spreads[name]))) for name, total in sums.items()}
