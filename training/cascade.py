"""Puts a fast model before the encoder that taught it: `models/cascade`, which reads news at a multiple of its rate.

From which probability a paragraph is passed on is set on paragraphs that the fast model did not learn from, without
labels: the encoder's own findings there are what must not be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.folder import FIRST, SECOND, Manifest, link_or_copy, read_manifest, sha256_file
from inference.folder import MANIFEST as MANIFEST_FILE
from inference.predictor import Predictor
from training.card import write_with_card
from training.evaluation import probabilities_of
from training.weak import WeakLabels

NAME = "cascade"
_FROM_THE_ENCODER = ("precision", "precision_reason", "reduce_range", "licence")
_DIGITS = 1e6

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cascade:
    """A cascade, and what it does on paragraphs that the fast model did not learn from.

    Args:
        folder: its model folder.
        kept: share of the encoder's findings, topic by topic, in paragraphs that reach the encoder.
        settled: share of the paragraphs without a finding that the fast model answers alone.
        findings: how many findings there were.
        paragraphs: in how many paragraphs.
        unknown: topics of which there was none, so that every paragraph has to reach the encoder.
    """

    folder: Path
    kept: float
    settled: float
    findings: int
    paragraphs: int
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, float]:
        """Give what the manifest and the run say of it."""
        shares = {"kept": round(self.kept, 4), "settled": round(self.settled, 4)}
        return {**shares, "findings": self.findings, "paragraphs": self.paragraphs}

    def describe(self) -> str:
        """Give what a person is told of it."""
        if self.unknown:
            return (
                f"its encoder found no {', '.join(self.unknown)} in {self.paragraphs} paragraphs held out, so it has "
                "to read all there is; bring paragraphs with --input"
            )
        return (
            f"on {self.paragraphs} paragraphs held out its encoder gets {self.kept:.1%} of what it finds, and is "
            f"spared {self.settled:.0%} of those in which it finds nothing"
        )


def write_cascade(
    target: Path,
    texts: Sequence[str],
    answers: WeakLabels,
    *,
    fast: Path,
    encoder: Path,
    keep: float,
    training: Mapping[str, Any],
) -> Cascade:
    """Write the cascade of two model folders, which it takes into itself.

    Args:
        target: its folder.
        texts: paragraphs that the fast model did not learn from.
        answers: what the encoder says of them.
        fast: the fast model's folder.
        encoder: its teacher's.
        keep: share of the encoder's findings of each topic that must reach it, 0 to 1.
        training: what the manifest says of the making.
    """
    taught = read_manifest(encoder)
    calibration = taught.calibration
    found: npt.NDArray[np.bool_] = np.greater_equal(answers.topics, calibration.thresholds)
    said = probabilities_of(Predictor(fast).predict(list(texts)), taught.taxonomy).topics
    # What the encoder would abstain from must be its own decision too.
    highest = np.maximum(calibration.thresholds - calibration.abstain_margin, 0)
    pass_from = np.minimum(lowest_kept(said, found, keep=keep), highest)
    passed, none = np.any(said >= pass_from, axis=1), ~np.any(found, axis=1)
    cascade = Cascade(
        target,
        kept=_share(passed[:, None] & found, found),
        settled=_share(~passed & none, none),
        findings=int(found.sum()),
        paragraphs=len(texts),
        unknown=tuple(taught.taxonomy.ids[i] for i in np.flatnonzero(found.sum(0) == 0)),
    )
    manifest = Manifest(
        kind="cascade",
        name="Rasd cascade",
        base=f"{taught.base}; behind a fast model distilled from it",
        taxonomy=taught.taxonomy,
        calibration=calibration,
        engine={
            "pass_from": pass_from.tolist(),
            **{key: taught.engine[key] for key in _FROM_THE_ENCODER if key in taught.engine},
        },
        training={
            **training,
            "cascade": {
                **cascade.to_json(),
                "fast_sha256": sha256_file(fast / MANIFEST_FILE),
            },
        },
        data_sha256=taught.data_sha256,
    )

    def fill(folder: Path) -> None:
        for part, source in ((FIRST, fast), (SECOND, encoder)):
            for name in read_manifest(source, check_files=False).whole:
                (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(str(source / name), str(folder / part / name))

    write_with_card(target, manifest, fill)
    return cascade


def lowest_kept(said: FloatArray, found: npt.NDArray[np.bool_], *, keep: float) -> FloatArray:
    """Give each topic's highest probability from which on at least a share of its findings lie.

    Args:
        said: shape ``(paragraphs, topics)``; the fast model's probabilities.
        found: shape ``(paragraphs, topics)``; whether the encoder finds the topic.
        keep: the share, 0 to 1.

    Returns:
        shape ``(topics,)``; 0 for a topic that was never found, of which nothing is known.
    """
    columns = zip(said.T, found.T, strict=True)
    lowest = np.array([np.quantile(p[f], 1 - keep, method="lower") if f.any() else 0.0 for p, f in columns])
    # Rounded down: rounded up, the very finding that it is the probability of would be lost.
    return np.floor(lowest * _DIGITS) / _DIGITS


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 1.0
