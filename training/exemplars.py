"""Semantic labelling functions that learn from examples what a topic's paragraphs are like.

A record whose metadata says what it is about, as a brief does, is an example. Over the frozen encoder's embedding one
logistic regression tells a topic's examples from the rest and another tells its stances apart; what they think of a
paragraph becomes votes, those of which they are sure apart from those of which they are not. So what a few records
with metadata show reaches those that have none.

The regressions are fitted crosswise (Chernozhukov et al., The Econometrics Journal 21(1), 2018): no record is read by
one that learned from its article. Else the votes would repeat the metadata that taught them, and the label model would
take that for agreement. A paragraph that shares its article with no example is read by all of them.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from inference.lexicon import TOPIC_VOTES
from inference.taxonomy import STANCES, Taxonomy
from training.embedding import Embed
from training.labeling import LabelingFunction, Record

FloatArray = npt.NDArray[np.float64]
KIND = "semantic"
_FOLDS = 5
_LEAST = 10
# On standardised features of a few hundred dimensions and a few thousand examples, this much is mild.
_INVERSE_STRENGTH = 0.01
_MOST_STEPS = 1000
# An applier asks function by function, for a chunk of thousands of paragraphs at a time.
_REMEMBERED = 8192


@dataclass(frozen=True)
class _Bin:
    name: str
    vote: int
    lowest: float
    highest: float
    accuracy: float


_TOPIC_BINS = (
    _Bin("clearly_like", 1, 0.9, 1.1, 0.85),
    _Bin("like", 1, 0.6, 0.9, 0.65),
    _Bin("unlike", 0, 0.7, 0.9, 0.85),
    _Bin("clearly_unlike", 0, 0.9, 1.1, 0.97),
)
_STANCE_BINS = tuple(
    _Bin(f"{how}_{stance}", s, lowest, highest, accuracy)
    for s, stance in enumerate(STANCES)
    for how, lowest, highest, accuracy in (("clearly", 0.75, 1.1, 0.75), ("rather", 0.5, 0.75, 0.6))
)


@dataclass(frozen=True)
class Reading:
    """A fitted regression for each fold, each from the examples outside of it, and their mean.

    Args:
        coef: shape ``(folds + 1, classes, width)``, on standardised features.
        intercept: shape ``(folds + 1, classes)``.
    """

    coef: FloatArray
    intercept: FloatArray

    def probabilities(self, features: FloatArray, folds: npt.NDArray[np.int64]) -> FloatArray:
        """Give the classes' probabilities, shape ``(rows, classes)``.

        Args:
            features: shape ``(rows, width)``.
            folds: shape ``(rows,)``; which regression reads each row.
        """
        logits = np.einsum("rw,rcw->rc", features, self.coef[folds]) + self.intercept[folds]
        return np.asarray(softmax(logits, axis=1))


@dataclass(frozen=True)
class Readings:
    """What was learned from a corpus' examples.

    Args:
        mean: shape ``(width,)``; of the examples' vectors.
        spread: shape ``(width,)``; their standard deviation.
        topics: topic id to its reading, over no and yes; a topic with too few examples is left out.
        stances: topic id to its reading over the stances; likewise.
        examples: how many there were.
        articles: theirs.
    """

    mean: FloatArray
    spread: FloatArray
    topics: Mapping[str, Reading]
    stances: Mapping[str, Reading]
    examples: int
    articles: frozenset[str]

    def fold_of(self, record: Record) -> int:
        """Say which regression may read a record: that of its article's fold, or the mean of all."""
        article = _article(record)
        return _fold(article) if article in self.articles else _FOLDS

    def describe(self, taxonomy: Taxonomy) -> str:
        """Say what was learned, for people."""
        rest = ", ".join(t for t in taxonomy.ids if t not in self.topics)
        return f"Semantic functions: learned from {self.examples} paragraphs whose metadata says their topics" + (
            f"; {rest} by prototype sentences, as there are too few of them" if rest else ""
        )


def learn_from_examples(
    records: Iterable[Record],
    functions: Sequence[LabelingFunction],
    taxonomy: Taxonomy,
    *,
    embed: Embed,
) -> Readings:
    """Learn what the paragraphs of each topic are like from those whose metadata says so.

    Args:
        records: paragraphs, with ``text``, ``id``, ``article`` and their other fields.
        functions: of which those of kind ``metadata`` that can say more than one thing tell the examples.
        taxonomy: the topics.
        embed: the embedding.
    """
    own = [f for f in functions if f.kind == "metadata" and len(f.polarity) > 1]
    examples = [r for r in records if any(f.call(r) is not None for f in own if f.call and not f.is_stance)]
    if not examples:
        return Readings(np.zeros(0), np.ones(0), {}, {}, 0, frozenset())
    features = embed([r["text"] for r in examples]).astype(np.float64)
    mean, spread = features.mean(0), features.std(0) + 1e-6
    articles = [_article(r) for r in examples]
    features, folds = (features - mean) / spread, np.array([_fold(a) for a in articles])
    topics, stances = {}, {}
    for topic in taxonomy.ids:
        labels = _told(examples, own, topic, TOPIC_VOTES)
        if reading := _fit(features, labels, folds, classes=len(TOPIC_VOTES)):
            topics[topic] = reading
            if reading := _fit(features, _told(examples, own, topic, STANCES), folds, classes=len(STANCES)):
                stances[topic] = reading
    return Readings(mean, spread, topics, stances, len(examples), frozenset(articles))


