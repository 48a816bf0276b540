"""The metrics of the contract: topics, stance and joint, from gold and predicted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.taxonomy import STANCES, Taxonomy

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
PARTS = ("topics", "stance", "joint")
"""What is scored; each part of the metrics has a ``macro_f1``."""


def _prf(gold: BoolArray, predicted: BoolArray) -> dict[str, float]:
    hits = int((gold & predicted).sum())
    precision = hits / max(int(predicted.sum()), 1)
    recall = hits / max(int(gold.sum()), 1)
    f1 = 2 * hits / max(int(gold.sum()) + int(predicted.sum()), 1)
    return {"precision": precision, "recall": recall, "f1": f1, "support": int(gold.sum())}


def _macro(parts: Sequence[dict[str, float]]) -> float:
    # A class that neither gold nor the model knows of says nothing about the model.
    scored = [p["f1"] for p in parts if p["support"] or p["precision"] or p["predicted"]]
    return float(np.mean(scored)) if scored else 0.0


def evaluate_labels(taxonomy: Taxonomy, *, gold: IntArray, present: BoolArray, stance: IntArray) -> dict[str, Any]:
    """Score predictions against gold.

    Args:
        taxonomy: the topics, in the order of the columns.
        gold: shape ``(rows, topics)``; -1 where the topic is absent, else the stance's place in ``STANCES``.
        present: shape ``(rows, topics)``; whether the model says that the topic is there.
        stance: shape ``(rows, topics)``; the stance that the model gives, whether the topic is there or not.

    Returns:
        the object of the contract: ``n``, ``topics``, ``stance``, ``joint``.
    """
    gold_present = gold >= 0
    topic_parts = {t: _scored(gold_present[:, i], present[:, i]) for i, t in enumerate(taxonomy.ids)}
    pairs = gold_present
    stance_parts = [_scored(gold[pairs] == s, stance[pairs] == s) for s in range(len(STANCES))]
    joint_parts = [
        _scored(gold[:, i] == s, present[:, i] & (stance[:, i] == s))
        for i in range(len(taxonomy))
        for s in range(len(STANCES))
    ]
    n = int(pairs.sum())
    return {
        "n": len(gold),
        "topics": {
            "macro_f1": _macro(list(topic_parts.values())),
            "micro_f1": _prf(gold_present, present)["f1"],
            "per_topic": {t: {k: v for k, v in p.items() if k != "predicted"} for t, p in topic_parts.items()},
        },
        "stance": {
            "macro_f1": _macro(stance_parts),
            "accuracy": float((gold[pairs] == stance[pairs]).mean()) if n else 0.0,
            "n": n,
        },
        "joint": {"macro_f1": _macro(joint_parts)},
    }


def _scored(gold: BoolArray, predicted: BoolArray) -> dict[str, float]:
    return {**_prf(gold, predicted), "predicted": int(predicted.sum())}


def macro_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Give macro-F1 of topics, stance and both together.

    Args:
        metrics: from :func:`evaluate_labels`.
    """
    return {part: float(metrics[part]["macro_f1"]) for part in PARTS}
