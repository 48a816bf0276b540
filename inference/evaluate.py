"""Scores a served model on gold, through the same predict that everyone uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.gold import GoldRecord, gold_matrix, read_gold
from inference.metrics import evaluate_labels
from inference.predictor import Predictor
from inference.results import Prediction
from inference.taxonomy import STANCES, Taxonomy


def score_predictions(
    predictions: Sequence[Prediction], records: list[GoldRecord], taxonomy: Taxonomy
) -> dict[str, Any]:
    """Give the contract's metrics of predictions against gold records, in the same order."""
    present = np.array([[p.topics[t].present for t in taxonomy.ids] for p in predictions])
    stance = np.array([[STANCES.index(p.topics[t].stance.label) for t in taxonomy.ids] for p in predictions])
    return evaluate_labels(taxonomy, gold=gold_matrix(records, taxonomy), present=present, stance=stance)


def evaluate(model: str | Path, gold: str | Path) -> dict[str, Any]:
    """Give the contract's metrics of a model on a gold file.

    Args:
        model: see :func:`inference.predictor.resolve_model`.
        gold: a gold file.

    Raises:
        InputError: where a gold record is not right.
        ModelFolderError: where the model cannot be had.
    """
    predictor = Predictor(model)
    taxonomy = predictor.manifest.taxonomy
    records = read_gold(gold, taxonomy)
    return score_predictions(predictor.predict([r.text for r in records]), records, taxonomy)
