"""TF-IDF on a public stance data set: Rasd's features tuned on dev, and the plain script that it is held against."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.public_data import Pair, Task
from inference.text import fold
from inference.tfidf import WORD_PATTERN

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STRENGTHS = (1.0, 5.0, 25.0)


@dataclass(frozen=True)
class Fitted:
    """A tuned baseline's answers.

    Args:
        setting: what dev chose.
        dev: shape ``(rows, labels)``; probabilities.
        test: likewise.
    """

    setting: str
    dev: Floats
    test: Floats


class PairFeatures:
    """Rasd's word and character n-grams of a pair's two texts, and of how they differ.

    Args:
        by_target: whether the features of a text stand there a second time for its target alone, so that a word may
            mean one thing for one target and another for the next (Daumé, ACL 2007). Where false, the two texts are
            a pair of headlines: both, what they share, and what they do not.
    """

    def __init__(self, *, by_target: bool) -> None:
        self._by_target = by_target
        self._word = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=WORD_PATTERN)
        self._char = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, max_features=300_000
        )
        self._groups: list[str] = []

    def fit(self, rows: Sequence[Pair]) -> PairFeatures:
        """Learn the vocabulary and the targets."""
        texts = [fold(t) for r in rows for t in ((r.text,) if self._by_target else (r.target, r.text))]
        self._word.fit(texts)
        self._char.fit(texts)
        self._groups = sorted({r.group for r in rows})
        return self

    def transform(self, rows: Sequence[Pair]) -> Any:
        """Give the features, shape ``(rows, features)``, sparse."""
        own = self._grams([r.text for r in rows])
        if not self._by_target:
            other = self._grams([r.target for r in rows])
            return sparse.hstack([own, other, own.multiply(other), abs(own - other)], format="csr")
        words = self._word.transform([fold(r.text) for r in rows])
        # 1 where a row has the target, for every target: shape (rows, targets).
        groups = np.array([[float(r.group == g) for g in self._groups] for r in rows])
        copies = [sparse.diags(groups[:, j]) @ words for j in range(len(self._groups))]
        return sparse.hstack([own, sparse.csr_matrix(groups), *copies], format="csr")

    def _grams(self, texts: Sequence[str]) -> Any:
        folded = [fold(t) for t in texts]
        return sparse.hstack([self._word.transform(folded), self._char.transform(folded)], format="csr")


def labels_of(rows: Sequence[Pair]) -> Ints:
    """Give the labels of rows."""
    return np.array([r.label for r in rows])


def fit_tfidf(task: Task, *, seed: int = 13) -> Fitted:
    """Fit Rasd's TF-IDF baseline; dev chooses the penalty and whether classes are balanced.

    Args:
        task: the data set.
        seed: of the solver.
    """
    features = PairFeatures(by_target=bool(task.train[0].group)).fit(task.train)
    train, dev, test = (features.transform(part) for part in (task.train, task.dev, task.test))
    gold, tried = labels_of(task.dev), []
    for strength, weight in itertools.product(_STRENGTHS, (None, "balanced")):
        model = LogisticRegression(C=strength, class_weight=weight, max_iter=300, random_state=seed)
        model.fit(train, labels_of(task.train))
        f1 = f1_score(gold, model.predict(dev), average="macro")
        tried.append((f1, f"C={strength:g}, {weight or 'classes as they are'}", model))
    _, setting, model = max(tried, key=lambda t: t[0])
    return Fitted(setting, model.predict_proba(dev), model.predict_proba(test))


def fit_svm(task: Task) -> Ints:
    """Fit the anchor, word n-grams and a linear SVM over target and text, as they come; give its labels of test."""

    def texts(rows: Sequence[Pair]) -> list[str]:
        return [f"{r.target} {r.text}" for r in rows]

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC())
    model.fit(texts(task.train), labels_of(task.train))
    return np.asarray(model.predict(texts(task.test)))
