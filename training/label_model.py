"""Label models: from the votes of labelling functions to probabilities.

The default is Dawid and Skene's model (Applied Statistics 28(1), 1979) with three changes that weak supervision
asks for. Silence is a symbol of its own, so that a function that only ever says yes still teaches something by
keeping quiet. Each function's confusion has a Dirichlet prior made of its author's guess of its accuracy. And the
votes of functions that move together given the class are tempered, so that five spellings of one idea do not count
as five witnesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import ConfigError
from inference.vote_model import VoteModel

FloatArray = npt.NDArray[np.float64]
VoteArray = npt.NDArray[np.int8]


def majority_vote(votes: VoteArray, classes: int, *, default: int) -> FloatArray:
    """Give each row the share of its votes per class; a row without votes, or with a tie, leans to the default.

    Args:
        votes: shape ``(rows, functions)``, -1 where a function abstains.
        classes: how many classes there are.
        default: class of rows without votes.

    Returns:
        shape ``(rows, classes)``; rows sum to 1.
    """
    counts = np.stack([(votes == c).sum(1) for c in range(classes)], axis=1).astype(np.float64)
    most = counts.max(1)
    tied = (counts == most[:, None]).sum(1) > 1
    # A hair over the tied classes settles the tie and outweighs nobody.
    counts[tied, default] = most[tied] + 1e-6
    return np.asarray(counts / counts.sum(1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class DawidSkene:
    """Fits the label model by expectation maximisation.

    Args:
        classes: how many classes there are.
        balance: prior class shares, shape ``(classes,)``; None for equal.
        prior_strength: how many observations the author's guess of an accuracy is worth.
        balance_strength: how many observations the prior class shares are worth.
        iterations: most rounds of expectation maximisation.
        tolerance: largest change of a posterior at which it stops.
        temper: whether correlated functions are discounted.
    """

    classes: int
    balance: Sequence[float] | None = None
    prior_strength: float = 100.0
    balance_strength: float = 100.0
    iterations: int = 100
    tolerance: float = 1e-4
    temper: bool = True

    def fit(
        self,
        votes: VoteArray,
        *,
        accuracies: Sequence[float] | None = None,
        polarities: Sequence[Sequence[int]] | None = None,
        weights: FloatArray | None = None,
    ) -> VoteModel:
        """Fit on votes.

        Args:
            votes: shape ``(rows, functions)``; -1 is abstain.
            accuracies: per function, the author's guess of how often a vote is right; 0.7 where None.
            polarities: per function, the classes that it can vote for; what is seen in the votes where None.
            weights: shape ``(rows,)``, how much each row counts; the prior's coverages are those of all rows.

        Returns:
            the fitted model.

        Raises:
            ConfigError: where there is nothing to fit on.
        """
        if votes.ndim != 2 or 0 in votes.shape:
            raise ConfigError("a label model needs at least one row and one labelling function")
        # Rows with the same votes have the same posterior: expectation maximisation runs on the distinct ones.
        patterns, mass = _distinct(votes, weights)
        one_hot = np.stack([patterns == v for v in range(-1, self.classes)], axis=2).astype(np.float64)
        prior = self._prior(votes, accuracies, polarities)
        balance = np.full(self.classes, 1 / self.classes) if self.balance is None else np.asarray(self.balance, float)
        discount = np.ones(votes.shape[1])
        model, posterior = self._maximise(one_hot, mass, prior, balance, discount)
        if self.temper:
            discount = _discount(one_hot, mass, posterior)
            model, _ = self._maximise(one_hot, mass, prior, balance, discount)
        return model

    def _prior(
        self,
        votes: VoteArray,
        accuracies: Sequence[float] | None,
        polarities: Sequence[Sequence[int]] | None,
    ) -> FloatArray:
        balance = np.full(self.classes, 1 / self.classes) if self.balance is None else np.asarray(self.balance, float)
        functions = votes.shape[1]
        prior = np.empty((functions, self.classes, self.classes + 1))
        for j in range(functions):
            accuracy = 0.7 if accuracies is None else accuracies[j]
            shares = np.array([(votes[:, j] == c).mean() for c in range(self.classes)])
            can = polarities[j] if polarities is not None else np.flatnonzero(shares)
            rates = np.full((self.classes, self.classes), 1e-4)
            for c in can:
                # Bayes, turned round: P(vote | class) from P(class | vote), the coverage and the class shares.
                others = np.delete(balance, c)
                rates[c, c] = accuracy * shares[c] / max(balance[c], 1e-6)
                wrong = (1 - accuracy) * shares[c] / max(others.sum(), 1e-6)
                rates[np.arange(self.classes) != c, c] = wrong
            rates = np.clip(rates, 1e-4, 0.98)
            rates /= np.maximum(rates.sum(1, keepdims=True) / 0.98, 1.0)
            prior[j, :, 1:] = rates
            prior[j, :, 0] = 1 - rates.sum(1)
        return prior

    def _maximise(
        self, one_hot: FloatArray, mass: FloatArray, prior: FloatArray, balance: FloatArray, discount: FloatArray
    ) -> tuple[VoteModel, FloatArray]:
        rates, shares = prior.copy(), balance.copy()
        flat = one_hot.reshape(len(one_hot), -1)
        pseudo = self.prior_strength * prior
        posterior = np.zeros((len(one_hot), self.classes))
        for _ in range(self.iterations):
            evidence = (np.log(rates) * discount[:, None, None]).transpose(0, 2, 1).reshape(-1, self.classes)
            logits = flat @ evidence + np.log(shares)
            logits -= logits.max(1, keepdims=True)
            updated = np.exp(logits)
            updated /= updated.sum(1, keepdims=True)
            change = np.abs(updated - posterior).max()
            posterior = updated
            weighted = posterior * mass[:, None]
            counts = (flat.T @ weighted).reshape(*one_hot.shape[1:], self.classes).transpose(0, 2, 1)
            rates = counts + pseudo
            rates /= rates.sum(2, keepdims=True)
            shares = weighted.sum(0) + self.balance_strength * balance
            shares /= shares.sum()
            if change < self.tolerance:
                break
        return VoteModel(rates=rates, balance=shares, discount=discount), posterior


def _distinct(votes: VoteArray, weights: FloatArray | None) -> tuple[VoteArray, FloatArray]:
    packed = np.ascontiguousarray(votes).view(np.dtype((np.void, votes.shape[1]))).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    mass = np.bincount(inverse, weights=weights, minlength=len(first)).astype(np.float64)
    return votes[first], mass


def _discount(one_hot: FloatArray, mass: FloatArray, posterior: FloatArray) -> FloatArray:
    """Give each function one over its count of like-minded fellows: 1 + sum of correlations given the class."""
    fired = 1.0 - one_hot[:, :, 0]
    functions = fired.shape[1]
    total = np.zeros((functions, functions))
    for c in range(posterior.shape[1]):
        weight = posterior[:, c] * mass
        if weight.sum() < 1:
            continue
        share = weight / weight.sum()
        centred = fired - share @ fired
        covariance = (centred * share[:, None]).T @ centred
        scale = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        total += weight.sum() / mass.sum() * covariance / np.outer(scale, scale)
    correlation = np.clip(np.abs(total), 0, 1)
    np.fill_diagonal(correlation, 0)
    # Small correlations are noise of finite samples, and there are many of them.
    correlation[correlation < 0.1] = 0
    return np.asarray(1 / (1 + correlation.sum(1)), dtype=np.float64)


def describe(model: VoteModel) -> list[dict[str, Any]]:
    """Give per function the accuracy that the model believes in: P(class = vote | vote), over its votes."""
    rows = []
    joint = model.rates[:, :, 1:] * model.balance[None, :, None]
    for j in range(len(model.rates)):
        right = np.trace(joint[j])
        rows.append({"accuracy": float(right / max(joint[j].sum(), 1e-12)), "discount": float(model.discount[j])})
    return rows
