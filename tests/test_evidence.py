"""Evidence is faithful: without the words that it names, the model is less sure than without others as long."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest

from inference import Predictor
from tests import serving, tiny

SENTENCES = (tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT)
TEXTS, DRAWS = 60, 4


def texts() -> list[str]:
    """Paragraphs of two or three of the sentences, so that most of their words speak for something else."""
    rng = random.Random(11)
    return [" ".join(rng.sample(SENTENCES, rng.choice((2, 3)))) for _ in range(TEXTS)]


def log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(clipped / (1 - clipped))


def without(text: str, start: int, end: int) -> str:
    return text[:start] + text[end:]


@pytest.mark.parametrize("kind", ["weak", "tfidf", "encoder"])
def test_deleting_the_evidence_lowers_the_score_more_than_deleting_as_much_at_random(kind: str, tmp_path: Path) -> None:
    predictor = Predictor(serving.folder(kind, tmp_path / kind, tmp_path))
    rng = random.Random(5)
    cases: list[tuple[str, str, list[str]]] = []
    for prediction in predictor.predict(texts()):
        for topic in prediction.present:
            spans = [e for e in prediction.evidence if e.topic == topic]
            if not spans:
                continue
            text, best = prediction.text, spans[0]
            length = best.end - best.start
            starts = [rng.randrange(len(text) - length + 1) for _ in range(DRAWS)]
            changed = [without(text, best.start, best.end), *(without(text, s, s + length) for s in starts)]
            cases.append((text, topic, changed))
    assert len(cases) > 30, "most of these texts carry a topic, and a present topic has evidence"
    flat = [t for text, _, changed in cases for t in (text, *changed)]
    answers = {t: p for t, p in zip(flat, predictor.predict(flat), strict=True)}

    def score(text: str, topic: str) -> float:
        return log_odds(answers[text].topics[topic].probability)

    drops = np.array(
        [[score(text, topic) - score(other, topic) for other in changed] for text, topic, changed in cases]
    )
    named, drawn = drops[:, 0].mean(), drops[:, 1:].mean()
    assert named > 0
    assert named > 2 * drawn, f"{named:.3f} for the evidence, {drawn:.3f} at random"
