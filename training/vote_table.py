"""The distinct rows of a vote matrix, and which functions move together and so are no witnesses of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
VoteArray = npt.NDArray[np.int8]
_LEAST_CORRELATION = 0.02
_COPIES = 0.9
_AGREE = 0.97
_LEAST_TOGETHER = 0.01


@dataclass(frozen=True)
class VoteTable:
    """The distinct rows, as indicators of the votes that occur at all.

    Args:
        votes: shape ``(columns, patterns)``; 1 where the column's function gives the column's vote.
        function: shape ``(columns,)``.
        vote: shape ``(columns,)``.
        fired: shape ``(functions, patterns)``; 1 where a function votes.
        rows: shape ``(patterns,)``; how many rows each pattern stands for.
        mass: shape ``(patterns,)``; their weights' sum.
    """

    votes: FloatArray
    function: npt.NDArray[np.int64]
    vote: npt.NDArray[np.int64]
    fired: FloatArray
    rows: FloatArray
    mass: FloatArray


def tabulate(votes: VoteArray, weights: FloatArray | None, classes: int, *, sample: int) -> VoteTable:
    """Tell the distinct rows apart: rows with the same votes have the same posterior.

    Of a large matrix in which nearly every row is a pattern of its own, a sample is taken: rows so full of votes
    determine the few parameters long before there are tens of thousands of them. Where functions are mostly silent
    all rows stay: they fall into few patterns, and the rare votes are all wanted.
    """
    if len(votes) > sample:
        chosen = np.sort(np.random.default_rng(len(votes)).choice(len(votes), sample, replace=False))
        part = tabulate(votes[chosen], None if weights is None else weights[chosen], classes, sample=sample)
        if len(part.mass) > sample / 2:
            return part
    packed = np.ascontiguousarray(votes).view(np.dtype((np.void, votes.shape[1]))).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    rows = np.bincount(inverse, minlength=len(first)).astype(np.float64)
    mass = rows if weights is None else np.bincount(inverse, weights, len(first)).astype(np.float64)
    patterns = np.ascontiguousarray(votes[first].T)
    given = np.stack([patterns == c for c in range(classes)], axis=1)
    function, vote = np.nonzero(given.any(2))
    indicators = given[function, vote].astype(np.float64)
    return VoteTable(indicators, function, vote, (patterns >= 0).astype(np.float64), rows, mass)


def near_copies(table: VoteTable) -> FloatArray:
    """Discount functions that say the same on nearly the same rows, before any class is known.

    Left alone, copies outvote the rest in the first round, are taken for the truth, and given the truth nobody looks
    like a copy any more.
    """
    alike = _correlation(table.fired, table.mass)
    alike[alike < _COPIES] = 0
    both = (table.votes * table.mass) @ table.votes.T
    # Sums over the columns of one function, then of the other: how often they vote together, and the same.
    of_function = (table.function == np.arange(len(alike))[:, None]).astype(np.float64)
    together = of_function @ both @ of_function.T
    agreed = of_function @ (both * (table.vote == table.vote[:, None])) @ of_function.T
    # Of functions that can say one thing only, agreement tells nothing.
    choice = np.bincount(table.function, minlength=len(alike)) > 1
    copies = (agreed >= _AGREE * together) & (together > _LEAST_TOGETHER * table.mass.sum()) & choice & choice[:, None]
    return _one_over_fellows(np.where(copies, 1.0, alike))


def discount_of(table: VoteTable, posterior: FloatArray) -> FloatArray:
    """Give each function one over its count of like-minded fellows: 1 + sum of correlations given the class."""
    functions = len(table.fired)
    total = np.zeros((functions, functions))
    for share in posterior:
        weight = share * table.mass
        if weight.sum() >= 1:
            total += weight.sum() / table.mass.sum() * _correlation(table.fired, weight)
    # Correlations within two standard errors of none are noise of finite samples, and there are many of them.
    noise = max(2 / np.sqrt(table.mass.sum()), _LEAST_CORRELATION)
    return _one_over_fellows(np.where(total < noise, 0.0, total))


def _correlation(indicators: FloatArray, weight: FloatArray) -> FloatArray:
    share = weight / max(weight.sum(), 1e-12)
    mean = indicators @ share
    covariance = (indicators * share) @ indicators.T - np.outer(mean, mean)
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    return np.asarray(np.clip(np.abs(covariance / np.outer(scale, scale)), 0, 1), dtype=np.float64)


def _one_over_fellows(correlation: FloatArray) -> FloatArray:
    others = correlation * (1 - np.eye(len(correlation)))
    return np.asarray(1 / (1 + others.sum(1)), dtype=np.float64)
