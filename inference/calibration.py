"""Calibration: how raw scores become probabilities and decisions, the same at training and at serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Calibration:
    """Temperature and shift per head, and the thresholds of the decisions.

    Args:
        topic_scale: shape ``(topics,)``; a topic's logit is multiplied by it.
        topic_shift: shape ``(topics,)``; and this is added.
        stance_scale: shape ``(topics,)``; a topic's stance logits are multiplied by it.
        stance_shift: shape ``(topics, 3)``; and these are added.
        thresholds: shape ``(topics,)``; probability from which a topic is present.
        abstain_margin: half the width of the band round the threshold in which the model abstains.
    """

    topic_scale: FloatArray
    topic_shift: FloatArray
    stance_scale: FloatArray
    stance_shift: FloatArray
    thresholds: FloatArray
    abstain_margin: float = 0.1

    @classmethod
    def identity(cls, topics: int) -> Calibration:
        """Give the calibration that changes nothing and decides at one half."""
        return cls(np.ones(topics), np.zeros(topics), np.ones(topics), np.zeros((topics, 3)), np.full(topics, 0.5))

    def topic_probabilities(self, logits: FloatArray) -> FloatArray:
        """Give probabilities for logits of shape ``(rows, topics)``."""
        return np.asarray(1 / (1 + np.exp(-np.clip(logits * self.topic_scale + self.topic_shift, -60, 60))))

    def stance_probabilities(self, logits: FloatArray) -> FloatArray:
        """Give probabilities for logits of shape ``(rows, topics, 3)``."""
        return _softmax(logits * self.stance_scale[:, None] + self.stance_shift)

    def topic_logits(self, probabilities: FloatArray) -> FloatArray:
        """Give the logits that :meth:`topic_probabilities` made probabilities of, shape ``(rows, topics)``."""
        sure = np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)
        return np.asarray((np.log(sure) - np.log1p(-sure) - self.topic_shift) / self.topic_scale)

    def stance_logits(self, probabilities: FloatArray) -> FloatArray:
        """Give logits that :meth:`stance_probabilities` makes these probabilities of, shape ``(rows, topics, 3)``."""
        return np.asarray(
            (np.log(np.clip(probabilities, _SMALLEST, 1)) - self.stance_shift) / self.stance_scale[:, None]
        )

    def unshifted_stance(self, probabilities: FloatArray) -> FloatArray:
        """Take the shift out of stance probabilities, shape ``(rows, topics, 3)``; the scale stays in them."""
        return _softmax(np.log(np.clip(probabilities, _SMALLEST, 1)) - self.stance_shift)

    def to_json(self) -> dict[str, Any]:
        """Give the calibration as the manifest stores it."""
        arrays = ("topic_scale", "topic_shift", "stance_scale", "stance_shift", "thresholds")
        data: dict[str, Any] = {name: getattr(self, name).round(6).tolist() for name in arrays}
        data["abstain_margin"] = self.abstain_margin
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what :meth:`to_json` gave."""
        arrays = {k: np.asarray(v, dtype=np.float64) for k, v in data.items() if k != "abstain_margin"}
        return cls(**arrays, abstain_margin=float(data["abstain_margin"]))


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))
