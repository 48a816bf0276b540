"""The baseline: TF-IDF of words and characters, with logistic regressions on the soft weak labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from inference.text import fold
from inference.tfidf import FILE, WORD_PATTERN
from training.weak import WeakLabels

FloatArray = npt.NDArray[np.float64]
_LEAST_WEIGHT = 1e-4


@dataclass(frozen=True)
class TfidfModel:
    """The fitted baseline.

    Args:
        word: vectorizer of word 1- and 2-grams.
        char: vectorizer of character 3- to 5-grams within words.
        topics: per topic, a logistic regression over absent, present.
        stance: per topic, one over the stances.
    """

    word: TfidfVectorizer
    char: TfidfVectorizer
    topics: tuple[LogisticRegression, ...]
    stance: tuple[LogisticRegression, ...]

    def logits(self, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Give topic logits ``(rows, topics)`` and stance logits ``(rows, topics, 3)``, by scikit-learn's own code."""
        features = _features(self.word, self.char, texts)
        topics = np.stack([c.decision_function(features) for c in self.topics], axis=1)
        return topics, np.stack([c.decision_function(features) for c in self.stance], axis=1)

    def save(self, folder: Path) -> None:
        """Write the fitted parameters into a folder, as skops: strings and arrays only, no code to run."""
        heads = [*self.topics, *self.stance]
        data = {
            "word": _parameters(self.word),
            "char": _parameters(self.char),
            "weights": np.concatenate([h.coef_ for h in heads]).T.astype(np.float32),
            "bias": np.concatenate([h.intercept_ for h in heads]).astype(np.float64),
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


def _features(word: TfidfVectorizer, char: TfidfVectorizer, texts: Sequence[str]) -> Any:
    folded = [fold(t) for t in texts]
    return sparse.hstack([word.transform(folded), char.transform(folded)], format="csr")


def fit_tfidf(texts: Sequence[str], weak: WeakLabels, *, seed: int = 0) -> TfidfModel:
    """Fit the baseline on weak labels; a soft label is two (or three) copies of a row with the shares as weights.

    Args:
        texts: the paragraphs.
        weak: their weak labels.
        seed: for the solver.
    """
    frequent = 2 if len(texts) >= 200 else 1
    folded = [fold(t) for t in texts]
    word = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=frequent, max_features=200_000, token_pattern=WORD_PATTERN
    )
    char = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=frequent, max_features=300_000
    )
    features = sparse.hstack([word.fit_transform(folded), char.fit_transform(folded)], format="csr")
    topics, stance = [], []
    for i in tqdm(range(weak.topics.shape[1]), desc="TF-IDF classifiers"):
        present = weak.topics[:, i]
        topics.append(_fit_soft(features, np.stack([1 - present, present], axis=1), inverse_strength=10.0, seed=seed))
        shares = weak.stance[:, i] * present[:, None]
        stance.append(_fit_soft(features, shares, inverse_strength=10.0, seed=seed))
    return TfidfModel(word, char, tuple(topics), tuple(stance))


def _fit_soft(features: Any, shares: FloatArray, *, inverse_strength: float, seed: int) -> LogisticRegression:
    classes = shares.shape[1]
    rows, labels, weights = [], [], []
    for c in range(classes):
        used = np.flatnonzero(shares[:, c] > _LEAST_WEIGHT)
        # A class that no weak label speaks for still needs a row, or the model would not know of it.
        used = used if len(used) else np.array([0])
        rows.append(used)
        labels.append(np.full(len(used), c))
        weights.append(np.maximum(shares[used, c], _LEAST_WEIGHT))
    index = np.concatenate(rows)
    model = LogisticRegression(C=inverse_strength, max_iter=500, random_state=seed)
    return model.fit(features[index], np.concatenate(labels), sample_weight=np.concatenate(weights))
