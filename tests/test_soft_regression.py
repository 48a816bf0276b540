"""Logistic regression on soft labels: scikit-learn's optimum, without a copy of a row for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from training.soft_regression import fit_binary, fit_classes
from training.tfidf import fit_tfidf
from training.weak import WeakLabels

ROWS, WIDTH = 300, 12
FloatArray = npt.NDArray[np.float64]


@pytest.fixture
def features() -> FloatArray:
    return np.random.default_rng(3).normal(size=(ROWS, WIDTH))


def by_scikit_learn(features: FloatArray, shares: FloatArray) -> LogisticRegression:
    """Fit a copy of each row for each class, weighted by its share."""
    classes = shares.shape[1]
    return LogisticRegression(C=2.0, tol=1e-8, max_iter=5000).fit(
        np.concatenate([features] * classes),
        np.repeat(np.arange(classes), len(features)),
        sample_weight=shares.T.ravel(),
    )


def test_a_probability_is_fitted_as_two_weighted_copies_of_its_row_are(features: FloatArray) -> None:
    present = np.random.default_rng(4).uniform(size=ROWS)
    model = fit_binary([features], present, inverse_strength=2.0)
    peer = by_scikit_learn(features, np.stack([1 - present, present], axis=1))
    assert model.logits(features)[:, 0] == pytest.approx(peer.decision_function(features), abs=5e-3)


def test_shares_of_classes_are_fitted_as_weighted_copies_are(features: FloatArray) -> None:
    rng = np.random.default_rng(5)
    shares = rng.dirichlet([1, 1, 1], size=ROWS) * rng.uniform(size=(ROWS, 1))
    model = fit_classes([features], shares, inverse_strength=2.0)
    ours, theirs = model.logits(features), by_scikit_learn(features, shares).decision_function(features)
    # Only differences of the logits have a meaning.
    assert ours - ours.mean(1, keepdims=True) == pytest.approx(theirs - theirs.mean(1, keepdims=True), abs=5e-3)


def test_a_row_without_weight_teaches_nothing(features: FloatArray) -> None:
    shares = np.random.default_rng(6).dirichlet([1, 1, 1], size=ROWS)
    shares[50:] = 0.0
    all_rows = fit_classes([features], shares, inverse_strength=2.0)
    own_rows = fit_classes([features[:50]], shares[:50], inverse_strength=2.0)
    assert all_rows.coef == pytest.approx(own_rows.coef, abs=1e-6)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_blocks_of_rows_give_what_one_block_gives(features: FloatArray, form: Any) -> None:
    present = np.random.default_rng(7).uniform(size=ROWS)
    whole = fit_binary([features], present, inverse_strength=2.0)
    parted = fit_binary([form(part) for part in np.split(features, [10, 150])], present, inverse_strength=2.0)
    assert parted.coef == pytest.approx(whole.coef, abs=1e-6)
    assert parted.intercept == pytest.approx(whole.intercept, abs=1e-6)


def test_of_a_corpus_too_large_tfidf_learns_from_rows_of_all_of_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("training.tfidf.MOST_FITTED", 40)
    texts = [f"صفقة أسلحة رقم {i}" if i % 2 else f"مباراة كرة رقم {i}" for i in range(400)]
    present = np.array([[0.9 if i % 2 else 0.1] for i in range(400)])
    with caplog.at_level("INFO"):
        model = fit_tfidf(texts, WeakLabels(present, np.full((400, 1, 3), 1 / 3)))
    assert "40 of 400 paragraphs" in caplog.text
    topics, _ = model.logits(["صفقة أسلحة", "مباراة كرة"])
    assert topics[0, 0] > 0.5 > -0.5 > topics[1, 0]


def test_tfidf_counts_the_ngrams_of_a_part_of_a_large_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.tfidf.MOST_COUNTED", 50)
    texts = [f"كلمة فريدة{'اتثجح'[i % 5]}{'خدذرز'[i // 5 % 5]}{'سشصضط'[i // 25 % 5]}" for i in range(125)]
    model = fit_tfidf(texts, WeakLabels(np.full((125, 1), 0.5), np.full((125, 1, 3), 1 / 3)))
    assert len(model.word.vocabulary_) == 50 + 50 + 1
