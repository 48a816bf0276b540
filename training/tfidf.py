"""The baseline: TF-IDF of words and characters, with logistic regressions on the soft weak labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from tqdm.auto import tqdm

from inference.processor import usable_cores
from inference.text import fold
from inference.tfidf import FILE, WORD_PATTERN
from training.soft_regression import SoftRegression, fit_binary, fit_classes
from training.weak import WeakLabels

log = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]
_LEAST_WEIGHT = 1e-4
_INVERSE_STRENGTH = 10.0
MOST_COUNTED, MOST_FITTED = 50_000, 200_000
"""Paragraphs whose n-grams are counted, and that are learned from: what bounds the memory. More are drawn evenly."""
_BLOCK = 5_000


@dataclass(frozen=True)
class TfidfModel:
    """The fitted baseline.

    Args:
        word: vectorizer of word 1- and 2-grams.
        char: vectorizer of character 3- to 5-grams within words.
        topics: per topic, the regression of its presence.
        stance: per topic, that of the stances.
    """

    word: TfidfVectorizer
    char: TfidfVectorizer
    topics: tuple[SoftRegression, ...]
    stance: tuple[SoftRegression, ...]

    def logits(self, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Give topic logits ``(rows, topics)`` and stance logits ``(rows, topics, 3)``, by scikit-learn's own code."""
        features = sparse.vstack(_features(self.word, self.char, texts))
        topics = np.concatenate([c.logits(features) for c in self.topics], axis=1)
        return topics, np.stack([c.logits(features) for c in self.stance], axis=1)

    def save(self, folder: Path) -> None:
        """Write the fitted parameters into a folder, as skops: strings and arrays only, no code to run."""
        heads = [*self.topics, *self.stance]
        data = {
            "word": _parameters(self.word),
            "char": _parameters(self.char),
            "weights": np.concatenate([h.coef for h in heads]).T.astype(np.float32),
            "bias": np.concatenate([h.intercept for h in heads]).astype(np.float64),
        }
        skops.io.dump(data, folder / FILE)


def _parameters(vectorizer: TfidfVectorizer) -> dict[str, Any]:
    # skops writes every entry of a dict as an object of its own: a vocabulary is minutes so, and a second as one text.
    terms = vectorizer.get_feature_names_out()
    return {
        "terms": "\n".join(terms),
        "idf": vectorizer.idf_,
        "low": vectorizer.ngram_range[0],
        "high": vectorizer.ngram_range[1],
    }


def _features(word: TfidfVectorizer, char: TfidfVectorizer, texts: Sequence[str]) -> list[Any]:
    """Give the features of texts as blocks of rows, which threads take one each."""
    size = min(_BLOCK, max(1, -(-len(texts) // usable_cores())))
    blocks = []
    for start in range(0, len(texts), size):
        folded = [fold(t) for t in texts[start : start + size]]
        parts = [word.transform(folded), char.transform(folded)]
        blocks.append(sparse.hstack(parts, format="csr", dtype=np.float32))
    return blocks


def _evenly(rows: int, most: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, rows - 1, min(rows, most)).astype(np.int64)


def fit_tfidf(texts: Sequence[str], weak: WeakLabels) -> TfidfModel:
    """Fit the baseline on weak labels.

    Args:
        texts: the paragraphs.
        weak: their weak labels.
    """
    if len(texts) > MOST_FITTED:
        log.info("TF-IDF learns from %d of %d paragraphs, drawn evenly", MOST_FITTED, len(texts))
        used = _evenly(len(texts), MOST_FITTED)
        texts, weak = [texts[i] for i in used], weak.of(used)
    counted = [fold(texts[i]) for i in _evenly(len(texts), MOST_COUNTED)]
    frequent = 2 if len(counted) >= 200 else 1
    word = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=frequent, max_features=200_000, token_pattern=WORD_PATTERN
    ).fit(counted)
    char = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=frequent, max_features=300_000
    ).fit(counted)
    features = _features(word, char, texts)
    topics, stance = [], []
    for i in tqdm(range(weak.topics.shape[1]), desc="TF-IDF classifiers"):
        present = weak.topics[:, i]
        topics.append(fit_binary(features, present, inverse_strength=_INVERSE_STRENGTH))
        shares = weak.stance[:, i] * present[:, None]
        # A class that no weak label speaks for would be pushed without end.
        shares[0] += np.where(shares.sum(0) < _LEAST_WEIGHT, _LEAST_WEIGHT, 0.0)
        stance.append(fit_classes(features, shares, inverse_strength=_INVERSE_STRENGTH))
    return TfidfModel(word, char, tuple(topics), tuple(stance))
