"""Words whose dots a scanner misread, read as the words that they most likely were.

Arabic letters of one skeleton differ by their dots alone (ب ت ث ن ي), and those are what recognition of printed pages
loses first. A tokenizer of the unigram kind knows how likely every piece of a word is (Kudo 2018, 1804.10959), so it
can tell that مفاوصات is far less likely than مفاوضات: a noisy channel (Kernighan, Church and Gale 1990) with no other
data than the encoder's own. Rare words and names look unlikely too, so a word must gain much by one letter, and what
the watch list knows is never changed. Where a word was misread, words that a space breaks are joined too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inference.text import View

SKELETONS = ("بتثني", "جحخ", "دذ", "رز", "سش", "صض", "طظ", "عغ", "فق", "كل")
_OTHERS = {letter: group.replace(letter, "") for group in SKELETONS for letter in group}
_LETTERS = frozenset(map(chr, [*range(0x0621, 0x063B), *range(0x0641, 0x064B)]))
_WORD = re.compile(f"[{''.join(sorted(_LETTERS))}]+")
_START = "▁"

# In nats, as all likelihoods here. Of a real paragraph's words two in a thousand gain as much by one letter, and more
# than a third of those that have a letter misread.
LEAST_GAIN, LEAST_JOIN = 11.0, 8.0
# Shorter and longer words say nothing.
_SHORTEST, _LONGEST = 3, 25
_UNKNOWN_LETTER = 10.0
_MEMO_LIMIT = 200_000


@dataclass(frozen=True)
class Mended:
    """A text as it is read.

    Args:
        view: the text; the view that came in where it is read as it stands.
        changes: what stands there, and what it is read as.
    """

    view: View
    changes: tuple[tuple[str, str], ...] = ()


class _Word(NamedTuple):
    """How likely a word is, and what it most likely was before it was misread; empty where it may as well stand."""

    score: float
    likelier: str


class Mender:
    """Mends what looks scanned. Any number of threads may share one.

    Args:
        scores: log-probability of every piece; a piece that begins a word begins with ``▁``.
        keep: whether a word, as it stands, is known and not to be changed.
    """

    def __init__(self, scores: Mapping[str, float], *, keep: Callable[[str], bool]) -> None:
        self._scores = dict(scores)
        self._floor = min(self._scores.values(), default=0.0) - _UNKNOWN_LETTER
        self._longest = max(map(len, self._scores), default=1)
        # Of the pieces of each length, how likely the likeliest is.
        self._most = [-math.inf, self._floor, *[-math.inf] * (self._longest - 1)]
        for piece, score in self._scores.items():
            self._most[len(piece)] = max(self._most[len(piece)], score)
        # Of the texts of each length likewise.
        self._bounds = [0.0]
        for length in range(1, _LONGEST + 2):
            shorter = range(max(0, length - self._longest), length)
            self._bounds.append(max(self._bounds[s] + self._most[length - s] for s in shorter))
        self._keep = keep
        self._memo: dict[str, _Word] = {}

    @classmethod
    def of(cls, tokenizer: str, *, keep: Callable[[str], bool]) -> Mender | None:
        """Give the mender of a tokenizer; None where it does not say how likely its pieces are (WordPiece, BPE).

        Args:
            tokenizer: the content of its ``tokenizer.json``.
            keep: see :class:`Mender`.
        """
        model = json.loads(tokenizer)["model"]
        if model.get("type") != "Unigram":
            return None
        # Special tokens, which have no likelihood, and signs are no part of a word.
        return cls(
            {piece: score for piece, score in model["vocab"] if piece[-1:] in _LETTERS or piece == _START}, keep=keep
        )

    def mend(self, view: View) -> Mended:
        """Read a text as it most likely was before it was scanned.

        Args:
            view: the clean view of any text.
        """
        words = [(m.start(), m[0]) for m in _WORD.finditer(view.text)]
        misread = [(start, word, read) for start, word in words if (read := self._known(word).likelier)]
        if not misread:
            return Mended(view)
        letters = list(view.text)
        for start, _, read in misread:
            letters[start : start + len(read)] = read
        mended, joined = self._join("".join(letters), view)
        return Mended(mended, (*((word, read) for _, word, read in misread), *joined))

    def _join(self, text: str, view: View) -> tuple[View, list[tuple[str, str]]]:
        kept = np.ones(len(text), dtype=np.bool_)
        joined = []
        words = [(m.start(), m.end(), m[0]) for m in _WORD.finditer(text)]
        place = 0
        while place + 1 < len(words):
            (_, end, left), (start, _, right) = words[place : place + 2]
            if start == end + 1 and text[end] == " " and self._is_one(left, right):
                kept[end] = False
                joined.append((f"{left} {right}", left + right))
                place += 1
            place += 1
        whole = "".join(letter for letter, keeps in zip(text, kept.tolist(), strict=True) if keeps)
        return View(whole, view.offsets[kept], view.length), joined

    def _is_one(self, left: str, right: str) -> bool:
        length = len(left) + len(right)
        if length > _LONGEST:
            return False
        wanted = self._known(left).score + self._known(right).score + LEAST_JOIN
        if self._bounds[length + 1] < wanted or self._forward(_START + left + right)[-1] < wanted:
            return False
        return not (self._keep(left) and self._keep(right))

    def _known(self, word: str) -> _Word:
        try:
            return self._memo[word]
        except KeyError:
            found = self._read(word)
        if len(self._memo) >= _MEMO_LIMIT:
            self._memo.clear()
        self._memo[word] = found
        return found

    def _read(self, word: str) -> _Word:
        text = _START + word
        if len(word) > _LONGEST:
            return _Word(self._floor * len(text), "")
        before = self._forward(text)
        wanted, likelier = before[-1] + LEAST_GAIN, ""
        if len(word) < _SHORTEST or self._bounds[len(text)] < wanted:
            return _Word(before[-1], "")
        after = self._backward(text)
        for place in range(1, len(text)):
            others = _OTHERS.get(text[place], "")
            for start, end in self._worth_trying(place, before, after, wanted) if others else ():
                for other in others:
                    piece = self._scores.get(text[start:place] + other + text[place + 1 : end])
                    if piece is not None and before[start] + piece + after[end] >= wanted:
                        wanted = before[start] + piece + after[end]
                        likelier = text[1:place] + other + text[place + 1 :]
        return _Word(before[-1], likelier if likelier and not self._keep(word) else "")

    def _worth_trying(
        self, place: int, before: list[float], after: list[float], wanted: float
    ) -> Iterator[tuple[int, int]]:
        """Give the stretches across a letter, as only pieces there are new, where one could be likely enough."""
        most, longest = self._most, self._longest
        for start in range(max(0, place - longest + 1), place + 1):
            needed = wanted - before[start]
            for end in range(place + 1, min(len(after), start + longest + 1)):
                if most[end - start] + after[end] >= needed:
                    yield start, end

    def _forward(self, text: str) -> list[float]:
        """Give the log-probability of the likeliest pieces of every beginning of a text."""
        scores, longest, floor = self._scores, self._longest, self._floor
        best = [0.0]
        for end in range(1, len(text) + 1):
            here = best[end - 1] + floor
            for start in range(max(0, end - longest), end):
                piece = scores.get(text[start:end])
                if piece is not None and best[start] + piece > here:
                    here = best[start] + piece
            best.append(here)
        return best

    def _backward(self, text: str) -> list[float]:
        """Give the log-probability of the likeliest pieces of every ending of a text, that from 0 first."""
        scores, longest, floor = self._scores, self._longest, self._floor
        best = [0.0] * (len(text) + 1)
        for start in range(len(text) - 1, -1, -1):
            here = floor + best[start + 1]
            for end in range(start + 1, min(len(text), start + longest) + 1):
                piece = scores.get(text[start:end])
                if piece is not None and piece + best[end] > here:
                    here = piece + best[end]
            best[start] = here
        return best
