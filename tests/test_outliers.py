"""Outlying channels get products of their own: the same product, and eight bits do for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.outliers import split_outliers
from training.quantise import quantise

CHANNELS, OUTLYING = 96, (7, 50)
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(20, CHANNELS)).astype(np.float32)
WEIGHT = RNG.normal(size=(CHANNELS, 16)).astype(np.float32)
TYPICAL = [[1, 2, 3, 4], [5, 6, 7]]


def model(table: np.ndarray) -> onnx.ModelProto:
    """Looks tokens up in a table and multiplies what it finds."""
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["x"]),
            helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
        ],
        "g",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("votes", TensorProto.FLOAT, [1, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", 16])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outlying() -> np.ndarray:
    table = TABLE.copy()
    table[:, OUTLYING] *= 60
    return table


def run(graph: onnx.ModelProto | Path, ids: list[int]) -> np.ndarray:
    source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    votes = np.zeros((1, 2), np.float32)
    given = {i.name: np.asarray([ids]) if i.name == "input_ids" else votes for i in session.get_inputs()}
    return np.asarray(session.run(None, given)[0])


def test_the_product_stays_the_same() -> None:
    plain, split = model(outlying()), model(outlying())
    assert split_outliers(split, TYPICAL) == ["y.outlying"]
    np.testing.assert_allclose(run(split, [9, 10, 11]), run(plain, [9, 10, 11]), rtol=1e-4, atol=1e-3)


def test_the_channels_that_outlie_and_no_others_are_taken_out() -> None:
    split = model(outlying())
    split_outliers(split, TYPICAL)
    values = {t.name: numpy_helper.to_array(t) for t in split.graph.initializer}
    assert values["y.outlying.channels"].tolist() == list(OUTLYING)
    assert np.flatnonzero(values["y.outlying.mask"] == 0).tolist() == list(OUTLYING)


def test_even_channels_are_left_as_they_are() -> None:
    even = model(TABLE)
    assert split_outliers(even, TYPICAL) == []
    assert even == model(TABLE)


@pytest.mark.parametrize("reduce_range", [False, True])
def test_eight_bits_lose_less_where_outliers_are_split_off(tmp_path: Path, reduce_range: bool) -> None:
    onnx.save(model(outlying()), tmp_path / "fp32.onnx")
    exact = run(tmp_path / "fp32.onnx", [9, 10, 11])
    errors = {}
    for name, typical in (("plain", []), ("split", TYPICAL)):
        quantise(tmp_path / "fp32.onnx", tmp_path / f"{name}.onnx", reduce_range=reduce_range, typical=typical)
        errors[name] = np.abs(run(tmp_path / f"{name}.onnx", [9, 10, 11]) - exact).mean()
    assert errors["split"] < errors["plain"] / 4
