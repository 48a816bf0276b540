"""Which words of a text speak for an encoder's topics: what their tokens add, and the functions that matched them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.engine import Span, word_spans
from inference.lexicon import Matcher, tokenise
from inference.text import View

FloatArray = npt.NDArray[np.float64]
Place = tuple[int, int]


class EncoderEvidence:
    """Finds the evidence in texts that one encoder read.

    Args:
        matcher: the lexical labelling functions that it reads beside the tokens.
        vote_weights: shape ``(topics, functions)``; what a function that fires adds to a topic's logit.
    """

    def __init__(self, matcher: Matcher, vote_weights: FloatArray) -> None:
        self._matcher = matcher
        self._vote_weights = vote_weights

    def spans(
        self, view: View, places: Sequence[Place], weights: FloatArray, present: npt.NDArray[np.bool_]
    ) -> tuple[tuple[Span, ...], ...]:
        """Give each topic's spans in the original text, none where it is not present.

        Args:
            view: the text as it was read.
            places: per token, its characters in the view.
            weights: shape ``(topics, tokens)``; what each token adds to a topic's logit.
            present: shape ``(topics,)``.
        """
        words, by_word = _by_word(view, places, weights)
        self._add_matches(view, words, by_word)
        return tuple(_spans(view, words, own) if on else () for own, on in zip(by_word, present, strict=True))

    def _add_matches(self, view: View, words: list[Place], weights: FloatArray) -> None:
        """Add to the words' weights what the labelling functions that matched them add to the topics."""
        tokens = tokenise(view.text)
        starts = np.array([a for a, _ in words])
        matches = [m for m in self._matcher.match(tokens) if m.first >= 0]
        shares = Counter(m.function for m in matches)
        for match in matches:
            first, last = tokens.span(match.first, match.last)
            low, high = np.searchsorted(starts, [first, last - 1], side="right") - 1
            share = shares[match.function] * (high - low + 1)
            weights[:, low : high + 1] += self._vote_weights[:, [match.function]] / share


def _by_word(view: View, places: Sequence[Place], weights: FloatArray) -> tuple[list[Place], FloatArray]:
    """Add up the tokens' weights by the words of the view that they lie in."""
    words, start = [], 0
    for word in view.text.split(" "):
        words.append((start, start + len(word)))
        start += len(word) + 1
    sums = np.zeros((len(weights), len(words)))
    if not places:
        return words, sums
    ends = np.array([e for _, e in words])
    # Metaspace gives a token the space before its word: its last character is surely in the word.
    own = np.searchsorted(ends, [max(b - 1, a) for a, b in places], side="right").clip(0, len(words) - 1)
    for topic in range(len(weights)):
        sums[topic] = np.bincount(own, weights=weights[topic], minlength=len(words))
    return words, sums


def _spans(view: View, words: list[Place], weights: FloatArray) -> tuple[Span, ...]:
    if not view.text:
        return ()
    return word_spans([view.span(a, b) for a, b in words], weights)
