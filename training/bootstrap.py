"""Bootstrap intervals of the contract's metrics, and the paired bootstrap that tells better from noise.

Paragraphs are drawn with replacement (Efron, 1979); two models are compared on the same draws (Koehn, 2004). Every
metric of the contract is made of counts that add up over paragraphs, so a thousand draws are one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import InputError
from inference.metrics import BoolArray, IntArray
from inference.taxonomy import STANCES, Taxonomy

FloatArray = npt.NDArray[np.float64]
DECIDING = "joint.macro_f1"
_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class Labels:
    """What one model says of every paragraph.

    Args:
        present: shape ``(rows, topics)``; whether the topic is there.
        stance: shape ``(rows, topics)``; the stance's place in ``STANCES``, whether the topic is there or not.
    """

    present: BoolArray
    stance: IntArray


@dataclass(frozen=True)
class Interval:
    """A metric on the whole of gold, with its bootstrap interval.

    Args:
        value: the metric.
        lower: lower end of the interval.
        upper: upper end of the interval.
    """

    value: float
    lower: float
    upper: float

    def to_json(self) -> dict[str, float]:
        """Give the interval for ``json.dumps``."""
        return asdict(self)


@dataclass(frozen=True)
class Difference(Interval):
    """How much a metric is larger for the second model than for the first, on the same paragraphs.

    Args:
        better: share of the draws in which the second model is better; draws without a difference count half.
    """

    better: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the second model is better, and the whole interval says so."""
        return self.lower > 0


@dataclass(frozen=True)
class _Counts:
    """Addends per paragraph of every class: in gold and predicted, in gold, predicted; each ``(rows, classes)``."""

    hits: FloatArray
    gold: FloatArray
    predicted: FloatArray

    def drawn(self, weights: FloatArray) -> _Counts:
        return _Counts(weights @ self.hits, weights @ self.gold, weights @ self.predicted)

    @property
    def f1(self) -> FloatArray:
        return np.asarray(2 * self.hits / np.maximum(self.gold + self.predicted, 1))

    def macro_f1(self) -> FloatArray:
        # A class that a draw does not know of says nothing in it, as in the contract's metrics.
        known = self.gold + self.predicted > 0
        return np.asarray((self.f1 * known).sum(1) / np.maximum(known.sum(1), 1))


def intervals(
    taxonomy: Taxonomy,
    *,
    gold: IntArray,
    labels: Labels,
    seed: int = 0,
    resamples: int = _RESAMPLES,
    level: float = _LEVEL,
) -> dict[str, Interval]:
    """Give every metric of the contract with its percentile interval.

    Args:
        taxonomy: the topics, in the order of the columns.
        gold: shape ``(rows, topics)``; -1 where the topic is absent, else the stance's place in ``STANCES``.
        labels: what the model says.
        seed: of the draws; the same seed and rows give the same draws.
        resamples: how many draws.
        level: share of the draws that lie in the interval.

    Returns:
        such as ``topics.macro_f1``, ``stance.accuracy``, ``joint.macro_f1``, ``arms_deal.f1`` to interval.

    Raises:
        InputError: where there are no rows, or the shapes do not agree.
    """
    weights = _draws(len(gold), resamples, seed)
    values = _metrics(taxonomy, gold, labels, weights)
    return {name: Interval(*_ends(v, level)) for name, v in values.items()}


def compare(
    taxonomy: Taxonomy,
    *,
    gold: IntArray,
    first: Labels,
    second: Labels,
    seed: int = 0,
    resamples: int = _RESAMPLES,
    level: float = _LEVEL,
) -> dict[str, Difference]:
    """Give, for every metric, how much better the second model is than the first, by paired bootstrap.

    Args:
        taxonomy: the topics, in the order of the columns.
        gold: shape ``(rows, topics)``; see :func:`intervals`.
        first: what the one model says.
        second: what the other says of the same rows.
        seed: of the draws.
        resamples: how many draws.
        level: share of the draws that lie in the interval.

    Raises:
        InputError: where there are no rows, or the shapes do not agree.
    """
    weights = _draws(len(gold), resamples, seed)
    one, other = (_metrics(taxonomy, gold, labels, weights) for labels in (first, second))
    result = {}
    for name in one:
        gain = other[name] - one[name]
        better = float((gain[1:] > 0).mean() + (gain[1:] == 0).mean() / 2)
        result[name] = Difference(*_ends(gain, level), better)
    return result


