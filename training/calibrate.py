"""Calibration and thresholds from held-out weak labels; gold takes no part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from inference.calibration import Calibration
from training.weak import WeakLabels

FloatArray = npt.NDArray[np.float64]
_GRID = np.linspace(0.05, 0.95, 91)


def calibrate(topics: FloatArray, stance: FloatArray, weak: WeakLabels) -> Calibration:
    """Fit a scale and shift per topic head (Platt, 1999), a temperature per stance head (Guo et al., 2017), thresholds.

    Args:
        topics: shape ``(rows, topics)``, logits on held-out paragraphs.
        stance: shape ``(rows, topics, 3)``, logits.
        weak: their weak labels.
    """
    count = topics.shape[1]
    plain = Calibration.identity(count)
    scale, shift, stance_scale = np.ones(count), np.zeros(count), np.ones(count)
    for i in range(count):
        scale[i], shift[i] = _platt(topics[:, i], weak.topics[:, i])
        stance_scale[i] = _temperature(stance[:, i], weak.stance[:, i], weak.topics[:, i])
    fitted = Calibration(scale, shift, stance_scale, plain.stance_shift, plain.thresholds)
    probability = fitted.topic_probabilities(topics)
    thresholds = np.array([best_threshold(probability[:, i], weak.topics[:, i]) for i in range(count)])
    return Calibration(scale, shift, stance_scale, plain.stance_shift, thresholds)


def shift_to_feed(calibration: Calibration, weak: WeakLabels, feed: tuple[float, float, float]) -> Calibration:
    """Correct the stances for the feed's shares where the training corpus had others (Saerens et al., 2002).

    Args:
        calibration: fitted on the corpus.
        weak: weak labels that the model was trained on.
        feed: expected shares of the stances in the feed.
    """
    shift = np.empty_like(calibration.stance_shift)
    for i in range(len(shift)):
        had = (weak.stance[:, i] * weak.topics[:, [i]]).sum(0) + 1.0
        shift[i] = np.log(np.asarray(feed)) - np.log(had / had.sum())
    return replace(calibration, stance_shift=calibration.stance_shift + shift)


def _platt(logits: FloatArray, target: FloatArray) -> tuple[float, float]:
    def loss(x: FloatArray) -> float:
        z = logits * np.exp(x[0]) + x[1]
        # A weak pull towards no change keeps small held-out sets from running away.
        return float(np.sum(np.logaddexp(0, z) - target * z) + 2.0 * x[0] ** 2 + 0.5 * x[1] ** 2)

    fit = minimize(loss, np.zeros(2), method="BFGS")
    return float(np.exp(np.clip(fit.x[0], -3, 3))), float(fit.x[1])


def _temperature(logits: FloatArray, target: FloatArray, weight: FloatArray) -> float:
    def loss(x: FloatArray) -> float:
        z = logits * np.exp(x[0])
        z = z - z.max(1, keepdims=True)
        log_share = z - np.log(np.exp(z).sum(1, keepdims=True))
        return float(-(weight * (target * log_share).sum(1)).sum() + 2.0 * x[0] ** 2)

    fit = minimize(loss, np.zeros(1), method="BFGS")
    return float(np.exp(np.clip(fit.x[0], -3, 3)))


def best_threshold(probability: FloatArray, target: FloatArray) -> float:
    """Give the threshold nearest a half whose expected F1 under soft labels is within a standard error of the best.

    On a few hundred held-out rows the best by a hair is chance, and it moved by 0.2 from one training to the next; the
    one-standard-error rule (Breiman et al., 1984) takes the plainest that is as good as can be told.

    Args:
        probability: shape ``(rows,)``.
        target: shape ``(rows,)``; the weak labels' probabilities.
    """
    wanted = float(target.sum())
    scores = np.array([_expected_f1(probability >= threshold, target) for threshold in _GRID])
    error = np.sqrt(scores.max() * (1 - scores.max()) / max(wanted, 1.0))
    good = _GRID[scores >= scores.max() - error]
    return float(good[np.abs(good - 0.5).argmin()])


def _expected_f1(chosen: npt.NDArray[np.bool_], target: FloatArray) -> float:
    return 2 * float(target[chosen].sum()) / max(float(chosen.sum() + target.sum()), 1e-9)
