"""The lexical rules written out as plainly as they can be: what the fast matchers are held against."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator

from inference.lexicon import DENIALS, NEGATIONS, LexicalFunction, Match, tokenise
from inference.morphology import (
    ARTICLE_PROCLITICS,
    FEMININE_ENDINGS,
    NOUN_ENDINGS,
    NOUN_PROCLITICS,
    VERB_ENDINGS,
    VERB_PROCLITICS,
    WEAK_ENDINGS,
    Word,
)

OBJECTS = ("ه", "ها", "هم", "هما", "نا")


parse = functools.cache(Word.parse)


def splits(token: str) -> Iterator[tuple[str, str, str]]:
    for head, tail in itertools.product(range(len(token)), range(len(token))):
        if head + 2 <= len(token) - tail:
            yield token[:head], token[head : len(token) - tail], token[len(token) - tail :]


def is_noun(token: str, stem: str, heads: frozenset[str]) -> bool:
    return any(
        head in heads
        and (
            (middle == stem and ending in NOUN_ENDINGS)
            or (middle == stem and ending == "و" and len(stem) >= 3)
            or (middle + "ه" == stem and ending in FEMININE_ENDINGS)
        )
        for head, middle, ending in splits(token)
    )


def is_verb(token: str, stem: str) -> bool:
    weak = len(stem) >= 3 and stem[-1] in "ايو"
    return any(
        head in VERB_PROCLITICS
        and (
            (middle == stem and ending in VERB_ENDINGS)
            or (weak and middle == stem[:-1] and ending in WEAK_ENDINGS)
            or (weak and stem[-1] == "ي" and middle == stem[:-1] + "ا" and ending in OBJECTS)
        )
        for head, middle, ending in splits(token)
    )


@functools.cache
def is_form(token: str, written: str) -> bool:
    """Say whether a folded token may be a form of a word as the YAML writes it."""
    word = parse(written)
    if word.kind == "exact" or len(word.form) == 1:
        return token == word.form
    if word.kind == "verb":
        return is_verb(token, word.form)
    if word.kind == "prefix":
        stems = [word.form, *([word.bare()] if len(word.bare()) > 2 else [])]
        return any(
            token[:cut] in NOUN_PROCLITICS and token[cut:].startswith(stem)
            for cut in range(len(token))
            for stem in stems
        )
    if is_noun(token, word.form, NOUN_PROCLITICS):
        return True
    bare = word.bare()
    return bool(bare) and is_noun(token, bare, NOUN_PROCLITICS if len(bare) > 2 else ARTICLE_PROCLITICS)


def readings(term: str) -> list[str]:
    choices = [[p] if i % 2 == 0 else p.split("|") for i, p in enumerate(re.split(r"\(([^()]*)\)", term))]
    return ["".join(c) for c in itertools.product(*choices)]


class PlainText:
    """One text, and the matches of terms in it."""

    def __init__(self, text: str) -> None:
        tokens = tokenise(text)
        self.words, self.sentences = tokens.words, tokens.sentences
        self._places: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    def ends(self, parts: list[str], start: int) -> Iterator[int]:
        """Give every last word of a phrase that begins at ``start``."""
        if not is_form(self.words[start], parts[0]):
            return
        if len(parts) == 1:
            yield start
            return
        gap, rest = 0, parts[1:]
        if rest[0].startswith(".."):
            gap, rest = int(rest[0][2:] or 3), rest[1:]
        for ahead in range(start + 1, min(start + gap + 2, len(self.words))):
            if self.sentences[ahead] == self.sentences[start]:
                yield from self.ends(rest, ahead)

    def places(self, terms: tuple[str, ...]) -> list[tuple[int, int]]:
        """Give the shortest match of any of the terms from each word."""
        if terms in self._places:
            return self._places[terms]
        found = []
        phrases = [reading.split() for term in terms for reading in readings(term)]
        for start in range(len(self.words)):
            ends = [end for phrase in phrases for end in self.ends(phrase, start)]
            if ends:
                found.append((start, min(ends)))
        self._places[terms] = found
        return found

    def is_negated(self, first: int) -> bool:
        return any(
            first - place <= reach
            and self.sentences[place] == self.sentences[first]
            and any(is_form(self.words[place], word) for word in words)
            for place in range(first)
            for words, reach in ((NEGATIONS, 2), (DENIALS, 5))
        )


def apart(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Give the words from one stretch to another, 0 where they share one."""
    return min(abs(a - b) for a in range(one[0], one[1] + 1) for b in range(other[0], other[1] + 1))


def counting(function: LexicalFunction, text: PlainText) -> list[tuple[int, int]]:
    kept = []
    near, unless = text.places(function.near), text.places(function.unless)
    for place in text.places(function.terms):
        same = [n for n in near if text.sentences[n[0]] == text.sentences[place[0]]]
        if function.near and not any(0 < apart(place, n) <= function.within for n in same):
            continue
        if any(not function.unless_within or apart(place, u) <= function.unless_within for u in unless):
            continue
        if function.negation != "ignore" and text.is_negated(place[0]) != (function.negation == "only"):
            continue
        kept.append(place)
    covered = sorted({word for first, last in kept for word in range(first, last + 1)})
    # Matches that share words are one; matches that only touch are not.
    joins = {(w, w + 1) for first, last in kept for w in range(first, last)}
    distinct = sum(1 for w in covered if (w - 1, w) not in joins)
    return kept if distinct >= function.at_least else []


def plain_matches(functions: list[LexicalFunction], text: str) -> list[Match]:
    """Give what :meth:`inference.lexicon.Matcher.match` should give."""
    plain = PlainText(text)
    matches = []
    for number, function in enumerate(functions):
        if function.terms:
            matches += [Match(number, *place) for place in counting(function, plain)]
    for number, function in enumerate(functions):
        if function.absent and plain.words and not plain.places(function.absent):
            matches.append(Match(number, -1, -1))
    return sorted(matches, key=lambda m: (m.function, m.first))
