"""int8 is kept where it holds its accuracy, and only there; and whoever asks can read why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference import Predictor
from inference.processor import adds_int8_exactly
from tests import serving, tiny
from training import quantise as module
from training.export import write_onnx
from training.quantise import SCHEMES, choose_precision, quantise, round_for


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fp32")
    model, _ = serving.joint_model(folder / "tiny-bert")
    write_onnx(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.fixture
def folder(tmp_path: Path, fp32: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(fp32.read_bytes())
    return tmp_path


def run(path: Path, ids: list[int]) -> list[np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    votes = np.zeros((1, session.get_inputs()[1].shape[1]), np.float32)
    return [np.asarray(o) for o in session.run(None, {"input_ids": np.asarray([ids]), "votes": votes})]


def scores_in_turn(*values: float) -> Callable[[], dict[str, float]]:
    turns = iter(values)
    return lambda: {"topics": next(turns)}


def is_int8(path: Path) -> bool:
    return any(n.op_type == "MatMulInteger" for n in onnx.load(path).graph.node)


@pytest.mark.parametrize(("after", "kept"), [(0.90, "int8"), (0.8951, "int8"), (0.8949, "fp32"), (0.95, "int8")])
def test_int8_is_kept_where_the_score_falls_by_at_most_half_a_point(folder: Path, after: float, kept: str) -> None:
    precision = choose_precision(folder, scores_in_turn(0.90, *[after] * len(SCHEMES)))
    assert precision.name == kept
    assert is_int8(folder / "model.onnx") == (kept == "int8")
    assert "fp32: topics macro-F1 0.9000" in precision.reason


def test_a_model_that_stays_in_fp32_is_the_same_to_the_byte(folder: Path, fp32: Path) -> None:
    choose_precision(folder, scores_in_turn(0.9, *[0.1] * len(SCHEMES)))
    assert (folder / "model.onnx").read_bytes() == fp32.read_bytes()
    assert [p.name for p in folder.iterdir()] == ["model.onnx"]


def test_nothing_but_the_chosen_model_is_left(folder: Path) -> None:
    choose_precision(folder, scores_in_turn(0.9, 0.9))
    assert [p.name for p in folder.iterdir()] == ["model.onnx"]


LAYERS, PRODUCTS = 2, 4


def counted(path: Path, kind: str) -> int:
    return sum(n.op_type == kind for n in onnx.load(path).graph.node)


def test_what_attention_reads_is_read_in_two_steps_and_the_rest_in_one(folder: Path) -> None:
    choose_precision(folder, scores_in_turn(0.9, 0.9))
    assert counted(folder / "model.onnx", "MatMulInteger") == LAYERS * (PRODUCTS + 1)


@pytest.mark.parametrize(("coarse", "products"), [(0.9, PRODUCTS), (0.89, PRODUCTS + 1)])
def test_a_model_that_is_to_be_fast_reads_nothing_finely_where_that_holds(
    folder: Path, coarse: float, products: int
) -> None:
    precision = choose_precision(folder, scores_in_turn(0.9, coarse, 0.9), coarse=True)
    assert f"int8, each text on one scale: topics macro-F1 {coarse:.4f}" in precision.reason
    assert counted(folder / "model.onnx", "MatMulInteger") == LAYERS * products


def test_a_second_try_reads_everything_in_two_steps(folder: Path) -> None:
    precision = choose_precision(folder, scores_in_turn(0.9, 0.89, 0.899))
    assert precision.name == "int8"
    assert "int8, all of it in two steps: topics macro-F1 0.8990" in precision.reason
    assert counted(folder / "model.onnx", "MatMulInteger") == LAYERS * 2 * PRODUCTS


def test_a_scorer_that_fails_leaves_the_fp32_model(folder: Path, fp32: Path) -> None:
    turns = iter([{"topics": 0.9}])
    with pytest.raises(StopIteration):
        choose_precision(folder, lambda: next(turns))
    assert (folder / "model.onnx").read_bytes() == fp32.read_bytes()


def test_one_score_that_falls_is_enough_to_stay_in_fp32(folder: Path) -> None:
    low, other = {"topics": 0.9, "joint": 0.69}, {"topics": 0.8, "joint": 0.7}
    turns = iter([{"topics": 0.9, "joint": 0.7}, low, other])
    assert choose_precision(folder, lambda: next(turns)).name == "fp32"


@pytest.mark.parametrize("reduce_range", [False, True])
def test_weights_rounded_for_typical_texts_are_found_as_they_are(
    fp32: Path, tmp_path: Path, reduce_range: bool
) -> None:
    round_for([[2, *range(10, 40), 3]], fp32, tmp_path / "rounded.onnx", reduce_range=reduce_range)
    quantise(tmp_path / "rounded.onnx", tmp_path / "int8.onnx", reduce_range=reduce_range)
    rounded, found = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / f"{name}.onnx").graph.initializer}
        for name in ("rounded", "int8")
    )
    names = [n.removesuffix("_quantized") for n in found if n.endswith("_quantized")]
    assert names
    for name in names:
        read = found[f"{name}_quantized"].astype(np.float32) * found[f"{name}_scale"]
        np.testing.assert_allclose(read, rounded[name], rtol=1e-4, atol=1e-7)


CHANNELS, LOUD = 48, 7


def lookup(path: Path, *, loud: float) -> Path:
    """A model that looks tokens up in a table and multiplies what it finds; one token is louder than the others."""
    rng = np.random.default_rng(0)
    table, weight = (rng.normal(size=shape).astype(np.float32) for shape in ((20, CHANNELS), (CHANNELS, 20)))
    table[LOUD] *= loud
    graph = helper.make_graph(
        [helper.make_node("Gather", ["t", "input_ids"], ["x"]), helper.make_node("MatMul", ["x", "w"], ["y"], "m")],
        "g",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("votes", TensorProto.FLOAT, [1, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", 20])],
        [numpy_helper.from_array(table, "t"), numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("loud", "wide"), [(1.0, frozenset()), (30.0, frozenset({"m"}))])
def test_only_products_whose_activations_spread_widely_are_to_read_them_more_finely(
    tmp_path: Path, loud: float, wide: frozenset[str]
) -> None:
    typical = [[1, 2, LOUD, *range(8, 20)]]
    source = lookup(tmp_path / "fp32.onnx", loud=loud)
    assert round_for(typical, source, tmp_path / "rounded.onnx", reduce_range=False) == wide
    assert round_for([], source, tmp_path / "rounded.onnx", reduce_range=False) is None


def test_products_that_read_more_finely_err_less_where_one_token_is_loud(tmp_path: Path) -> None:
    source, ids = lookup(tmp_path / "fp32.onnx", loud=30), [1, 2, LOUD, 9]
    errors = []
    for wide in (frozenset[str](), frozenset({"m"}), None):
        quantise(source, tmp_path / "int8.onnx", reduce_range=False, wide=wide)
        (exact,), (rough,) = (run(p, ids) for p in (source, tmp_path / "int8.onnx"))
        errors.append(np.abs(exact - rough)[0, [0, 1, 3]].mean())
    assert errors[1] == errors[2] < errors[0] / 3


def test_two_steps_err_less_than_one(fp32: Path, tmp_path: Path) -> None:
    ids = [2, *range(10, 40), 3]
    errors = []
    for two_steps in (False, True):
        quantise(fp32, tmp_path / "int8.onnx", reduce_range=False, two_steps=two_steps)
        pairs = zip(run(fp32, ids), run(tmp_path / "int8.onnx", ids), strict=True)
        errors.append(float(np.mean([np.abs(exact - rough).mean() for exact, rough in pairs])))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("reduce_range", [False, True])
def test_int8_says_nearly_what_fp32_says(fp32: Path, tmp_path: Path, reduce_range: bool) -> None:
    quantise(fp32, tmp_path / "int8.onnx", reduce_range=reduce_range)
    ids = [2, *range(10, 40), 3]
    for exact, rough in zip(run(fp32, ids), run(tmp_path / "int8.onnx", ids), strict=True):
        assert exact.shape == rough.shape
        assert np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


def test_reduced_weights_have_seven_bits(fp32: Path, tmp_path: Path) -> None:
    def largest(reduce_range: bool) -> int:
        quantise(fp32, tmp_path / "int8.onnx", reduce_range=reduce_range)
        weights = [
            onnx.numpy_helper.to_array(t)
            for t in onnx.load(tmp_path / "int8.onnx").graph.initializer
            if t.name.endswith("_quantized")
        ]
        assert weights
        return max(int(np.abs(w.astype(int)).max()) for w in weights)

    assert largest(False) > 64 >= largest(True)


def test_a_table_of_embeddings_is_stored_in_eight_bits_a_row_each(
    fp32: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEAST_TABLE", 100)
    quantise(fp32, tmp_path / "int8.onnx", reduce_range=False)
    tables = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    before = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(fp32).graph.initializer}
    (name,) = [n for n in before if n.endswith("word_embeddings.weight")]
    assert name not in tables
    restored = tables[f"{name}.int8"].astype(np.float32) * tables[f"{name}.scale"]
    assert np.abs(restored - before[name]).max() <= tables[f"{name}.scale"].max() / 2 + 1e-7
    exact, rough = (run(p, [2, *range(10, 40), 3])[0] for p in (fp32, tmp_path / "int8.onnx"))
    assert np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


def test_the_manifest_says_what_was_chosen_and_why(tmp_path: Path) -> None:
    served = serving.encoder_folder(tmp_path / "a", tmp_path, check=serving.gold_check())
    plain = serving.encoder_folder(tmp_path / "b", tmp_path)
    chosen, left = (Predictor(f).manifest.engine for f in (served, plain))
    assert chosen["precision"] in ("int8", "fp32")
    assert "topics macro-F1" in chosen["precision_reason"]
    card = (served / "README.md").read_text("utf-8")
    assert f"Precision: {chosen['precision']} (on gold: {chosen['precision_reason']})" in card
    assert chosen["reduce_range"] == (chosen["precision"] == "int8" and not adds_int8_exactly())
    assert (left["precision"], left["precision_reason"]) == ("fp32", "no gold to check int8 on")


@pytest.mark.parametrize(
    ("flags", "exact"),
    [
        ("flags\t\t: sse2 avx2 fma", False),
        ("flags\t\t: avx512f avx512_vnni", True),
        ("flags : avx2 avx_vnni", True),
        ("", False),
    ],
)
def test_a_processor_without_vnni_gets_the_reduced_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, exact: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n", "utf-8")
    assert adds_int8_exactly(tmp_path / "cpuinfo") is exact


def test_other_processors_have_no_such_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert adds_int8_exactly(tmp_path / "none")


@pytest.mark.parametrize("exact", [True, False])
def test_full_range_weights_on_a_processor_that_overflows_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    monkeypatch.setattr(module, "adds_int8_exactly", lambda: True)
    served = serving.encoder_folder(tmp_path / "a", tmp_path, check=serving.gold_check())
    assert Predictor(served).manifest.engine["precision"] == "int8"
    monkeypatch.setattr("inference.encoder.adds_int8_exactly", lambda: exact)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Predictor(served).predict(tiny.ARMS)
    assert any("without VNNI" in str(w.message) for w in caught) is not exact
