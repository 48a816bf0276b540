"""Makes the exported encoder int8, where that costs next to no accuracy.

Weights of matrix products are quantised per output channel, rounded for the least error of the products; the rows of
the embedding table one by one; activations as they come, and where they spread too widely for that, on a scale of each
token's own, or for attention, which compares what it reads, in two steps. Texts are served one a run without padding,
so an activation's scale depends on nothing but the text. The heads stay in fp32: they are small, and everything hangs
on them. Where that loses too much on gold, all products read their activations in two steps, which halves the error for
a third more time; where that still does, everything stays in fp32.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from inference.calibration import Calibration
from inference.engine import Engine
from inference.gold import GoldRecord, gold_matrix
from inference.metrics import evaluate_labels, macro_scores
from inference.processor import adds_int8_exactly
from inference.taxonomy import Taxonomy
from training.activations import read_in_two_steps, scale_by_token
from training.products import observe, read_by_attention, weighted_products
from training.rounding import round_weights

MODEL_FILE = "model.onnx"
MOST_LOSS = 0.005
MOST_TEXTS = 2000
_LEAST_TABLE = 100_000
# Root mean squares: normal activations spread over eight or nine, those of the embedded encoder over 15 to 200.
MOST_SPREAD = 12.0
_HELD = ("topics", "joint")


COARSE = "int8, each text on one scale"
# Fastest first, and whether all products read their activations in two steps.
SCHEMES = {"int8": False, "int8, all of it in two steps": True}


@dataclass(frozen=True)
class GoldCheck:
    """What int8 is checked on.

    Args:
        texts: gold's paragraphs.
        gold: shape ``(texts, topics)``; -1 where the topic is absent, else the stance's place in ``STANCES``.
    """

    texts: Sequence[str]
    gold: npt.NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[GoldRecord], taxonomy: Taxonomy) -> GoldCheck:
        """Make one of gold records; beyond the first thousands they are left aside."""
        used = list(records[:MOST_TEXTS])
        return cls([r.text for r in used], gold_matrix(used, taxonomy))


@dataclass(frozen=True)
class Precision:
    """Which numbers the exported model calculates with, and why.

    Args:
        name: ``int8`` or ``fp32``.
        reason: what was measured, for people.
        reduce_range: weights have 7 bits, for processors whose 8-bit sums overflow.
    """

    name: str
    reason: str
    reduce_range: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the precision as the manifest's ``engine`` stores it."""
        return {"precision": self.name, "precision_reason": self.reason, "reduce_range": self.reduce_range}


def choose_precision(
    folder: Path,
    score: Callable[[], Mapping[str, float]],
    *,
    typical: Sequence[Sequence[int]] = (),
    coarse: bool = False,
    most: float = MOST_LOSS,
) -> Precision:
    """Make the model of a folder int8, as far as every score falls by little enough.

    Args:
        folder: holds ``model.onnx`` in fp32; what is kept stands in its place.
        score: loads the folder's model and gives its scores, such as macro-F1, by name.
        typical: token ids of typical texts, for which weights are rounded and which tell where activations spread
            widely, see :func:`round_for`; where none, each weight goes to the nearest and all is read finely.
        coarse: try first whether it does without reading anything finely, which is faster and errs more.
        most: how far a score may fall.
    """
    model, kept, rounded = (folder / f"{MODEL_FILE}{end}" for end in ("", ".fp32", ".rounded"))
    reduce_range = not adds_int8_exactly()
    before = score()
    told = [_told("fp32", before)]
    model.rename(kept)
    try:
        wide = round_for(typical, kept, rounded, reduce_range=reduce_range)
        schemes: dict[str, tuple[Collection[str] | None, bool]] = {COARSE: ((), False)} if coarse else {}
        schemes |= {name: (wide, two_steps) for name, two_steps in SCHEMES.items()}
        for name, (finer, two_steps) in schemes.items():
            quantise(rounded, model, reduce_range=reduce_range, wide=finer, two_steps=two_steps)
            after = score()
            told.append(_told(name, after))
            if all(after[part] >= before[part] - most for part in before):
                kept.unlink()
                return Precision("int8", "; ".join(told), reduce_range)
    except Exception:
        kept.replace(model)
        raise
    finally:
        rounded.unlink(missing_ok=True)
    kept.replace(model)
    return Precision("fp32", f"int8 loses more than {most}: {'; '.join(told)}")


