"""What a served encoder teaches: its answers, apart from the label model's part in them, which the student gets whole.

The teacher's topic logits are its own reading averaged with the label model's log-odds (:mod:`training.expert`). The
votes are there for the student as well, so it need not learn the second part from examples: it is taught the first
alone and consults the same expert, with which half of every logit is the teacher's to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from tqdm.auto import tqdm

from inference.calibration import Calibration
from inference.predictor import Predictor
from inference.taxonomy import STANCES
from training.expert import LARGEST_ODDS, Expert
from training.quantise import MODEL_FILE
from training.weak import WeakLabels

_BATCH = 256
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Consulted:
    """The expert that a model folder's encoder consults.

    Args:
        expert: its log-odds as a function of the votes.
        share: weight of them beside the encoder's own, which count 1; 0 where it consults none.
    """

    expert: Expert
    share: float


def consulted(folder: Path) -> Consulted:
    """Read the expert off a checked model folder's graph.

    Args:
        folder: of kind ``encoder``.
    """
    graph = onnx.load(folder / MODEL_FILE).graph
    found = {i.name.removeprefix("model."): i for i in graph.initializer if i.name.startswith("model.expert_")}
    weights, bias, share = (
        numpy_helper.to_array(found[f"expert_{name}"]).astype(np.float64) for name in ("weights", "bias", "share")
    )
    return Consulted(Expert(weights=weights, bias=bias), float(share))


def answers_of(teacher: Predictor, texts: Sequence[str]) -> WeakLabels:
    """Give a model's probabilities as labels.

    Args:
        teacher: the model.
        texts: what it reads.
    """
    topics, stance = [], []
    for start in tqdm(range(0, len(texts), _BATCH), desc="The teacher reads"):
        for prediction in teacher.predict(texts[start : start + _BATCH]):
            found = list(prediction.topics.values())
            topics.append([t.probability for t in found])
            stance.append([[t.stance.probabilities[s] for s in STANCES] for t in found])
    return WeakLabels(np.array(topics), np.array(stance))


def own_reading(
    answers: WeakLabels, votes: npt.NDArray[np.uint8], *, calibration: Calibration, consulted: Consulted
) -> WeakLabels:
    """Take the expert's part out of a teacher's answers.

    Args:
        answers: from :func:`answers_of`.
        votes: shape ``(rows, functions)``; 1 where a lexical function fires.
        calibration: the teacher's.
        consulted: its expert.

    Returns:
        the probabilities that the teacher's own topic logits stand for, uncalibrated; the stances as they were.
    """
    sure = np.clip(answers.topics, _SMALLEST, 1 - _SMALLEST)
    logits = (np.log(sure) - np.log1p(-sure) - calibration.topic_shift) / calibration.topic_scale
    odds = votes @ consulted.expert.weights.T + consulted.expert.bias
    own = (1 + consulted.share) * logits - consulted.share * np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS)
    return WeakLabels(1 / (1 + np.exp(-own)), answers.stance)
