"""Lexical labelling functions: what they are, and the one pass over a text that runs them all.

A function names terms. A term is one word or a phrase; ``..`` in a phrase lets up to three words stand between,
``..5`` up to five, and ``(a|b)`` is either word. A phrase stands within one sentence. A match counts unless a
context that it needs is missing (``near`` within so many words), one that it forbids is there (``unless``), or a
negation governs it.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.classes import Program
from inference.evidence import TextMatches
from inference.folding import BREAKS, CLOSERS, ENDS, MOST_CLOSERS, fold_batch
from inference.matching import Rule, batch_votes
from inference.patterns import Vocabulary
from inference.taxonomy import STANCES
from inference.text import WORD, View, fold, folded_view

TOPIC_VOTES = ("no", "yes")
ABSTAIN = -1

NEGATIONS = ("=لم", "=لن", "=لا", "=ولا", "=ولم", "=ولن", "ليس", "=ليست", "=دون", "=بدون", "=عدم", "=بعدم", "=غير")
DENIALS = ("v:نفي", "v:نف", "=نفي", "v:استبعد", "v:ستبعد")
# A full stop after a single letter is an abbreviation's (د. محمد); closing quotes may stand after the end.
_SENTENCE_END = re.compile(
    rf"(?:[{ENDS}]|(?<!(?<![^\W_])[^\W_0-9])\.)[{re.escape(CLOSERS)}]{{0,{MOST_CLOSERS}}}(?=\s|$)|[{BREAKS}]"
)
# The arrays of a batch should stay within a processor's cache.
_BATCH_TEXTS = 1024
_BATCH_CHARACTERS = 400_000


@dataclass(frozen=True)
class LexicalFunction:
    """One lexical labelling function, as ``configs/topics.yaml`` writes it.

    Args:
        name: unique name, for people.
        topic: id of the topic that it speaks of.
        vote: ``yes`` or ``no`` (is the topic there?), or ``favor``, ``against``, ``neutral`` (its stance).
        terms: words and phrases of which one must match.
        absent: instead of ``terms``: the function votes where none of these matches.
        near: where given, one of these must match within ``within`` words of the term, in its sentence and beside
            it: a term does not vouch for itself.
        within: reach of ``near``, in words.
        unless: a match of one of these within ``unless_within`` words, or over the same words, takes the term's
            match away.
        unless_within: reach of ``unless``, in words; 0 is the whole text.
        negation: ``ignore`` (negated matches count), ``skip`` (they do not) or ``only`` (nothing else does).
        at_least: how many distinct matches are needed; those that share words are one.
        accuracy: the author's guess of how often a vote is right, a prior for the label model.
    """

    name: str
    topic: str
    vote: str
    terms: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    within: int = 6
    unless: tuple[str, ...] = ()
    unless_within: int = 0
    negation: str = "ignore"
    at_least: int = 1
    accuracy: float = 0.75

    @property
    def is_stance(self) -> bool:
        """Whether it votes on the stance rather than on the topic's presence."""
        return self.vote in STANCES

    @property
    def vote_value(self) -> int:
        """The vote as the matrices hold it: no 0, yes 1; favor 0, against 1, neutral 2."""
        return STANCES.index(self.vote) if self.is_stance else TOPIC_VOTES.index(self.vote)

    def to_json(self) -> dict[str, Any]:
        """Give the function as the model folder stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> LexicalFunction:
        """Read what :meth:`to_json` gave."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        return cls(**values)


@dataclass(frozen=True)
class Match:
    """One match of a function's term, as positions of words.

    Args:
        function: the function's place in the list.
        first: first word; -1 where the function voted because of what is absent.
        last: last word, inclusive; -1 likewise.
    """

    function: int
    first: int
    last: int


