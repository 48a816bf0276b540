"""What every engine gives for a text, and which engine serves which kind of model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.folder import Manifest


@dataclass(frozen=True)
class Span:
    """A stretch of the original text and how much it adds to a topic's score."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Scores:
    """Raw scores of one text.

    Args:
        topics: shape ``(topics,)``, logits.
        stance: shape ``(topics, 3)``, logits.
        spans: per topic, candidates for evidence.
        windows: how many windows the text was read in.
        mended: words that look misread by a scanner, and what they were read as.
        by: which of several models gave them; empty where there is one.
    """

    topics: npt.NDArray[np.float64]
    stance: npt.NDArray[np.float64]
    spans: tuple[tuple[Span, ...], ...]
    windows: int = 1
    mended: tuple[tuple[str, str], ...] = ()
    by: str = ""


class Engine(Protocol):
    """Scores texts; safe to share between threads."""

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Give the raw scores of each text, in order; a text's scores do not depend on the others."""
        ...


def make_engine(folder: Path, manifest: Manifest, *, mend: bool = True) -> Engine:
    """Make the engine for a checked model folder.

    Args:
        folder: the folder.
        manifest: its manifest.
        mend: whether an encoder mends what looks scanned.
    """
    # Imported here: a process that serves one kind never loads what another kind needs.
    if manifest.kind == "encoder":
        from inference.encoder import EncoderEngine

        return EncoderEngine(folder, manifest, mend=mend)
    if manifest.kind == "cascade":
        from inference.cascade import CascadeEngine

        return CascadeEngine(folder, manifest, mend=mend)
    if manifest.kind == "tfidf":
        from inference.tfidf import TfidfEngine

        return TfidfEngine(folder, manifest)
    from inference.weak import WeakEngine

    return WeakEngine(folder, manifest)


def word_spans(
    places: Sequence[tuple[int, int]], weights: npt.NDArray[np.float64], *, most: int = 3, reach: int = 1
) -> tuple[Span, ...]:
    """Join the words that speak loudest into stretches, strongest first.

    Args:
        places: per word, its characters in the original.
        weights: shape ``(words,)``; what each word adds.
        most: how many stretches at the most.
        reach: words on either side that a stretch may take along where they add something too.
    """
    spans: list[Span] = []
    taken = np.zeros(len(places), dtype=bool)
    for best in np.argsort(-weights, kind="stable"):
        if len(spans) == most or weights[best] <= 0:
            break
        if taken[best]:
            continue
        first = last = int(best)
        while first > 0 and best - first < reach and weights[first - 1] > 0 and not taken[first - 1]:
            first -= 1
        while last + 1 < len(places) and last - best < reach and weights[last + 1] > 0 and not taken[last + 1]:
            last += 1
        taken[first : last + 1] = True
        spans.append(Span(places[first][0], places[last][1], float(weights[first : last + 1].sum())))
    return tuple(sorted(spans, key=lambda s: -s.weight))
