"""The words of many texts at once: folding, splitting and sentence ends by table look-up over their characters.

Gives for a batch just what :func:`inference.lexicon.tokenise` gives for one text, without the way back to the
original characters, which votes do not need.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.text import WORD, folded_view

# What a character that is in no word means for sentences. Characters of words have codes from here on: those of the
# alphabet in its order, then one for all others.
_DELETED, _OTHER, _STOP, _END, _BREAK, _CLOSER, _TEXT_END, _SPACE, _EXPANDS, _LETTERS = range(10)
_PLANE = 0x10000

# Ten letters of six bits are one key. Nearly all words of Arabic text fit; longer or Latin ones stay strings.
_DIGITS = "0123456789"
_ALPHABET = _DIGITS + "".join(chr(code) for code in range(0x0621, 0x064B) if code != 0x0640) + "پچژگڤ"
_FOREIGN = _LETTERS + len(_ALPHABET)
BITS_OF_LETTER, LETTERS_IN_KEY = 6, 10
_MASK = (1 << BITS_OF_LETTER) - 1

MOST_CLOSERS = 3
CLOSERS = "\"'»”’)]"
ENDS = "!?؟۔"
BREAKS = "؛;"

Codes = npt.NDArray[np.uint8]
Characters = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.uint64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldedBatch:
    """The words of a batch, all in one row.

    Args:
        keys: shape ``(words,)``; every word as one number, see :func:`word_of_key`; 0 where it does not fit in one.
        others: the words that do not fit, folded, in order.
        counts: shape ``(texts,)``; how many words each text has.
        sentences: shape ``(words,)``; number of the word's sentence, counted through the batch and never shared by
            two texts.
    """

    keys: Keys
    others: list[str]
    counts: IntArray
    sentences: IntArray


@dataclass(frozen=True)
class _Tables:
    codes: Codes  # of every character, what it means here
    folded: Characters  # of every character that is one letter when folded, that letter
    expansions: dict[int, str]


@functools.cache
def _tables() -> _Tables:
    codes = np.full(sys.maxunicode + 1, _OTHER, dtype=np.uint8)
    codes[:_PLANE] = _DELETED
    characters = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    meanings = {" ": _SPACE, ".": _STOP, **dict.fromkeys(ENDS, _END), **dict.fromkeys(BREAKS, _BREAK)}
    meanings |= dict.fromkeys(CLOSERS, _CLOSER)
    meanings |= {letter: _LETTERS + place for place, letter in enumerate(_ALPHABET)}
    # Each character between letters, as spaces are dropped at the edges of a view and after one another.
    view = folded_view("".join(f"x{chr(code)}" for code in range(_PLANE)) + "x")
    folds: dict[int, str] = {}
    for origin, char in zip(view.offsets.tolist(), view.text, strict=True):
        if origin % 2:
            folds[origin // 2] = folds.get(origin // 2, "") + char
    expansions: dict[int, str] = {}
    for code, folded in folds.items():
        if set(folded) == {"."} and len(folded) > 1:
            # Only the last of several stops can end a sentence, and no letter stands right before that one.
            codes[code] = _END
        elif len(folded) > 1 or ord(folded) >= _PLANE:
            codes[code] = _EXPANDS
            expansions[code] = folded
        else:
            codes[code] = meanings.get(folded, _FOREIGN if WORD.match(folded) else _OTHER)
            characters[code] = ord(folded)
    # No letter stands above the third plane.
    codes[[code for code in range(_PLANE, 4 * _PLANE) if chr(code).isalnum()]] = _FOREIGN
    return _Tables(codes, characters, expansions)


def fold_batch(texts: Sequence[str]) -> FoldedBatch:
    """Split texts into folded words and number their sentences.

    Args:
        texts: any strings, lone surrogates and control characters included.
    """
    characters, codes, ends = _encode(texts)
    if beyond := _beyond_the_table(characters):
        texts = [text.translate(beyond) for text in texts]
        characters, codes, ends = _encode(texts)
    if (codes == _EXPANDS).any():
        texts = list(texts)
        for number in np.unique(np.searchsorted(ends, np.flatnonzero(codes == _EXPANDS), side="right")).tolist():
            texts[number] = texts[number].translate(_tables().expansions)
        characters, codes, ends = _encode(texts)
    codes[ends - 1] = _TEXT_END
    kept = codes != _DELETED
    whole = codes
    codes = codes[kept]
    in_word = codes >= _LETTERS
    # The first character after a text's end is outside of all words, so edges come in pairs.
    edges = np.flatnonzero(np.diff(in_word, prepend=False))
    starts, lengths = edges[0::2], edges[1::2] - edges[0::2]
    keys = _pack(codes[in_word], lengths)
    others = _strings(np.flatnonzero(keys == 0), starts, lengths, np.flatnonzero(kept), characters, whole)
    text_ends = np.flatnonzero(codes == _TEXT_END)
    breaks = np.sort(np.concatenate((text_ends, _sentence_ends(codes))))
    counts = np.diff(np.searchsorted(starts, text_ends), prepend=0)
    return FoldedBatch(keys, others, counts, np.searchsorted(breaks, starts))


def _beyond_the_table(characters: Characters) -> dict[int, str]:
    """Give the characters above the first plane that fold to others, such as mathematical letters, and to what."""
    found = np.unique(characters[characters >= _PLANE]).tolist()
    folded = {code: folded_view(f"x{chr(code)}x").text[1:-1] for code in found}
    return {code: text for code, text in folded.items() if text != chr(code)}


def _encode(texts: Sequence[str]) -> tuple[Characters, Codes, IntArray]:
    joined = ("\n".join(texts) + "\n") if texts else ""
    characters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1)
    return characters, _tables().codes[characters], ends


def _pack(letters: Codes, lengths: IntArray) -> Keys:
    if not len(lengths):
        return np.zeros(0, dtype=np.uint64)
    starts = np.cumsum(lengths) - lengths
    shifts = np.arange(0, BITS_OF_LETTER * len(letters), BITS_OF_LETTER) - np.repeat(starts * BITS_OF_LETTER, lengths)
    small = (letters - np.uint8(_LETTERS - 1)).astype(np.uint64)
    keys = np.add.reduceat(np.left_shift(small, shifts.view(np.uint64)), starts)
    foreign = np.flatnonzero(letters == _FOREIGN)
    keys[np.searchsorted(starts, foreign, side="right") - 1] = 0
    keys[lengths > LETTERS_IN_KEY] = 0
    return keys


def _strings(
    places: IntArray, starts: IntArray, lengths: IntArray, kept: IntArray, characters: Characters, codes: Codes
) -> list[str]:
    strings = []
    folded = _tables().folded
    for start, length in zip(starts[places].tolist(), lengths[places].tolist(), strict=True):
        stretch = slice(kept[start], kept[start + length - 1] + 1)
        letters = folded[characters[stretch][codes[stretch] != _DELETED]]
        strings.append(letters.astype("<u4").tobytes().decode("utf-32-le"))
    return strings


def word_of_key(key: int) -> str:
    """Give back the word that a key stands for."""
    letters = []
    while key:
        letters.append(_ALPHABET[(key & _MASK) - 1])
        key >>= BITS_OF_LETTER
    return "".join(letters)


def _sentence_ends(codes: Codes) -> IntArray:
    marks = np.flatnonzero((codes >= _STOP) & (codes <= _BREAK))
    meaning = codes[marks]
    before, before_that = (codes[np.maximum(marks - back, 0)] for back in (1, 2))
    before = np.where(marks >= 1, before, _TEXT_END)
    before_that = np.where(marks >= 2, before_that, _TEXT_END)
    is_letter = before >= _LETTERS + len(_DIGITS)
    is_initial = (meaning == _STOP) & is_letter & (before_that < _LETTERS)
    # A text's end stands after its every mark, so looking ahead stays inside.
    after = marks + 1
    for _ in range(MOST_CLOSERS):
        after += codes[after] == _CLOSER
    is_followed = (codes[after] == _SPACE) | (codes[after] == _TEXT_END)
    ends: IntArray = marks[(meaning == _BREAK) | (is_followed & ~is_initial)]
    return ends
