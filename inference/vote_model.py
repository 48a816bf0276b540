"""The fitted label model: what turns a row of votes into probabilities, at training and at serving alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class VoteModel:
    """A naive Bayes reading of votes, silence included.

    Args:
        rates: shape ``(functions, classes, 1 + classes)``; P(symbol | class), symbol 0 being silence.
        balance: shape ``(classes,)``; class shares.
        discount: shape ``(functions,)``; how much of a function's evidence counts, 0 to 1.
    """

    rates: npt.NDArray[np.float64]
    balance: npt.NDArray[np.float64]
    discount: npt.NDArray[np.float64]

    def predict(self, votes: npt.NDArray[np.int8], *, functions: npt.NDArray[np.bool_] | None = None) -> Any:
        """Give the probabilities of the classes.

        Args:
            votes: shape ``(rows, functions)``; -1 is abstain.
            functions: shape ``(functions,)``; False for those that could not vote at all, whose silence says nothing.

        Returns:
            shape ``(rows, classes)``; rows sum to 1.
        """
        classes = len(self.balance)
        evidence = np.log(self.rates) * self.discount[:, None, None]
        if functions is not None:
            evidence = evidence * functions[:, None, None]
        logits = np.broadcast_to(np.log(self.balance), (len(votes), classes)).copy()
        for symbol in range(classes + 1):
            logits += (votes == symbol - 1).astype(np.float64) @ evidence[:, :, symbol]
        logits -= logits.max(1, keepdims=True)
        weights = np.exp(logits)
        return weights / weights.sum(1, keepdims=True)

    def to_json(self) -> dict[str, Any]:
        """Give the model as the model folder stores it."""
        return {k: getattr(self, k).round(9).tolist() for k in ("rates", "balance", "discount")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> VoteModel:
        """Read what :meth:`to_json` gave."""
        return cls(**{k: np.asarray(data[k], dtype=np.float64) for k in ("rates", "balance", "discount")})