def _told(name: str, scores: Mapping[str, float]) -> str:
    return f"{name}: " + ", ".join(f"{part} macro-F1 {value:.4f}" for part, value in scores.items())


def score_engine(engine: Engine, check: GoldCheck, *, taxonomy: Taxonomy, calibration: Calibration) -> dict[str, float]:
    """Give topic and joint macro-F1 of an engine on gold.

    Args:
        engine: scores the texts.
        check: the texts, and what is right.
        taxonomy: the topics.
        calibration: decides.
    """
    scores = engine.score(check.texts)
    probabilities = calibration.topic_probabilities(np.stack([s.topics for s in scores]))
    stances = calibration.stance_probabilities(np.stack([s.stance for s in scores]))
    present = probabilities >= calibration.thresholds
    metrics = evaluate_labels(taxonomy, gold=check.gold, present=present, stance=stances.argmax(-1))
    return {part: score for part, score in macro_scores(metrics).items() if part in _HELD}


def round_for(
    typical: Sequence[Sequence[int]], source: Path, target: Path, *, reduce_range: bool
) -> frozenset[str] | None:
    """Write an ONNX model whose weights are rounded for typical texts, which :func:`quantise` then finds exact.

    Args:
        typical: token ids of the texts; where none, the model is written as it is.
        source: the model in fp32.
        target: where the rounded model goes.
        reduce_range: give weights 7 bits.

    Returns:
        the names of the products whose activations spread too widely for one scale a text; None without texts.
    """
    model = onnx.load(source)
    wide = None
    if typical:
        products = weighted_products(model.graph)
        read = observe(model, sorted({n.input[0] for n in products}), typical)
        round_weights(model, read, levels=64 if reduce_range else 127)
        wide = frozenset(n.name for n in products if read[n.input[0]].spread > MOST_SPREAD)
    onnx.save(model, target)
    return wide


def quantise(
    source: Path, target: Path, *, reduce_range: bool, wide: Collection[str] | None = None, two_steps: bool = False
) -> None:
    """Write an ONNX model with int8 weights.

    Args:
        source: the model in fp32.
        target: where the int8 model goes.
        reduce_range: give weights 7 bits.
        wide: names of the products that are to read their activations more finely; where None, all.
        two_steps: let all products read their activations in two steps, whether wide or not.
    """
    exact = onnx.load(source)
    every = {n.name for n in weighted_products(exact.graph)}
    finer = every if wide is None else every.intersection(wide)
    twice = every if two_steps else finer.intersection(n.name for n in read_by_attention(exact.graph))
    scale_by_token(exact, finer - twice)
    read_in_two_steps(exact, twice)
    log = logging.getLogger()
    level = log.level
    # It advises, of every model, to run a step that gains nothing here.
    log.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            exact,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        log.setLevel(level)
    model = onnx.load(target)
    _quantise_tables(model.graph)
    onnx.save(model, target)


def _quantise_tables(graph: onnx.GraphProto) -> None:
    """Store large embedding tables as int8 rows with a scale each."""
    tables = {t.name: t for t in graph.initializer if len(t.dims) == 2 and np.prod(t.dims) >= _LEAST_TABLE}
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in graph.node:
        table = node.input[0] if node.input else ""
        if node.op_type != "Gather" or table not in tables or any(a.name == "axis" and a.i for a in node.attribute):
            nodes.append(node)
            continue
        rows, scale = f"{table}.int8", f"{table}.scale"
        if table not in done:
            values = numpy_helper.to_array(tables[table]).astype(np.float32)
            scales = np.maximum(np.abs(values).max(1, keepdims=True), 1e-12) / 127
            graph.initializer.append(numpy_helper.from_array(np.rint(values / scales).astype(np.int8), rows))
            graph.initializer.append(numpy_helper.from_array(scales.astype(np.float32), scale))
            done.add(table)
        out = node.output[0]
        nodes += [
            helper.make_node("Gather", [rows, node.input[1]], [f"{out}.int8"]),
            helper.make_node("Cast", [f"{out}.int8"], [f"{out}.whole"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [scale, node.input[1]], [f"{out}.scale"]),
            helper.make_node("Mul", [f"{out}.whole", f"{out}.scale"], [out]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    for name in done - used:
        graph.initializer.remove(tables[name])
