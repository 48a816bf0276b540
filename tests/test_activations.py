"""Products of eight bits see more of what they read: the same product before, a smaller error after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.activations import read_in_two_steps, scale_by_token

CHANNELS, GIVEN, LOUD = 48, 16, 3
RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.normal(size=(CHANNELS, GIVEN)).astype(np.float32) for name in ("w", "v")}
Change = Callable[[onnx.ModelProto, list[str]], None]
CHANGES = [scale_by_token, read_in_two_steps]


def model() -> onnx.ModelProto:
    """Two products of the same tokens."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"], name="first"),
            helper.make_node("MatMul", ["x", "v"], ["z"], name="second"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", CHANNELS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n", GIVEN]) for name in ("y", "z")],
        [numpy_helper.from_array(w, name) for name, w in WEIGHTS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tokens(*, loud: float = 1.0) -> np.ndarray:
    found = np.random.default_rng(1).normal(size=(1, 9, CHANNELS)).astype(np.float32)
    found[:, LOUD] *= loud
    return found


def run(graph: onnx.ModelProto | Path, read: np.ndarray) -> list[np.ndarray]:
    source = str(graph) if isinstance(graph, Path) else graph.SerializeToString()
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    return [np.asarray(o) for o in session.run(None, {"x": read})]


def eight_bits(graph: onnx.ModelProto, folder: Path) -> Path:
    quantize_dynamic(
        graph,
        folder / "int8.onnx",
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    return folder / "int8.onnx"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("names", [["first"], ["first", "second"]])
def test_the_products_stay_the_same(change: Change, names: list[str]) -> None:
    changed = model()
    change(changed, names)
    for exact, found in zip(run(model(), tokens(loud=50)), run(changed, tokens(loud=50)), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("change", CHANGES)
def test_a_product_that_is_not_named_is_left_as_it_is(change: Change) -> None:
    changed = model()
    change(changed, ["first"])
    before, after = ([n for n in m.graph.node if n.name == "second"] for m in (model(), changed))
    assert before == after


@pytest.mark.parametrize("change", CHANGES)
def test_a_loud_token_no_longer_drowns_the_others(change: Change, tmp_path: Path) -> None:
    read, others = tokens(loud=50), [i for i in range(9) if i != LOUD]
    exact = run(model(), read)[0]
    changed = model()
    change(changed, ["first", "second"])
    plain, finer = (np.abs(run(eight_bits(m, tmp_path), read)[0] - exact)[0, others].mean() for m in (model(), changed))
    assert finer < plain / 5


def test_two_steps_leave_next_to_nothing_but_the_weights_error(tmp_path: Path) -> None:
    changed = model()
    read_in_two_steps(changed, ["first", "second"])
    weight = WEIGHTS["w"]
    scale = np.abs(weight).max(0) / 127
    rounded = (np.rint(weight / scale) * scale).astype(np.float32)
    found = run(eight_bits(changed, tmp_path), tokens())[0]
    assert np.abs(found - tokens() @ rounded).max() < 0.01


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_of_noughts_gives_noughts(change: Change, tmp_path: Path) -> None:
    read = tokens()
    read[:, 2] = 0
    changed = model()
    change(changed, ["first", "second"])
    for found in run(eight_bits(changed, tmp_path), read):
        np.testing.assert_allclose(found[0, 2], 0, atol=1e-6)
