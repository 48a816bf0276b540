"""Votes of many texts at once: the matcher's rules as array operations, with no step of Python for a single text.

:meth:`inference.lexicon.Matcher.match` follows the same rules for one text and gives the places too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.classes import BoolArray, IntArray, Program
from inference.folding import FoldedBatch

NEGATION_REACH = 2
DENIAL_REACH = 5


@dataclass(frozen=True)
class Rule:
    """What a function asks of the lists of terms, which it names by number; -1 is no list.

    Args:
        vote: what it votes, as the matrices hold it.
        terms: list of which one must match.
        absent: list of which none may match.
        near: list of which one must stand near.
        within: reach of ``near``, in words.
        unless: list whose matches take a match away.
        unless_within: reach of ``unless``, in words; 0 is the whole text.
        negation: ``ignore``, ``skip`` or ``only``.
        at_least: how many distinct matches are needed.
    """

    vote: int
    terms: int
    absent: int
    near: int
    within: int
    unless: int
    unless_within: int
    negation: str
    at_least: int


@dataclass(frozen=True)
class Stretches:
    """Matches of a list in a batch, by first word; positions run through the batch.

    Args:
        first: shape ``(matches,)``; first words, each once, ascending.
        last: shape ``(matches,)``; last words, inclusive.
    """

    first: IntArray
    last: IntArray

    def where(self, kept: BoolArray) -> Stretches:
        """Give those that are kept."""
        return Stretches(self.first[kept], self.last[kept])


class _Batch:
    """The matches of every list in one batch of texts, and what the rules ask about them."""

    def __init__(self, program: Program, folded: FoldedBatch) -> None:
        self._program = program
        self.counts = folded.counts
        self._classes = program.classify_batch(folded)
        self._sentences = folded.sentences
        self._text_of = np.repeat(np.arange(len(folded.counts)), folded.counts)
        self._negated: BoolArray | None = None
        self._present: dict[int, BoolArray] = {}
        self._stretches: dict[int, Stretches] = {}
        hits = np.flatnonzero(self._classes)
        owners, lists = program.lists_of_class.look_up(self._classes[hits])
        self._words = _by_list(lists, program.lists, hits[owners])
        lists, first, last = self._phrases(hits)
        self._phrase_first = _by_list(lists, program.lists, first)
        self._phrase_last = _by_list(lists, program.lists, last)

    def _phrases(self, hits: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        program = self._program
        owners, patterns = program.patterns_of_class.look_up(self._classes[hits])
        patterns, first, last = self._follow(patterns, hits[owners])
        owners, lists = program.lists_of_pattern.look_up(patterns)
        first, last = first[owners], last[owners]
        # Where a word of the list matches by itself, no phrase from there is shorter.
        longer = ~program.is_member(program.list_sets[lists], self._classes[first])
        lists, first, last = lists[longer], first[longer], last[longer]
        order = np.lexsort((last, first, lists))
        lists, first, last = lists[order], first[order], last[order]
        shortest = np.ones(len(lists), dtype=np.bool_)
        shortest[1:] = (lists[1:] != lists[:-1]) | (first[1:] != first[:-1])
        return lists[shortest], first[shortest], last[shortest]

    def _follow(self, patterns: IntArray, first: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        program, size = self._program, len(self._classes)
        last = first
        done = [(patterns[:0], first[:0], first[:0])]
        place = 0
        while len(patterns):
            place += 1
            sets, gaps = program.step(place)
            ended = sets[patterns] < 0
            if ended.any():
                done.append((patterns[ended], first[ended], last[ended]))
                patterns, first, last = patterns[~ended], first[~ended], last[~ended]
            steps = []
            for step in range(1, int(gaps[patterns].max(initial=-1)) + 2):
                rows = np.flatnonzero((gaps[patterns] >= step - 1) & (last + step < size))
                ahead = last[rows] + step
                found = program.is_member(sets[patterns[rows]], self._classes[ahead])
                rows, ahead = rows[found], ahead[found]
                same = self._sentences[ahead] == self._sentences[first[rows]]
                steps.append((rows[same], ahead[same]))
            if not steps:
                break
            # The same place reached in two ways is followed once, or long patterns would multiply.
            rows, last = (np.concatenate(parts) for parts in zip(*steps, strict=True))
            ways = np.unique(rows * (size + 1) + last)
            rows, last = ways // (size + 1), ways % (size + 1)
            patterns, first = patterns[rows], first[rows]
        patterns, first, last = (np.concatenate(parts) for parts in zip(*done, strict=True))
        return patterns, first, last

    def stretches(self, number: int) -> Stretches:
        """Give the matches of a list."""
        if number not in self._stretches:
            words, first = self._words[number], self._phrase_first[number]
            if not len(first):
                self._stretches[number] = Stretches(words, words)
            else:
                first = np.concatenate((words, first))
                last = np.concatenate((words, self._phrase_last[number]))
                order = np.argsort(first, kind="stable")
                self._stretches[number] = Stretches(first[order], last[order])
        return self._stretches[number]

    def present(self, number: int) -> BoolArray:
        """Say which texts a list matches in, shape ``(texts,)``."""
        if number not in self._present:
            present = np.zeros(len(self.counts), dtype=np.bool_)
            present[self._text_of[self._words[number]]] = True
            present[self._text_of[self._phrase_first[number]]] = True
            self._present[number] = present
        return self._present[number]

    def _is_negated(self, first: IntArray) -> BoolArray:
        if self._negated is None:
            negated = np.zeros(len(self._classes), dtype=np.bool_)
            for kind, reach in zip(self._program.extra, (NEGATION_REACH, DENIAL_REACH), strict=True):
                places = np.flatnonzero(self._program.is_member(kind, self._classes))
                for step in range(1, reach + 1):
                    places = places[places + step < len(negated)]
                    same = self._sentences[places] == self._sentences[places + step]
                    negated[places[same] + step] = True
            self._negated = negated
        return self._negated[first]

    def fires(self, rule: Rule) -> BoolArray:
        """Say which texts a function votes on, shape ``(texts,)``."""
        if rule.absent >= 0:
            return (self.counts > 0) & ~self.present(rule.absent)
        kept = self.stretches(rule.terms)
        if rule.unless >= 0:
            if rule.unless_within:
                reached = _reached(
                    kept, self.stretches(rule.unless), self._text_of, rule.unless_within, overlapping=True
                )
                kept = kept.where(~reached)
            else:
                kept = kept.where(~self.present(rule.unless)[self._text_of[kept.first]])
        if rule.near >= 0:
            kept = kept.where(self.present(rule.near)[self._text_of[kept.first]])
            kept = kept.where(_reached(kept, self.stretches(rule.near), self._sentences, rule.within))
        if rule.negation != "ignore":
            kept = kept.where(self._is_negated(kept.first) == (rule.negation == "only"))
        texts = self._text_of[kept.first[_begins_new(kept)]] if rule.at_least > 1 else self._text_of[kept.first]
        fires: BoolArray = np.bincount(texts, minlength=len(self.counts)) >= rule.at_least
        return fires


def _by_list(lists: IntArray, count: int, places: IntArray) -> list[IntArray]:
    # Sorting small numbers is a radix sort, several times as fast as sorting these as they are.
    order = np.argsort(lists.astype(np.uint16 if count < 1 << 16 else np.int64), kind="stable")
    ends = np.cumsum(np.bincount(lists, minlength=count)).tolist()
    places = places[order]
    return [places[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _reached(
    these: Stretches, others: Stretches, parts: IntArray, reach: int, *, overlapping: bool = False
) -> BoolArray:
    # A gap wider than the reach between parts (sentences, texts) keeps what stands in another part out of it.
    first, last = (p + parts[p] * (reach + 1) for p in (these.first, these.last))
    other_first = others.first + parts[others.first] * (reach + 1)
    other_last = np.sort(others.last + parts[others.last] * (reach + 1))
    if not len(other_first):
        return np.zeros(len(first), dtype=np.bool_)
    begun = np.searchsorted(other_first, last, side="right")
    ended = np.searchsorted(other_last, first, side="left")
    after = (begun < len(other_first)) & (other_first[np.minimum(begun, len(other_first) - 1)] - last <= reach)
    before = (ended > 0) & (first - other_last[np.maximum(ended - 1, 0)] <= reach)
    reached: BoolArray = after | before
    return reached | (begun > ended) if overlapping else reached


def _begins_new(kept: Stretches) -> BoolArray:
    begins = np.ones(len(kept.first), dtype=np.bool_)
    begins[1:] = kept.first[1:] > np.maximum.accumulate(kept.last)[:-1]
    return begins


def batch_votes(program: Program, rules: Sequence[Rule], folded: FoldedBatch, *, abstain: int) -> npt.NDArray[np.int8]:
    """Run every rule over a batch.

    Args:
        program: the lists of terms; its two extra sets are the negations and the denials.
        rules: one for each function.
        folded: the texts' words.
        abstain: what stands where a function does not vote.

    Returns:
        shape ``(texts, rules)``.
    """
    votes = np.full((len(folded.counts), len(rules)), abstain, dtype=np.int8)
    batch = _Batch(program, folded)
    for number, rule in enumerate(rules):
        votes[batch.fires(rule), number] = rule.vote
    return votes