def exemplar_functions(readings: Readings, *, embed: Embed) -> list[LabelingFunction]:
    """Make the labelling functions of what was learned: ten of a topic that has enough examples of all kinds.

    Args:
        readings: from :func:`learn_from_examples`.
        embed: the embedding that it had.
    """
    reader = _Reader(readings, embed)
    functions = []
    for is_stance, found, bins in ((False, readings.topics, _TOPIC_BINS), (True, readings.stances, _STANCE_BINS)):
        for topic in found:
            for own in bins:
                call = _vote(reader, topic, own, is_stance=is_stance)
                name, polarity = f"{topic}.{own.name}", (own.vote,)
                functions.append(
                    LabelingFunction(
                        name, topic, KIND, is_stance, polarity, own.accuracy, call=call, prepare=reader.prepare
                    )
                )
    return functions


def _vote(reader: _Reader, topic: str, own: _Bin, *, is_stance: bool) -> Callable[[Record], str | None]:
    symbols: Sequence[str] = STANCES if is_stance else TOPIC_VOTES

    def call(record: Record) -> str | None:
        share = reader(record)[is_stance, topic][own.vote]
        return symbols[own.vote] if own.lowest <= share < own.highest else None

    return call


class _Reader:
    """Reads records with what was learned, in batches, each once for all functions."""

    def __init__(self, readings: Readings, embed: Embed) -> None:
        self._readings, self._embed = readings, embed
        self._known: OrderedDict[tuple[str, int], dict[tuple[bool, str], FloatArray]] = OrderedDict()

    def __call__(self, record: Record) -> Mapping[tuple[bool, str], FloatArray]:
        """Give what was learned of it: the classes' probabilities under ``(is_stance, topic)``."""
        key = self._key(record)
        if key not in self._known:
            self.prepare([record])
        return self._known[key]

    def prepare(self, records: Sequence[Record]) -> None:
        """Read those that are not known yet."""
        keys = list(dict.fromkeys(key for r in records if (key := self._key(r)) not in self._known))
        if not keys:
            return
        own = self._readings
        features = (self._embed([text for text, _ in keys]) - own.mean) / own.spread
        folds = np.array([fold for _, fold in keys])
        said = {
            (is_stance, topic): reading.probabilities(features, folds)
            for is_stance, found in ((False, own.topics), (True, own.stances))
            for topic, reading in found.items()
        }
        for row, key in enumerate(keys):
            self._known[key] = {which: values[row] for which, values in said.items()}
        while len(self._known) > max(_REMEMBERED, len(keys)):
            self._known.popitem(last=False)

    def _key(self, record: Record) -> tuple[str, int]:
        return record["text"], self._readings.fold_of(record)


def _article(record: Record) -> str:
    return str(record.get("article") or record["id"])


def _fold(article: str) -> int:
    return zlib.crc32(article.encode("utf-8", "replace")) % _FOLDS


def _told(
    records: Sequence[Record], functions: Sequence[LabelingFunction], topic: str, symbols: Sequence[str]
) -> npt.NDArray[np.int64]:
    own = [f.call for f in functions if f.topic == topic and f.is_stance == (symbols is STANCES) and f.call]
    votes = [next((v for call in own if (v := call(r)) is not None), None) for r in records]
    return np.array([symbols.index(v) if v in symbols else -1 for v in votes], dtype=np.int64)


def _fit(
    features: FloatArray, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], *, classes: int
) -> Reading | None:
    coef = np.zeros((_FOLDS + 1, classes, features.shape[1]))
    intercept = np.zeros((_FOLDS + 1, classes))
    for fold in range(_FOLDS):
        rows = (labels >= 0) & (folds != fold)
        if np.bincount(labels[rows], minlength=classes).min() < _LEAST:
            return None
        model = LogisticRegression(C=_INVERSE_STRENGTH, max_iter=_MOST_STEPS).fit(features[rows], labels[rows])
        if classes == 2:
            coef[fold, 1], intercept[fold, 1] = model.coef_[0], model.intercept_[0]
        else:
            coef[fold], intercept[fold] = model.coef_, model.intercept_
    coef[-1], intercept[-1] = coef[:-1].mean(0), intercept[:-1].mean(0)
    return Reading(coef, intercept)
