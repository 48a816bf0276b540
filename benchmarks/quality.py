"""The three figures by which every benchmark compares quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = ("topics", "stance", "joint")


def macro_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Give macro-F1 of topics, stance and both together.

    Args:
        metrics: from :func:`inference.metrics.evaluate_labels`.
    """
    return {part: float(metrics[part]["macro_f1"]) for part in PARTS}
