"""Serves a cascade: the fast model reads every text, and the encoder that taught it only what may carry a topic.

Most of the news is about something else, and a fraction of the encoder's layers is enough to see that (Viola and Jones,
2001). A text on which the fast model gives no topic as much as the manifest's ``pass_from`` is settled: the fast
model's answer stands. Every other text has the encoder's own answer, to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.encoder import EncoderEngine
from inference.engine import Scores
from inference.errors import ModelFolderError
from inference.folder import FIRST, MANIFEST, SECOND, Manifest, read_manifest


class CascadeEngine:
    """Scores texts with two encoders, one behind the other.

    Args:
        folder: a checked model folder of kind ``cascade``.
        manifest: its manifest, whose calibration is the second encoder's.
        mend: whether the second reads words that a scanner misread as they most likely were, where it does so.

    Raises:
        ModelFolderError: where a part cannot be loaded, or is no part of this cascade.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, mend: bool = True) -> None:
        # The hashes of the parts' files were checked as files of the whole.
        first, second = (read_manifest(folder / part, check_files=False) for part in (FIRST, SECOND))
        for part in (first, second):
            if part.kind != "encoder" or part.taxonomy != manifest.taxonomy:
                raise ModelFolderError(f"{folder / MANIFEST}: {part.name!r} is no encoder of this cascade's topics")
        try:
            self._pass_from = np.asarray(manifest.engine["pass_from"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{folder / MANIFEST}: engine.pass_from is missing or wrong ({error})") from None
        calibration = manifest.calibration
        # What is settled must be a decision of the cascade too: no topic is present.
        if (
            self._pass_from.shape != calibration.thresholds.shape
            or not (self._pass_from <= calibration.thresholds).all()
        ):
            raise ModelFolderError(
                f"{folder / MANIFEST}: engine.pass_from must hold one probability for each topic,"
                " no greater than the topic's threshold"
            )
        if not ((calibration.topic_scale > 0).all() and (calibration.stance_scale > 0).all()):
            raise ModelFolderError(f"{folder / MANIFEST}: the calibration's scales must be greater than 0")
        self._topics = len(manifest.taxonomy)
        self._taught, self._calibration = first.calibration, calibration
        self._first = EncoderEngine(folder / FIRST, first, mend=mend)
        self._second = EncoderEngine(folder / SECOND, second, mend=mend)

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Give the raw scores of each text, in order."""
        if not texts:
            return []
        # What is settled has no topic, and what is not has the second's evidence.
        scores = self._first.score(texts, evidence=False)
        topics = self._taught.topic_probabilities(np.stack([s.topics for s in scores]))
        stance = self._taught.stance_probabilities(np.stack([s.stance for s in scores]))
        passed = np.any(topics >= self._pass_from, axis=1).tolist()
        read = iter(self._second.score([text for text, on in zip(texts, passed, strict=True) if on]))
        # One calibration serves both: what the fast model says is put as the encoder would have put it.
        own = zip(self._calibration.topic_logits(topics), self._calibration.stance_logits(stance), strict=True)
        return [
            replace(next(read), by=SECOND)
            if on
            else Scores(*logits, ((),) * self._topics, windows=score.windows, mended=score.mended, by=FIRST)
            for on, logits, score in zip(passed, own, scores, strict=True)
        ]
