"""Serves the TF-IDF baseline: scikit-learn's fitted parameters, read from skops, scored by a memoised analyser.

The n-grams of a word are looked up once and remembered. What comes out equals scikit-learn's own transform and
decision function (a test holds both against each other).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from inference.engine import Scores, Span, word_spans
from inference.errors import ModelFolderError
from inference.folder import Manifest
from inference.text import View
from inference.views import views
from inference.word_terms import WordTerms

FILE = "model.skops"
WORD_PATTERN = r"(?u)\w\w+"
_MEMO_LIMIT = 300_000
_BATCH = 256

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class _Weighed:
    """The n-grams of a batch of texts, each once a text.

    Args:
        ids: shape ``(n-grams,)``; by text, then ascending.
        values: shape ``(n-grams,)``; their TF-IDF.
        counts: shape ``(n-grams,)``; how often each stands in its text.
        starts: shape ``(texts + 1,)``; where each text's begin.
    """

    ids: IntArray
    values: FloatArray
    counts: IntArray
    starts: IntArray

    def of(self, text: int) -> slice:
        return slice(self.starts[text], self.starts[text + 1])


class _Block:
    """One TfidfVectorizer: idf, and the rows of the weight matrix that belong to it."""

    def __init__(self, parameters: Mapping[str, Any], weights: npt.NDArray[np.float32]) -> None:
        self.idf = np.asarray(parameters["idf"], dtype=np.float64)
        self.weights = weights.astype(np.float64)

    def weigh(self, found: Sequence[IntArray]) -> _Weighed:
        """Weigh the n-grams that were found in each text."""
        size = np.int64(len(self.idf))
        owners = np.repeat(np.arange(len(found)), [len(f) for f in found])
        keys = owners * size + np.concatenate([_NONE, *found])
        # Half as wide sorts in half the time.
        narrow = np.int32 if len(found) * size <= np.iinfo(np.int32).max else np.int64
        keys, counts = np.unique(keys.astype(narrow, copy=False), return_counts=True)
        keys = keys.astype(np.int64, copy=False)
        owners = keys // size
        ids = keys - owners * size
        values = (1 + np.log(counts)) * self.idf[ids]
        values /= np.sqrt(np.bincount(owners, values * values, minlength=len(found)))[owners]
        return _Weighed(ids, values, counts, np.searchsorted(owners, np.arange(len(found) + 1)))

    def score(self, weighed: _Weighed) -> FloatArray:
        """Give the block's part of every text's scores, shape ``(texts, outputs)``."""
        shape = len(weighed.starts) - 1, len(self.idf)
        return np.asarray(csr_array((weighed.values, weighed.ids, weighed.starts), shape=shape) @ self.weights)

    def added(self, weighed: _Weighed, text: int, ids: IntArray, topics: IntArray) -> FloatArray:
        """Give what each occurrence of an n-gram of a text adds to topics, shape ``(ids, topics)``.

        Args:
            weighed: the batch.
            text: which of its texts.
            ids: the occurrences; one that was not counted in the text adds nothing.
            topics: columns of the weights.
        """
        own = weighed.of(text)
        distinct = weighed.ids[own]
        if not len(distinct):
            return np.zeros((len(ids), len(topics)))
        place = np.searchsorted(distinct, ids).clip(0, len(distinct) - 1)
        each = np.where(distinct[place] == ids, (weighed.values[own] / weighed.counts[own])[place], 0.0)
        return np.asarray(each[:, None] * self.weights[np.ix_(ids, topics)])


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
            weights = np.ascontiguousarray(model["weights"], dtype=np.float32)
            self._word = _Block(model["word"], weights[:split])
            self._char = _Block(model["char"], weights[split:])
            self._vocabulary = {term: i for i, term in enumerate(model["char"]["terms"].split("\n"))}
            self._range = int(model["char"]["low"]), int(model["char"]["high"])
            self._terms = WordTerms(model["word"]["terms"].split("\n"))
            self._bias = np.asarray(model["bias"], dtype=np.float64)
        except ModelFolderError:
            raise
        except Exception as error:  # skops and zipfile raise many families of errors for a broken file
            raise ModelFolderError(f"{path}: not a readable skops file ({error})") from None
        self._topics = len(manifest.taxonomy)
        self._calibration = manifest.calibration
        self._word_pattern = re.compile(WORD_PATTERN)
        self._memo: dict[str, IntArray] = {}
        self._lock = threading.Lock()

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Give the raw scores of each text, in order."""
        return [s for start in range(0, len(texts), _BATCH) for s in self._score(texts[start : start + _BATCH])]

    def _score(self, texts: Sequence[str]) -> list[Scores]:
        folded = views(texts, fold=True)
        words = self._terms.find([self._word_pattern.findall(view.text) for view in folded])
        grams = [self._grams(view.text.split()) for view in folded]
        by_word = self._word.weigh([ids for ids, _ in words])
        by_char = self._char.weigh([np.concatenate([_NONE, *own]) for own in grams])
        total = self._word.score(by_word) + self._char.score(by_char) + self._bias
        topics, stance = total[:, : self._topics], total[:, self._topics :].reshape(len(texts), self._topics, 3)
        calibration = self._calibration
        present = calibration.topic_probabilities(topics) >= calibration.thresholds
        scores = []
        for i, view in enumerate(folded):
            spans: list[tuple[Span, ...]] = [()] * self._topics
            loud = np.flatnonzero(present[i])
            # Evidence is asked for where a topic is present, and nowhere else.
            if len(loud):
                places, added = self._by_word(view, words[i], (by_word, by_char), i, loud)
                for column, topic in enumerate(loud):
                    spans[topic] = word_spans(places, added[:, column])
            scores.append(Scores(topics[i], stance[i], tuple(spans)))
        return scores

    def _by_word(
        self,
        view: View,
        found: tuple[IntArray, IntArray],
        weighed: tuple[_Weighed, _Weighed],
        text: int,
        loud: IntArray,
    ) -> tuple[list[tuple[int, int]], FloatArray]:
        """Give the words' places in the original, and what each adds to some topics."""
        matches = list(self._word_pattern.finditer(view.text))
        if not matches:
            return [], np.zeros((0, len(loud)))
        places = np.array([m.span() for m in matches])
        firsts, lasts = view.offsets[places[:, 0]].tolist(), (view.offsets[places[:, 1] - 1] + 1).tolist()
        (ids, owners), (by_word, by_char) = found, weighed
        grams = self._grams([m.group() for m in matches])
        owners = np.concatenate([owners, np.repeat(np.arange(len(matches)), [len(g) for g in grams])])
        parts = (
            self._word.added(by_word, text, ids, loud),
            self._char.added(by_char, text, np.concatenate([_NONE, *grams]), loud),
        )
        each = np.concatenate(parts).T
        sums = [np.bincount(owners, weights=own, minlength=len(matches)) for own in each]
        added = np.stack(sums, axis=1, dtype=np.float64)
        return list(zip(firsts, lasts, strict=True)), added

    def _grams(self, chunks: Sequence[str]) -> list[IntArray]:
        known = self._memo.get
        return [ids if (ids := known(chunk)) is not None else self._chunk_ids(chunk) for chunk in chunks]

    def _chunk_ids(self, chunk: str) -> IntArray:
        vocabulary, (low, high) = self._vocabulary, self._range
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
