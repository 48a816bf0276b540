"""What a served model teaches: its answers, apart from the label model's part in them, which the student gets whole.

An encoder's topic logits are its own reading averaged with the label model's log-odds (:mod:`training.expert`). The
votes are there for the student as well, so it need not learn the second part from examples: it is taught the first
alone and consults the same expert, with which half of every logit is the teacher's to the last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from tqdm.auto import tqdm

from inference.encoder import FUNCTIONS_FILE
from inference.errors import ConfigError
from inference.folder import MANIFEST, sha256_file
from inference.lexicon import ABSTAIN, LexicalFunction, Matcher
from inference.predictor import Predictor
from training.evaluation import probabilities_of
from training.expert import Expert, without_expert
from training.quantise import MODEL_FILE
from training.weak import WeakLabels

_BATCH = 256


@dataclass(frozen=True)
class Teacher:
    """A served encoder as a teacher.

    Args:
        predictor: the encoder.
        matcher: the lexical labelling functions that it reads beside the tokens.
        expert: the label model's log-odds that it consults, as a function of the votes.
        share: weight of them beside the encoder's own, which count 1; 0 where it consults none.
    """

    predictor: Predictor
    matcher: Matcher
    expert: Expert
    share: float

    @classmethod
    def of(cls, predictor: Predictor, *, asked: str) -> Teacher:
        """Read what a teacher is off its model folder.

        Args:
            predictor: the model.
            asked: what the user called it.

        Raises:
            ConfigError: where it is no encoder.
        """
        if (kind := predictor.manifest.kind) != "encoder":
            raise ConfigError(f"{asked} is of kind {kind}; only an encoder can teach")
        rows = json.loads((predictor.folder / FUNCTIONS_FILE).read_text("utf-8"))["functions"]
        expert, share = consulted(predictor.folder)
        return cls(predictor, Matcher(LexicalFunction.from_json(f) for f in rows), expert, share)

    def describe(self) -> dict[str, Any]:
        """Give what a student's manifest says of its teacher."""
        manifest = self.predictor.manifest
        return {
            "base": manifest.base,
            "run_id": manifest.training.get("run_id", ""),
            "data_sha256": manifest.data_sha256,
            "manifest_sha256": sha256_file(self.predictor.folder / MANIFEST),
        }

    def answers(self, texts: Sequence[str]) -> WeakLabels:
        """Give its probabilities, calibrated as it serves them."""
        taxonomy = self.predictor.manifest.taxonomy
        parts = [
            probabilities_of(self.predictor.predict(texts[start : start + _BATCH]), taxonomy)
            for start in tqdm(range(0, max(len(texts), 1), _BATCH), desc="The teacher reads")
        ]
        return WeakLabels(np.concatenate([p.topics for p in parts]), np.concatenate([p.stance for p in parts]))

    def reading(self, texts: Sequence[str], answers: WeakLabels) -> WeakLabels:
        """Give what its own topic logits stand for, without the expert and uncalibrated; the stances as they are.

        Args:
            texts: what it read.
            answers: what it said of them.
        """
        fires = self.matcher.votes(texts) != ABSTAIN
        odds = fires @ self.expert.weights.T + self.expert.bias
        said = self.predictor.manifest.calibration.topic_logits(answers.topics)
        own = without_expert(said, odds, share=self.share)
        return WeakLabels(1 / (1 + np.exp(-own)), answers.stance)


def consulted(folder: Path) -> tuple[Expert, float]:
    """Read the expert that an encoder consults, and its share, off a checked model folder's graph.

    Args:
        folder: of kind ``encoder``.
    """
    graph = onnx.load(folder / MODEL_FILE).graph
    found = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.name.startswith("model.expert_")}
    weights, bias, share = (found[f"model.expert_{name}"].astype(np.float64) for name in ("weights", "bias", "share"))
    return Expert(weights=weights, bias=bias), float(share)
