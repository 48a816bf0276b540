"""Vote matrices with known truth, in the regimes that label models find hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Votes = npt.NDArray[np.int8]
_GUESS_ERROR = 0.1


@dataclass(frozen=True)
class VoteMatrix:
    """Votes with their truth.

    Args:
        votes: shape ``(rows, functions)``; -1 is abstain.
        truth: shape ``(rows,)``; the classes.
        shares: shape ``(classes,)``; the true class shares.
        guesses: shape ``(functions,)``; what an author might think of each function's accuracy.
        polarities: per function, the classes it can vote for.
        default: the class of rows that nobody votes on.
    """

    votes: Votes
    truth: npt.NDArray[np.int64]
    shares: tuple[float, ...]
    guesses: tuple[float, ...]
    polarities: tuple[tuple[int, ...], ...]
    default: int


@dataclass(frozen=True)
class Regime:
    """A kind of vote matrix.

    Args:
        name: what it is.
        draw: what makes one.
    """

    name: str
    draw: Callable[[np.random.Generator], VoteMatrix]


def _bipolar(
    truth: npt.NDArray[np.int64], rng: np.random.Generator, *, accuracy: float, coverage: float, classes: int = 2
) -> Votes:
    wrong = (truth + rng.integers(1, classes, len(truth))) % classes
    votes = np.where(rng.random(len(truth)) < accuracy, truth, wrong)
    return np.where(rng.random(len(truth)) < coverage, votes, -1).astype(np.int8)


def _unipolar(
    truth: npt.NDArray[np.int64], rng: np.random.Generator, *, says: int, accuracy: float, coverage: float
) -> Votes:
    share = (truth == says).mean()
    # So that of all its votes the accuracy's share is right, as far as there are enough rows to fire on.
    hit, slip = min(coverage * accuracy / share, 1.0), coverage * (1 - accuracy) / (1 - share)
    return np.where(rng.random(len(truth)) < np.where(truth == says, hit, slip), says, -1).astype(np.int8)


def _matrix(
    columns: Sequence[Votes], truth: npt.NDArray[np.int64], rng: np.random.Generator, *, classes: int, default: int
) -> VoteMatrix:
    votes = np.stack(columns, axis=1)
    right = [float((c[c >= 0] == truth[c >= 0]).mean()) if (c >= 0).any() else 0.7 for c in columns]
    guesses = tuple(np.clip(np.array(right) + rng.normal(0, _GUESS_ERROR, len(right)), 0.4, 0.98).tolist())
    shares = tuple((np.bincount(truth, minlength=classes) / len(truth)).tolist())
    polarities = tuple(tuple(sorted({int(v) for v in np.unique(c) if v >= 0})) for c in columns)
    return VoteMatrix(votes, truth, shares, guesses, polarities, default)


def _truth(rng: np.random.Generator, shares: Sequence[float], rows: int = 5000) -> npt.NDArray[np.int64]:
    return rng.choice(len(shares), rows, p=shares)


def independent(rng: np.random.Generator) -> VoteMatrix:
    """Twelve independent functions of mixed skill: what the textbook assumes."""
    truth = _truth(rng, (0.5, 0.5))
    columns = [_bipolar(truth, rng, accuracy=rng.uniform(0.55, 0.9), coverage=rng.uniform(0.3, 0.7)) for _ in range(12)]
    return _matrix(columns, truth, rng, classes=2, default=0)


def broad(rng: np.random.Generator) -> VoteMatrix:
    """Twelve functions that all vote on nearly everything, where the majority vote is hard to beat."""
    truth = _truth(rng, (0.6, 0.4))
    columns = [_bipolar(truth, rng, accuracy=rng.uniform(0.65, 0.85), coverage=0.95) for _ in range(12)]
    return _matrix(columns, truth, rng, classes=2, default=0)


def unipolar(rng: np.random.Generator) -> VoteMatrix:
    """Functions that can say one thing only, as keyword rules do; yes is a fifth of the rows."""
    truth = _truth(rng, (0.8, 0.2))
    yes = [
        _unipolar(truth, rng, says=1, accuracy=rng.uniform(0.7, 0.95), coverage=rng.uniform(0.03, 0.12))
        for _ in range(12)
    ]
    no = [
        _unipolar(truth, rng, says=0, accuracy=rng.uniform(0.85, 0.98), coverage=rng.uniform(0.05, 0.5))
        for _ in range(5)
    ]
    return _matrix([*yes, *no], truth, rng, classes=2, default=0)


def correlated(rng: np.random.Generator) -> VoteMatrix:
    """Six near-copies of one poor function beside six independent ones."""
    truth = _truth(rng, (0.6, 0.4))
    poor = _bipolar(truth, rng, accuracy=0.62, coverage=0.8)
    copies = [np.where(rng.random(len(truth)) < 0.9, poor, -1).astype(np.int8) for _ in range(6)]
    alone = [_bipolar(truth, rng, accuracy=rng.uniform(0.7, 0.85), coverage=0.6) for _ in range(6)]
    return _matrix([*copies, *alone], truth, rng, classes=2, default=0)


def correlated_unipolar(rng: np.random.Generator) -> VoteMatrix:
    """Three ideas, each spelled by four overlapping keyword rules, and two broad rules for no: a watch list."""
    truth = _truth(rng, (0.85, 0.15))
    columns = []
    for _ in range(3):
        idea = _unipolar(truth, rng, says=1, accuracy=rng.uniform(0.75, 0.95), coverage=0.07)
        columns += [
            np.where(rng.random(len(truth)) < rng.uniform(0.4, 0.8), idea, -1).astype(np.int8) for _ in range(4)
        ]
    columns += [_unipolar(truth, rng, says=0, accuracy=0.97, coverage=c) for c in (0.5, 0.2)]
    return _matrix(columns, truth, rng, classes=2, default=0)


def rare(rng: np.random.Generator) -> VoteMatrix:
    """A class of three rows in a hundred."""
    truth = _truth(rng, (0.97, 0.03), rows=10_000)
    yes = [_unipolar(truth, rng, says=1, accuracy=rng.uniform(0.6, 0.9), coverage=0.012) for _ in range(8)]
    no = [_unipolar(truth, rng, says=0, accuracy=0.99, coverage=rng.uniform(0.2, 0.6)) for _ in range(4)]
    return _matrix([*yes, *no], truth, rng, classes=2, default=0)


def three_classes(rng: np.random.Generator) -> VoteMatrix:
    """Stances: unipolar functions over three classes, the largest told mostly by the absence of the others."""
    truth = _truth(rng, (0.28, 0.2, 0.52))
    columns = [
        _unipolar(truth, rng, says=says, accuracy=rng.uniform(0.6, 0.85), coverage=rng.uniform(0.05, 0.2))
        for says in (0, 0, 0, 0, 1, 1, 1, 1, 2, 2)
    ]
    return _matrix(columns, truth, rng, classes=3, default=2)


REGIMES = tuple(
    Regime(draw.__name__.replace("_", " "), draw)
    for draw in (independent, broad, unipolar, correlated, correlated_unipolar, rare, three_classes)
)


def speed_matrix(rng: np.random.Generator, rows: int, functions: int) -> VoteMatrix:
    """Give the matrix that fits are timed on: mixed functions, as many unipolar as not.

    Args:
        rng: source of chance.
        rows: how many rows.
        functions: how many functions.
    """
    truth = _truth(rng, (0.7, 0.3), rows=rows)
    columns = [
        _bipolar(truth, rng, accuracy=rng.uniform(0.6, 0.9), coverage=rng.uniform(0.05, 0.4))
        if j % 2
        else _unipolar(truth, rng, says=j // 2 % 2, accuracy=rng.uniform(0.6, 0.9), coverage=rng.uniform(0.05, 0.25))
        for j in range(functions)
    ]
    return _matrix(columns, truth, rng, classes=2, default=0)
