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
from training.vote_table import VoteTable, discount_of, near_copies, tabulate

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
        silence: whether a function's silence is evidence; where not, only its votes are.
        sample: how many rows are enough where nearly every one is a pattern of votes of its own.
    """

    classes: int
    balance: Sequence[float] | None = None
    prior_strength: float = 100.0
    balance_strength: float = 100.0
    iterations: int = 100
    tolerance: float = 1e-4
    temper: bool = True
    silence: bool = True
    sample: int = 3000

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
        table = tabulate(votes, weights, self.classes, sample=self.sample)
        prior = self._prior(table, accuracies, polarities)
        start = _Parameters(self._normalise(prior), self._balance())
        discount = near_copies(table) if self.temper else np.ones(votes.shape[1])
        fitted, posterior = self._maximise(table, start, prior, discount)
        if self.temper:
            # The discount of near-copies stays: given a class that they all but decide, they would look independent.
            discount = np.minimum(discount, discount_of(table, posterior))
            fitted, _ = self._maximise(table, fitted, prior, discount)
        return VoteModel(rates=fitted.rates, balance=fitted.shares, discount=discount)

    def _balance(self) -> FloatArray:
        return np.full(self.classes, 1 / self.classes) if self.balance is None else np.asarray(self.balance, float)

    def _prior(
        self,
        table: VoteTable,
        accuracies: Sequence[float] | None,
        polarities: Sequence[Sequence[int]] | None,
    ) -> FloatArray:
        balance = self._balance()
        functions = len(table.fired)
        seen = np.zeros((functions, self.classes))
        seen[table.function, table.vote] = table.votes @ table.rows / table.rows.sum()
        prior = np.empty((functions, self.classes, self.classes + 1))
        for j in range(functions):
            accuracy = 0.7 if accuracies is None else accuracies[j]
            shares = seen[j]
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
        self, table: VoteTable, start: _Parameters, prior: FloatArray, discount: FloatArray
    ) -> tuple[_Parameters, FloatArray]:
        rates, shares = start.rates, start.shares
        pseudo = self.prior_strength * prior
        pseudo_shares = self.balance_strength * self._balance()
        # Classes come first: sums over a short last axis would take most of the time.
        posterior = np.zeros((self.classes, len(table.mass)))
        for _ in range(self.iterations):
            # Silence is the rule: its evidence is summed once for all rows, and votes are counted against it.
            evidence = np.log(rates) * discount[:, None, None]
            against_silence = evidence[table.function, :, 1 + table.vote] - evidence[table.function, :, 0]
            silent = evidence[:, :, 0].sum(0) + np.log(shares)
            logits = against_silence.T @ table.votes + silent[:, None]
            logits -= logits.max(0)
            updated = np.exp(logits)
            updated /= updated.sum(0)
            change = np.abs(updated - posterior).max()
            posterior = updated
            weighted = posterior * table.mass
            total = weighted.sum(1)
            counts = np.zeros_like(prior)
            counts[table.function, :, 1 + table.vote] = (weighted @ table.votes.T).T
            counts[:, :, 0] = np.maximum(total - counts.sum(2), 0.0)
            rates = self._normalise(counts + pseudo)
            shares = total + pseudo_shares
            shares = shares / shares.sum()
            if change < self.tolerance:
                break
        return _Parameters(rates, shares), posterior

    def _normalise(self, counts: FloatArray) -> FloatArray:
        rates = np.asarray(counts / counts.sum(2, keepdims=True), dtype=np.float64)
        if self.silence:
            return rates
        # One silence for all classes says nothing of any of them.
        quiet = counts[:, :, :1].sum(1, keepdims=True) / counts.sum((1, 2), keepdims=True)
        votes = rates[:, :, 1:] / np.maximum(1 - rates[:, :, :1], 1e-12)
        return np.concatenate([np.broadcast_to(quiet, rates[:, :, :1].shape), votes * (1 - quiet)], axis=2)


@dataclass(frozen=True)
class _Parameters:
    rates: FloatArray
    shares: FloatArray


def describe(model: VoteModel) -> list[dict[str, Any]]:
    """Give per function the accuracy that the model believes in: P(class = vote | vote), over its votes."""
    rows = []
    joint = model.rates[:, :, 1:] * model.balance[None, :, None]
    for j in range(len(model.rates)):
        right = np.trace(joint[j])
        rows.append({"accuracy": float(right / max(joint[j].sum(), 1e-12)), "discount": float(model.discount[j])})
    return rows
