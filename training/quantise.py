"""Makes the exported encoder int8, where that costs next to no accuracy.

Weights of matrix products are quantised per output channel, the rows of the embedding table one by one; activations
are quantised as they come. Texts are served one a run without padding, so an activation's scale depends on nothing
but the text. Outlying channels are multiplied in fp32 on the side. The heads stay in fp32: they are small, and
everything hangs on them. Where that loses too much on gold, twice as many channels count as outlying; where that still
does, the products that attention reads stay in fp32, which halves the error for the least time; then the products that
narrow as well, which leaves a third of it; and where that does, everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
from training.fuse import NODE as ATTENTION
from training.outliers import OUTLYING, split_outliers

MODEL_FILE = "model.onnx"
MOST_LOSS = 0.005
MOST_TEXTS = 2000
_LEAST_TABLE = 100_000
_HELD = ("topics", "joint")


@dataclass(frozen=True)
class Scheme:
    """Which products of an encoder are int8.

    Args:
        outlying: share of a product's channels that may be taken out of it, 0 to 1.
        leave_attention: leave in fp32 what attention reads: queries, keys and values.
        leave_narrowing: leave products in fp32 whose result is narrower than what they read, or as narrow.
    """

    outlying: float = OUTLYING
    leave_attention: bool = False
    leave_narrowing: bool = False

    def leaves(self, read: int, given: int, *, for_attention: bool) -> bool:
        """Tell whether a product from ``read`` to ``given`` channels stays in fp32."""
        return (self.leave_attention and for_attention) or (self.leave_narrowing and read >= given)


# Fastest first: each costs more time than the one before, and leaves less error.
SCHEMES = {
    "int8": Scheme(),
    "int8, more outlying channels in fp32": Scheme(2 * OUTLYING),
    "int8, but fp32 in what attention reads": Scheme(leave_attention=True),
    "int8, but fp32 in what attention reads and in the products that narrow": Scheme(
        leave_attention=True, leave_narrowing=True
    ),
}


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
    most: float = MOST_LOSS,
) -> Precision:
    """Make the model of a folder int8, as far as every score falls by little enough.

    Args:
        folder: holds ``model.onnx`` in fp32; what is kept stands in its place.
        score: loads the folder's model and gives its scores, such as macro-F1, by name.
        typical: token ids of typical texts, see :func:`quantise`.
        most: how far a score may fall.
    """
    model, kept = folder / MODEL_FILE, folder / f"{MODEL_FILE}.fp32"
    reduce_range = not adds_int8_exactly()
    before = score()
    told = [_told("fp32", before)]
    model.rename(kept)
    try:
        for name, scheme in SCHEMES.items():
            quantise(kept, model, reduce_range=reduce_range, typical=typical, scheme=scheme)
            after = score()
            told.append(_told(name, after))
            if all(after[part] >= before[part] - most for part in before):
                kept.unlink()
                return Precision("int8", "; ".join(told), reduce_range)
    except Exception:
        kept.replace(model)
        raise
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


def quantise(
    source: Path,
    target: Path,
    *,
    reduce_range: bool,
    typical: Sequence[Sequence[int]] = (),
    scheme: Scheme | None = None,
) -> None:
    """Write an ONNX model with int8 weights.

    Args:
        source: the model in fp32.
        target: where the int8 model goes.
        reduce_range: give weights 7 bits.
        typical: token ids of typical texts, from which outlying channels are told; where none, they are not.
        scheme: which products are int8; where None, all.
    """
    scheme = scheme or Scheme()
    log = logging.getLogger()
    level = log.level
    # It advises, of every model, to run a step that gains nothing here.
    log.setLevel(logging.ERROR)
    exact = onnx.load(source)
    left = _left(exact.graph, scheme)
    if typical:
        left += split_outliers(exact, typical, leave=left, most=scheme.outlying)
    try:
        quantize_dynamic(
            exact,
            target,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=left,
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


def _left(graph: onnx.GraphProto, scheme: Scheme) -> list[str]:
    """Give the names of the products with constant weights that a scheme leaves in fp32."""
    shapes = {t.name: t.dims for t in graph.initializer}
    products = {n.output[0]: n for n in graph.node if n.op_type == "MatMul" and len(shapes.get(n.input[1], ())) == 2}
    made = {name: node for node in graph.node for name in node.output}
    read = {_source(name, made, products) for n in graph.node if n.op_type == ATTENTION for name in n.input[:3]}
    return [
        node.name
        for output, node in products.items()
        if scheme.leaves(*shapes[node.input[1]], for_attention=output in read)
    ]


def _source(name: str, made: Mapping[str, onnx.NodeProto], products: Mapping[str, onnx.NodeProto]) -> str:
    """Give the product that a value comes from by way of a bias and a split."""
    while name not in products and name in made and made[name].op_type in ("Split", "Add"):
        name = next((i for i in made[name].input if i in made), "")
    return name


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
