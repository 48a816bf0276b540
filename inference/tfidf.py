"""Serves the TF-IDF baseline: scikit-learn's fitted parameters, read from skops, scored by a memoised analyser.

The n-grams of a word are looked up once and remembered. What comes out equals scikit-learn's own transform and
decision function (a test holds both against each other).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.engine import Scores, Span, word_spans
from inference.errors import ModelFolderError
from inference.folder import Manifest
from inference.text import folded_view

FILE = "model.skops"
WORD_PATTERN = r"(?u)\b\w\w+\b"
_MEMO_LIMIT = 300_000

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class _Block:
    """One TfidfVectorizer: vocabulary, idf, and the rows of the weight matrix that belong to it."""

    def __init__(self, parameters: Mapping[str, Any], weights: FloatArray) -> None:
        self.vocabulary = {term: i for i, term in enumerate(parameters["terms"].split("\n"))}
        self.idf = np.asarray(parameters["idf"], dtype=np.float64)
        self.range = (int(parameters["low"]), int(parameters["high"]))
        self.weights = weights

    def score(self, ids: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Give the block's part of the scores, the value of one occurrence per distinct id, and those ids."""
        distinct, counts = np.unique(ids, return_counts=True)
        values = (1 + np.log(counts)) * self.idf[distinct]
        norm = np.sqrt((values**2).sum())
        values = values / norm if norm else values
        return values @ self.weights[distinct], values / counts, distinct


class TfidfEngine:
    """Scores texts with the TF-IDF baseline.

    Args:
        folder: a checked model folder of kind ``tfidf``.
        manifest: its manifest.

    Raises:
        ModelFolderError: where the file cannot be loaded or holds types that a baseline has no need of.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        from skops.io import get_untrusted_types, load

        path = folder / FILE
        try:
            if untrusted := get_untrusted_types(file=path):
                raise ModelFolderError(f"{path}: holds types that are not trusted: {', '.join(sorted(untrusted))}")
            model = load(path, trusted=[])
            split = len(model["word"]["idf"])
            weights = np.ascontiguousarray(model["weights"], dtype=np.float64)
            self._word = _Block(model["word"], weights[:split])
            self._char = _Block(model["char"], weights[split:])
            self._bias = np.asarray(model["bias"], dtype=np.float64)
        except ModelFolderError:
            raise
        except Exception as error:  # skops and zipfile raise many families of errors for a broken file
            raise ModelFolderError(f"{path}: not a readable skops file ({error})") from None
        self._topics = len(manifest.taxonomy)
        self._word_pattern = re.compile(WORD_PATTERN)
        self._memo: dict[str, IntArray] = {}
        self._lock = threading.Lock()

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Give the raw scores of each text, in order."""
        return [self._score(t) for t in texts]

    def _score(self, text: str) -> Scores:
        view = folded_view(text)
        words = [(m.group(), m.start(), m.end()) for m in self._word_pattern.finditer(view.text)]
        grams = [self._chunk_ids(c) for c in view.text.split(" ") if c]
        word_ids, word_owner = self._word_ids([w for w, _, _ in words])
        word_part, word_values, word_distinct = self._word.score(word_ids)
        char_ids = np.concatenate(grams) if grams else np.empty(0, np.int64)
        char_part, char_values, char_distinct = self._char.score(char_ids)
        total = word_part + char_part + self._bias
        topics, stance = total[: self._topics], total[self._topics :].reshape(self._topics, 3)
        spans: list[tuple[Span, ...]] = [()] * self._topics
        if words:
            loud = np.flatnonzero(topics > -1.0)
            added = np.zeros((len(words), self._topics))
            place = np.searchsorted(word_distinct, word_ids)
            value = word_values[place, None] * self._word.weights[word_ids, : self._topics]
            np.add.at(added, word_owner, value)
            self._add_chars(added, words, char_values, char_distinct)
            for topic in loud:
                spans[topic] = word_spans([view.span(a, b) for _, a, b in words], added[:, topic])
        return Scores(topics, stance, tuple(spans))

    def _add_chars(
        self, added: FloatArray, words: Sequence[tuple[str, int, int]], values: FloatArray, distinct: IntArray
    ) -> None:
        if not len(distinct):
            return
        for i, (word, _, _) in enumerate(words):
            ids = self._chunk_ids(word)
            place = np.searchsorted(distinct, ids).clip(0, len(distinct) - 1)
            known = distinct[place] == ids
            added[i] += values[place[known]] @ self._char.weights[ids[known], : self._topics]

    def _word_ids(self, words: list[str]) -> tuple[IntArray, IntArray]:
        vocabulary, (low, high) = self._word.vocabulary, self._word.range
        ids, owner = [], []
        for n in range(low, high + 1):
            for i in range(len(words) - n + 1):
                number = vocabulary.get(words[i] if n == 1 else " ".join(words[i : i + n]))
                if number is not None:
                    ids.append(number)
                    owner.append(i)
        return np.asarray(ids, dtype=np.int64), np.asarray(owner, dtype=np.int64)

    def _chunk_ids(self, chunk: str) -> IntArray:
        known = self._memo.get(chunk)
        if known is not None:
            return known
        vocabulary, (low, high) = self._char.vocabulary, self._char.range
        padded = f" {chunk} "
        ids = []
        for n in range(low, high + 1):
            # scikit-learn counts a word shorter than n once, whole, and then stops.
            for start in range(max(len(padded) - n, 0) + 1):
                number = vocabulary.get(padded[start : start + n])
                if number is not None:
                    ids.append(number)
            if len(padded) <= n:
                break
        array = np.asarray(ids, dtype=np.int64)
        with self._lock:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[chunk] = array
        return array
