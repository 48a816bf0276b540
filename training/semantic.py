"""Semantic labelling functions: votes from the likeness of a paragraph to sentences that stand for a topic.

They speak for topics of which the corpus has no examples to learn from (:mod:`training.exemplars`). A paragraph votes
yes for a topic where it is clearly nearer to one of the topic's prototype sentences than to any of the everyday ones
that the watch list gives for contrast, and no where it is clearly further. The embedding is the mean of the embedded
encoder's last layer, centred on the prototypes. Beside the shipped lexical functions such likeness changes nothing that
could be measured, and it costs a forward pass for every paragraph.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.errors import ConfigError
from training.embedding import Embed, embedder
from training.labeling import LabelingFunction, Record
from training.topics import WatchList

FloatArray = npt.NDArray[np.float32]
_MARGIN = 0.2
_YES_ACCURACY, _NO_ACCURACY = 0.7, 0.97
# An applier asks function by function, for a chunk of thousands of paragraphs at a time.
_REMEMBERED = 8192


class _Likeness(Protocol):
    def __call__(self, text: str) -> Mapping[str, float]: ...


class Likeness:
    """How much nearer a text is to each topic's prototypes than to the contrast, as a difference of cosines.

    Args:
        prototypes: topic id to its sentences.
        contrast: sentences of everyday news.
        embed: the embedding; that of the embedded encoder where None, loaded when the first text comes.
    """

    def __init__(
        self, prototypes: Mapping[str, Sequence[str]], contrast: Sequence[str], embed: Embed | None = None
    ) -> None:
        self._prototypes, self._contrast, self._embed = prototypes, contrast, embed
        self._known: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._vectors: dict[str, FloatArray] = {}
        self._centre = np.zeros(0, np.float32)

    def __call__(self, text: str) -> Mapping[str, float]:
        """Give topic id to margin, -2 to 2."""
        if text in self._known:
            return self._known[text]
        if self._embed is None:
            self._embed = embedder()
        if not self._vectors:
            raw = {t: self._embed(s) for t, s in {**self._prototypes, "": self._contrast}.items()}
            self._centre = np.concatenate(list(raw.values())).mean(0)
            self._vectors = {t: _unit(v - self._centre) for t, v in raw.items()}
        own = _unit(self._embed([text]) - self._centre)[0]
        nearest = {t: float((v @ own).max()) for t, v in self._vectors.items()}
        margins = {t: n - nearest[""] for t, n in nearest.items() if t}
        self._known[text] = margins
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return margins


def semantic_functions(
    watch_list: WatchList, *, topics: Collection[str] | None = None, embed: Embed | None = None
) -> list[LabelingFunction]:
    """Make two labelling functions, ``TOPIC.like`` and ``TOPIC.unlike``, of each topic that has prototypes.

    Args:
        watch_list: with prototypes.
        topics: those that want functions; all where None.
        embed: the embedding; that of the embedded encoder where None.

    Raises:
        ConfigError: where no topic has prototypes, or there is nothing to hold them against.
    """
    if not (watch_list.prototypes and watch_list.contrast):
        raise ConfigError(
            "labels.semantic needs prototype sentences in the watch list: prototypes under a topic, and under shared "
            "everyday ones to hold them against"
        )
    likeness = Likeness(watch_list.prototypes, watch_list.contrast, embed)
    functions = []
    for topic in watch_list.prototypes if topics is None else [t for t in watch_list.prototypes if t in topics]:
        for name, vote, polarity, accuracy in (("like", "yes", 1, _YES_ACCURACY), ("unlike", "no", 0, _NO_ACCURACY)):
            call = _margin_vote(likeness, topic, vote)
            functions.append(
                LabelingFunction(f"{topic}.{name}", topic, "semantic", False, (polarity,), accuracy, call=call)
            )
    return functions


def _margin_vote(likeness: _Likeness, topic: str, vote: str) -> Callable[[Record], str | None]:
    sign = 1 if vote == "yes" else -1

    def call(record: Record) -> str | None:
        return vote if sign * likeness(record["text"])[topic] >= _MARGIN else None

    return call


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)
