"""The machine's int8 rate on the matrix products of an encoder's layers: what no engine can be faster than here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from inference.processor import usable_cores

_SECONDS = 1.5


def layer_products(hidden: int, inner: int) -> list[tuple[int, int]]:
    """Give rows and columns of the weights of one layer: query, key and value together, output, inner in, inner out."""
    return [(hidden, 3 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]


def operations(products: list[tuple[int, int]], tokens: float) -> float:
    """Give the billions of multiplications and additions of the products, for a text of so many tokens."""
    return 2 * tokens * sum(rows * columns for rows, columns in products) / 1e9


def measured_rate(hidden: int, inner: int, tokens: int) -> float:
    """Give billions of int8 operations a second on a layer's products, one text a thread as Rasd serves them.

    Args:
        hidden: the encoder's width.
        inner: the width of its inner layers.
        tokens: tokens of a text.
    """
    products = layer_products(hidden, inner)
    session = _session(products, tokens)
    given = {f"a{i}": np.ones((tokens, rows), np.uint8) for i, (rows, _) in enumerate(products)}
    session.run(None, given)

    def work(_: int) -> int:
        times, end = 0, time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            session.run(None, given)
            times += 1
        return times

    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        times = sum(pool.map(work, range(cores)))
        return operations(products, tokens) * times / (time.perf_counter() - start)


def _session(products: list[tuple[int, int]], tokens: int) -> ort.InferenceSession:
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", [f"a{i}", f"b{i}"], [f"c{i}"]) for i in range(len(products))],
        "products",
        [
            helper.make_tensor_value_info(f"a{i}", TensorProto.UINT8, [tokens, rows])
            for i, (rows, _) in enumerate(products)
        ],
        [
            helper.make_tensor_value_info(f"c{i}", TensorProto.INT32, [tokens, columns])
            for i, (_, columns) in enumerate(products)
        ],
        [onnx.numpy_helper.from_array(np.ones(shape, np.int8), f"b{i}") for i, shape in enumerate(products)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