def flat_intervals(values: Mapping[str, Interval], prefix: str) -> dict[str, float]:
    """Name the ends as MLflow shows them: ``encoder.joint.macro_f1.lower`` and ``.upper``."""
    return {
        f"{prefix}.{name}.{end}": float(getattr(v, end)) for name, v in values.items() for end in ("lower", "upper")
    }


def to_json(values: Mapping[str, Interval]) -> dict[str, Any]:
    """Give intervals or differences for ``json.dumps``."""
    return {name: v.to_json() for name, v in values.items()}


def _draws(rows: int, resamples: int, seed: int) -> FloatArray:
    if not rows:
        raise InputError("no paragraphs to score: gold is empty")
    counts = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), size=resamples)
    # The first row is gold as it stands.
    return np.concatenate([np.ones((1, rows)), counts.astype(np.float64)])


def _ends(values: FloatArray, level: float) -> tuple[float, float, float]:
    tail = (1 - level) / 2
    lower, upper = np.quantile(values[1:], [tail, 1 - tail])
    return float(values[0]), float(lower), float(upper)


def _metrics(taxonomy: Taxonomy, gold: IntArray, labels: Labels, weights: FloatArray) -> dict[str, FloatArray]:
    shape = (len(weights[0]), len(taxonomy))
    for name, found in (("gold", gold.shape), ("present", labels.present.shape), ("stance", labels.stance.shape)):
        if found != shape:
            raise InputError(f"{name} has the shape {found}, but {shape} (paragraphs, topics) is wanted")
    there = gold >= 0
    places = np.arange(len(STANCES))
    gold_stance = gold[:, :, None] == places
    said_stance = labels.stance[:, :, None] == places
    topics = _count(there, labels.present).drawn(weights)
    stance = _summed(gold_stance, said_stance & there[:, :, None]).drawn(weights)
    joint = _count(
        gold_stance.reshape(len(gold), -1), (said_stance & labels.present[:, :, None]).reshape(len(gold), -1)
    ).drawn(weights)
    both = topics.hits.sum(1), np.maximum((topics.gold + topics.predicted).sum(1), 1)
    result = {
        "topics.macro_f1": topics.macro_f1(),
        "topics.micro_f1": 2 * both[0] / both[1],
        "stance.macro_f1": stance.macro_f1(),
        "stance.accuracy": stance.hits.sum(1) / np.maximum(stance.gold.sum(1), 1),
        "joint.macro_f1": joint.macro_f1(),
    }
    for i, topic in enumerate(taxonomy.ids):
        result[f"{topic}.precision"] = topics.hits[:, i] / np.maximum(topics.predicted[:, i], 1)
        result[f"{topic}.recall"] = topics.hits[:, i] / np.maximum(topics.gold[:, i], 1)
        result[f"{topic}.f1"] = topics.f1[:, i]
    return result


def _count(gold: BoolArray, predicted: BoolArray) -> _Counts:
    return _Counts(*(np.asarray(a, dtype=np.float64) for a in (gold & predicted, gold, predicted)))


def _summed(gold: BoolArray, predicted: BoolArray) -> _Counts:
    """Count over the topics: shape ``(rows, topics, classes)`` becomes ``(rows, classes)``."""
    return _Counts(*(np.asarray(a, dtype=np.float64).sum(1) for a in (gold & predicted, gold, predicted)))