@dataclass(frozen=True)
class Tokens:
    """The words of a text, with their places in the folded view and their sentence's number, worked out when asked.

    Args:
        view: the folded text.
    """

    view: View

    @functools.cached_property
    def words(self) -> list[str]:
        """The folded words."""
        return WORD.findall(self.view.text)

    @functools.cached_property
    def places(self) -> list[tuple[int, int]]:
        """Half-open range of each word's characters in the folded view."""
        return [m.span() for m in WORD.finditer(self.view.text)]

    @functools.cached_property
    def sentences(self) -> list[int]:
        """Number of each word's sentence, ascending."""
        ends = [m.start() for m in _SENTENCE_END.finditer(self.view.text)]
        return [bisect.bisect_left(ends, start) for start, _ in self.places]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Give the characters of the original behind words ``first`` to ``last``, inclusive."""
        return self.view.span(self.places[first][0], self.places[last][1])


def tokenise(text: str) -> Tokens:
    """Split a text into folded words.

    Args:
        text: any string.
    """
    return Tokens(folded_view(text))


class Matcher:
    """Runs every lexical function in one pass over a text.

    Args:
        functions: the functions; a function's place is its number in what comes back.

    Raises:
        ConfigError: where a term cannot be read; the function and the term are named.
    """

    def __init__(self, functions: Iterable[LexicalFunction]) -> None:
        self.functions = tuple(functions)
        vocabulary = Vocabulary()
        self._rules = tuple(_rule(f, vocabulary) for f in self.functions)
        extra = [frozenset(vocabulary.word(w) for w in words) for words in (NEGATIONS, DENIALS)]
        self._program = Program(vocabulary.words, vocabulary.lists, extra=extra)

    def votes(self, texts: Sequence[str], *, one_by_one: bool = False) -> npt.NDArray[np.int8]:
        """Give every function's vote on every text, as :meth:`match` and ``vote_value`` would, but many times as fast.

        Args:
            texts: any strings. They are worked through in batches, so that memory does not grow with their number.
            one_by_one: ask :meth:`match` instead. The tables that make batches fast take longer to build than a few
                texts to match, and a process that answers one text has no other use for them.

        Returns:
            shape ``(texts, functions)``; -1 is abstain.
        """
        if one_by_one:
            return self._votes_one_by_one(texts)
        votes = np.empty((len(texts), len(self.functions)), dtype=np.int8)
        for start, end in _batches(texts):
            folded = fold_batch(texts[start:end])
            with self._program.lock:
                votes[start:end] = batch_votes(self._program, self._rules, folded, abstain=ABSTAIN)
        return votes

    def _votes_one_by_one(self, texts: Sequence[str]) -> npt.NDArray[np.int8]:
        votes = np.full((len(texts), len(self.functions)), ABSTAIN, dtype=np.int8)
        for row, text in zip(votes, texts, strict=True):
            for match in self.match(tokenise(text)):
                row[match.function] = self._rules[match.function].vote
        return votes

    def knows(self, word: str) -> bool:
        """Say whether a word may be a form of one that a function names.

        Args:
            word: one word, as it is written.
        """
        with self._program.lock:
            return self._program.means_something(fold(word))

    def match(self, tokens: Tokens) -> list[Match]:
        """Find every counting match of every function.

        Of several matches of a function's terms that begin at the same word, the shortest is given.

        Args:
            tokens: the text's words, from :func:`tokenise`.

        Returns:
            matches in order of function, then place.
        """
        with self._program.lock:
            return self._match(tokens)

    def _match(self, tokens: Tokens) -> list[Match]:
        text = TextMatches(self._program, tokens.words, tokens.sentences)
        matches = []
        for number, rule in enumerate(self._rules):
            if rule.terms in text.found:
                matches += [Match(number, first, last) for first, last in text.counting(rule)]
            elif rule.absent >= 0 and tokens.words and rule.absent not in text.found:
                matches.append(Match(number, -1, -1))
        return matches


def _rule(function: LexicalFunction, vocabulary: Vocabulary) -> Rule:
    where = f"labelling function {function.name!r}"
    terms, absent, near, unless = (
        vocabulary.list_of(getattr(function, name), where=where) for name in ("terms", "absent", "near", "unless")
    )
    return Rule(
        vote=function.vote_value,
        terms=terms,
        absent=absent,
        near=near,
        within=function.within,
        unless=unless,
        unless_within=function.unless_within,
        negation=function.negation,
        at_least=function.at_least,
    )


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    start, characters = 0, 0
    for place, text in enumerate(texts):
        if place > start and (place - start >= _BATCH_TEXTS or characters + len(text) > _BATCH_CHARACTERS):
            yield start, place
            start, characters = place, 0
        characters += len(text)
    if start < len(texts):
        yield start, len(texts)
