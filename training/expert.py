"""The label model as a second expert beside the fine-tuned encoder, inside the served model.

The encoder knows what paragraphs are like, the label model which wordings are telling; each errs where the other does
not, above all on news unlike the training corpus. Their log-odds are averaged (a product of experts, Hinton, 2002),
clamped first so that neither can silence the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.weak import WeakModel

FloatArray = npt.NDArray[np.float64]
_SMALLEST = 1e-15
# The log-odds of one in ten thousand: what the expert says at most.
LARGEST_ODDS = 9.21


@dataclass(frozen=True)
class Expert:
    """The label model's topic log-odds as a linear function of which lexical functions fire.

    Args:
        weights: shape ``(topics, functions)``.
        bias: shape ``(topics,)``.
    """

    weights: FloatArray
    bias: FloatArray


def topic_expert(model: WeakModel) -> Expert:
    """Read the linear function off a fitted label model.

    Args:
        model: its lexical functions, in their order, are the columns; the others are taken as unable to vote.
    """
    lexical = [j for j, f in enumerate(model.functions) if f.kind == "lexical"]
    others = sorted({f.kind for f in model.functions} - {"lexical"})
    rows = np.full((len(lexical) + 1, len(model.functions)), -1, dtype=np.int8)
    for row, j in enumerate(lexical, 1):
        rows[row, j] = model.functions[j].polarity[0]
    share = np.clip(model.predict(rows, skip_kinds=others).topics, _SMALLEST, 1 - _SMALLEST)
    odds = np.log(share) - np.log1p(-share)
    return Expert(weights=(odds[1:] - odds[0]).T, bias=odds[0])


def without_expert(logits: FloatArray, odds: FloatArray, *, share: float) -> FloatArray:
    """Take the expert's part out of the logits of an encoder that consults it.

    Args:
        logits: shape ``(rows, topics)``.
        odds: shape ``(rows, topics)``; the expert's log-odds, unclamped.
        share: the expert's weight.

    Returns:
        shape ``(rows, topics)``; the encoder's own.
    """
    return np.asarray((1 + share) * logits - share * np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS))
