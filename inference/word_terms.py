"""Looks words and pairs of words up in a vocabulary, for many texts at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
_UNKNOWN = -1


class WordTerms:
    """The terms of a vocabulary of words and pairs of words.

    A word is looked up as a string once a text; a pair then is one number made of its words' numbers.

    Args:
        terms: words, and pairs with a space between; a term's place is its number.

    Raises:
        ValueError: where a term has more than two words.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        number = numbers.setdefault
        split = [term.split(" ") for term in terms]
        if any(len(parts) > 2 for parts in split):
            raise ValueError("a term has more than two words")
        ends = [(number(parts[0], len(numbers)), number(parts[-1], len(numbers))) for parts in split]
        firsts, seconds = np.array(ends, dtype=np.int64).reshape(-1, 2).T
        is_pair = np.array([len(parts) == 2 for parts in split], dtype=bool)
        self._numbers = numbers
        # The last place is for words that stand in no term, whose number is -1.
        self._alone = np.full(len(numbers) + 1, _UNKNOWN, dtype=np.int64)
        self._alone[firsts[~is_pair]] = np.flatnonzero(~is_pair)
        keys = (firsts * len(numbers) + seconds)[is_pair]
        order = np.argsort(keys)
        # A last key that no pair has: whatever is looked up has a place.
        self._pairs = np.append(keys[order], np.iinfo(np.int64).max)
        self._pair_terms = np.append(np.flatnonzero(is_pair)[order], _UNKNOWN)

    def find(self, texts: Sequence[Sequence[str]]) -> list[tuple[IntArray, IntArray]]:
        """Find every term in every text.

        Args:
            texts: the words of each.

        Returns:
            per text the terms' numbers, by place, and the place of each term's first word.
        """
        counts = np.array([len(words) for words in texts], dtype=np.int64)
        ends = np.cumsum(counts)
        starts = ends - counts
        words = itertools.chain.from_iterable(texts)
        numbers = np.array([*map(self._numbers.get, words, itertools.repeat(_UNKNOWN))], dtype=np.int64)
        alone = self._alone[numbers]
        together = np.full(len(numbers), _UNKNOWN, dtype=np.int64)
        first, second = numbers[:-1], numbers[1:]
        is_pair = (first >= 0) & (second >= 0)
        # The last word of a text and the first of the next are no pair.
        is_pair[ends[(ends > 0) & (ends < len(numbers))] - 1] = False
        keys = (first * len(self._numbers) + second)[is_pair]
        places = np.searchsorted(self._pairs, keys)
        together[:-1][is_pair] = np.where(self._pairs[places] == keys, self._pair_terms[places], _UNKNOWN)
        both = np.stack([alone, together], axis=1).ravel()
        known = np.flatnonzero(both != _UNKNOWN)
        terms, owners = both[known], known // 2
        bounds = np.searchsorted(owners, [*starts, len(numbers)])
        return [(terms[a:b], owners[a:b] - start) for a, b, start in zip(bounds[:-1], bounds[1:], starts, strict=True)]
