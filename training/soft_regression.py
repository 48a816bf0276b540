"""Logistic regression on soft labels: every row once, with its shares of the classes as the target.

scikit-learn's takes one class a row, so that a soft label costs a copy of the row for each class; over a corpus of
150,000 paragraphs that is most of the time and of the memory. The objective here is the same: the expected
cross-entropy under the shares, and an L2 penalty on the coefficients alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from inference.processor import usable_cores

FloatArray = npt.NDArray[np.float64]
_MOST_STEPS = 500
_GRADIENT = 1e-4
# Corrections that L-BFGS remembers: each costs two vectors as long as all coefficients.
_MEMORY = 5


@dataclass(frozen=True)
class SoftRegression:
    """The fitted coefficients.

    Args:
        coef: shape ``(outputs, features)``; one output for the second of two classes, else one per class.
        intercept: shape ``(outputs,)``.
    """

    coef: FloatArray
    intercept: FloatArray

    def logits(self, features: Any) -> FloatArray:
        """Give the log-odds of a row's classes, shape ``(rows, outputs)``.

        Args:
            features: shape ``(rows, features)``, sparse or not.
        """
        return np.asarray(features @ self.coef.T, dtype=np.float64) + self.intercept


def fit_binary(features: Sequence[Any], present: FloatArray, *, inverse_strength: float) -> SoftRegression:
    """Fit the probability of one thing.

    Args:
        features: row blocks of a matrix, sparse or not, shapes ``(rows of the block, features)``.
        present: shape ``(rows,)``; probabilities.
        inverse_strength: of the penalty, as scikit-learn's ``C``.
    """

    def loss(logits: FloatArray) -> tuple[float, FloatArray]:
        own = logits[:, 0]
        value = np.logaddexp(0.0, own) - present * own
        return float(value.sum()), (expit(own) - present)[:, None]

    return _fit(features, loss, outputs=1, weight=float(len(present)), inverse_strength=inverse_strength)


def fit_classes(features: Sequence[Any], shares: FloatArray, *, inverse_strength: float) -> SoftRegression:
    """Fit the probabilities of classes of which one holds.

    Args:
        features: row blocks of a matrix, sparse or not, shapes ``(rows of the block, features)``.
        shares: shape ``(rows, classes)``; a row's weight is its sum, which may be less than 1.
        inverse_strength: of the penalty, as scikit-learn's ``C``.
    """
    weights = shares.sum(1)

    def loss(logits: FloatArray) -> tuple[float, FloatArray]:
        total = logsumexp(logits, axis=1)
        value = float(weights @ total - (shares * logits).sum())
        return value, weights[:, None] * np.exp(logits - total[:, None]) - shares

    return _fit(features, loss, outputs=shares.shape[1], weight=float(weights.sum()), inverse_strength=inverse_strength)


def _fit(
    features: Sequence[Any],
    loss: Callable[[FloatArray], tuple[float, FloatArray]],
    *,
    outputs: int,
    weight: float,
    inverse_strength: float,
) -> SoftRegression:
    width = features[0].shape[1]
    ends = np.cumsum([block.shape[0] for block in features])
    penalty = 1.0 / (inverse_strength * weight)
    with ThreadPoolExecutor(usable_cores()) as pool:

        def objective(flat: FloatArray) -> tuple[float, FloatArray]:
            weights = flat.reshape(width + 1, outputs)
            narrow = np.ascontiguousarray(weights[:-1], dtype=features[0].dtype)
            logits = np.concatenate(list(pool.map(lambda block: block @ narrow, features)), dtype=np.float64)
            value, slope = loss(logits + weights[-1])
            parts = zip(features, np.split(slope.astype(features[0].dtype), ends[:-1]), strict=True)
            gradient = np.empty_like(weights)
            gradient[:-1] = sum(pool.map(lambda part: part[0].T @ part[1], parts)) / weight
            gradient[:-1] += penalty * weights[:-1]
            gradient[-1] = slope.sum(0) / weight
            return value / weight + 0.5 * penalty * float((weights[:-1] ** 2).sum()), gradient.ravel()

        found = minimize(
            objective,
            np.zeros((width + 1) * outputs),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MOST_STEPS, "gtol": _GRADIENT, "ftol": 64 * np.finfo(float).eps, "maxcor": _MEMORY},
        )
    weights = found.x.reshape(width + 1, outputs)
    return SoftRegression(np.ascontiguousarray(weights[:-1].T), weights[-1])
