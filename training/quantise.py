"""Makes the exported encoder int8, where that costs next to no accuracy.

Weights of matrix products are quantised per output channel, the rows of the embedding table one by one; activations
are quantised as they come. Texts are served one a run without padding, so an activation's scale depends on nothing
but the text. The heads stay in fp32: they are small, and everything hangs on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from inference.calibration import Calibration
from inference.engine import Engine
from inference.metrics import evaluate_labels
from inference.processor import adds_int8_exactly
from inference.taxonomy import Taxonomy
from training.weak import WeakLabels

MODEL_FILE = "model.onnx"
MOST_LOSS = 0.005
MOST_TEXTS = 600
_LEAST_TABLE = 100_000
_PARTS = ("topics", "joint")


@dataclass(frozen=True)
class Validation:
    """What int8 is checked on.

    Args:
        texts: paragraphs that the model was not trained on.
        labels: their weak labels.
    """

    texts: Sequence[str]
    labels: WeakLabels


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


def choose_precision(folder: Path, score: Callable[[], Mapping[str, float]], *, most: float = MOST_LOSS) -> Precision:
    """Make the model of a folder int8 and keep it so where every score falls by little enough.

    Args:
        folder: holds ``model.onnx`` in fp32; what is kept stands in its place.
        score: loads the folder's model and gives its scores, such as macro-F1, by name.
        most: how far a score may fall.
    """
    model, kept = folder / MODEL_FILE, folder / f"{MODEL_FILE}.fp32"
    reduce_range = not adds_int8_exactly()
    before = score()
    model.rename(kept)
    try:
        quantise(kept, model, reduce_range=reduce_range)
        after = score()
    except Exception:
        kept.replace(model)
        raise
    told = ", ".join(f"{name} macro-F1 {before[name]:.4f} in fp32, {after[name]:.4f} in int8" for name in before)
    if any(after[name] < before[name] - most for name in before):
        kept.replace(model)
        return Precision("fp32", f"int8 loses more than {most}: {told}")
    kept.unlink()
    return Precision("int8", told, reduce_range)


def macro_scores(
    engine: Engine, validation: Validation, *, taxonomy: Taxonomy, calibration: Calibration
) -> dict[str, float]:
    """Give topic and joint macro-F1 of an engine against weak labels.

    Args:
        engine: scores the texts.
        validation: the texts; beyond the first few hundred they are left aside.
        taxonomy: the topics.
        calibration: decides.
    """
    labels = validation.labels
    count = min(len(validation.texts), MOST_TEXTS)
    scores = engine.score(list(validation.texts[:count]))
    probabilities = calibration.topic_probabilities(np.stack([s.topics for s in scores]))
    stances = calibration.stance_probabilities(np.stack([s.stance for s in scores]))
    gold = np.where(labels.topics > 0.5, labels.stance.argmax(-1), -1)[:count]
    present = probabilities >= calibration.thresholds
    metrics = evaluate_labels(taxonomy, gold=gold, present=present, stance=stances.argmax(-1))
    return {part: float(metrics[part]["macro_f1"]) for part in _PARTS}


def quantise(source: Path, target: Path, *, reduce_range: bool) -> None:
    """Write an ONNX model with int8 weights.

    Args:
        source: the model in fp32.
        target: where the int8 model goes.
        reduce_range: give weights 7 bits.
    """
    log = logging.getLogger()
    level = log.level
    # It advises, of every model, to run a step that gains nothing here.
    log.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            source,
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
