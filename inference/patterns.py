"""The terms of labelling functions, read and packed into a few patterns that the matcher can run.

A watch list writes out to thousands of phrases, most of them a product: so many words, a gap, so many words. Phrases
that differ in one place only are packed into one pattern that holds a set of words in that place, so that the
matcher's work grows with what was written in the YAML and not with what it expands to.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from inference.errors import ConfigError
from inference.morphology import Word

_GAP = re.compile(r"\.\.(\d*)")
_GROUP = re.compile(r"\(([^()]*)\)")
_WIDE_GROUP = re.compile(r"\([^()]*\s[^()]*\)")
_DEFAULT_GAP = 3

WordSet = frozenset[int]


@dataclass(frozen=True)
class Pattern:
    """Words that follow each other, each one of a set.

    Args:
        sets: ids of the words that may stand in each place.
        gaps: one less than ``sets``; how many other words may stand before the next place.
    """

    sets: tuple[WordSet, ...]
    gaps: tuple[int, ...]


@dataclass(frozen=True)
class TermList:
    """The terms of one list of a function, ready to run.

    Args:
        words: the single words among them.
        patterns: the phrases, packed.
    """

    words: WordSet
    patterns: tuple[Pattern, ...]


def expand(term: str) -> list[str]:
    """Write out the ``(a|b)`` groups of a term.

    Returns:
        every reading, in order.
    """
    parts = _GROUP.split(term)
    choices = [[p] if i % 2 == 0 else p.split("|") for i, p in enumerate(parts)]
    return ["".join(c) for c in itertools.product(*choices)]


class Vocabulary:
    """Numbers the words of a lexicon as its terms are read, and every distinct list of terms once."""

    def __init__(self) -> None:
        self._ids: dict[Word, int] = {}
        self._lists: dict[TermList, int] = {}
        self._parsed: dict[str, int] = {}
        self._terms: dict[str, tuple[Pattern, ...]] = {}

    @property
    def words(self) -> list[Word]:
        """The words; a word's place is its id."""
        return list(self._ids)

    @property
    def lists(self) -> list[TermList]:
        """The distinct lists; a list's place is its id."""
        return list(self._lists)

    def word(self, written: str) -> int:
        """Give the id of a word.

        Raises:
            ConfigError: where it is not one word.
        """
        # Lists repeat their words hundreds of times over, and reading one costs more than finding it.
        if written not in self._parsed:
            self._parsed[written] = self._ids.setdefault(Word.parse(written), len(self._ids))
        return self._parsed[written]

    def list_of(self, terms: Iterable[str], *, where: str) -> int:
        """Read terms and give the id of their list; -1 where there are none.

        Args:
            terms: words and phrases as the YAML writes them.
            where: what an error message calls the place.

        Raises:
            ConfigError: where a term cannot be read.
        """
        phrases = [p for term in terms for p in self._terms.get(term) or self._read(term, where)]
        if not phrases:
            return -1
        words = frozenset(itertools.chain.from_iterable(p.sets[0] for p in phrases if len(p.sets) == 1))
        patterns = _pack(p for p in phrases if len(p.sets) > 1)
        return self._lists.setdefault(TermList(words, patterns), len(self._lists))

    def _read(self, term: str, where: str) -> tuple[Pattern, ...]:
        """Give a term's patterns: one, unless it holds a group that is not about a single word."""
        parts = [expand(part) for part in term.split()]
        wide = _WIDE_GROUP.search(term) or any(
            len(options) > 1 and any(not option or _GAP.fullmatch(option) for option in options) for options in parts
        )
        readings = [[[part] for part in reading.split()] for reading in expand(term)] if wide else [parts]
        # As with words: most terms stand in many lists.
        self._terms[term] = tuple(self._phrase(reading, term, where) for reading in readings)
        return self._terms[term]

    def _phrase(self, parts: Iterable[list[str]], term: str, where: str) -> Pattern:
        sets: list[WordSet] = []
        gaps: list[int] = []
        gap = 0
        for part in parts:
            if gap_match := _GAP.fullmatch(part[0]):
                gap = int(gap_match.group(1) or _DEFAULT_GAP)
                continue
            try:
                words = frozenset(self.word(option) for option in part)
            except ConfigError as error:
                raise ConfigError(f"{where}, term {term!r}: {error}") from None
            if sets:
                gaps.append(gap)
            sets.append(words)
            gap = 0
        if not sets:
            raise ConfigError(f"{where}: the term {term!r} holds no word")
        return Pattern(tuple(sets), tuple(gaps))


def _pack(phrases: Iterable[Pattern]) -> tuple[Pattern, ...]:
    packed = set(phrases)
    for place in range(max((len(p.sets) for p in packed), default=0)):
        # Those that agree everywhere but here are one pattern that holds all their words here: exact, as a union
        # of products that share every other factor is a product.
        alike: dict[Pattern, set[int]] = defaultdict(set)
        for p in packed:
            if place >= len(p.sets):
                alike[p] = set()
                continue
            rest = Pattern((*p.sets[:place], frozenset(), *p.sets[place + 1 :]), p.gaps)
            alike[rest].update(p.sets[place])
        packed = {
            Pattern((*p.sets[:place], frozenset(here), *p.sets[place + 1 :]), p.gaps) if here else p
            for p, here in alike.items()
        }
    return tuple(sorted(packed, key=lambda p: (p.gaps, [sorted(s) for s in p.sets])))
