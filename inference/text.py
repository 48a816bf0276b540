"""Arabic text as the models and the matcher see it, with the way back to the original characters.

Two views of one text. The *clean* view is what the encoders read: compatibility forms resolved (NFKC, character
by character), diacritics, tatweel, controls and bidi marks gone, digits ASCII, the Persian and Urdu shapes of yaa
and kaf given as the Arabic letters, one space between words. The *folded* view is what the lexical matcher and
TF-IDF read: the clean view with alef, yaa, taa marbuta and hamza carriers unified and Latin letters lowered.

Every character of a view knows the character of the original that it came from, so that spans point into the
user's own text.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NORMALISER_VERSION = 1

_SPACE = 0x20
_DELETE = 0
_EXPAND = 0xFFFFFFFF
_TABLE_SIZE = 0x10000
# Latin, Arabic and its supplements, punctuation, Arabic presentation forms.
_COMMON = ((0x0, 0x17F), (0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0x2000, 0x206F), (0xFB50, 0xFEFF))
_LONG_TEXT = 20_000
_SHORT_TEXT = 32
_FIRST_HAMZA_MARK, _LAST_HAMZA_MARK = 0x0653, 0x0655

_LETTERS = {
    **{"ی": "ي", "ے": "ي", "ۓ": "ي", "ې": "ي", "ۍ": "ي", "ک": "ك", "ڪ": "ك"},
    **{"ہ": "ه", "ۂ": "ه", "ھ": "ه", "ە": "ه", "ۀ": "ه", "ۃ": "ة"},
}
_FOLDS = {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي"}

_HAMZA_MARK = re.compile(f"[{chr(_FIRST_HAMZA_MARK)}-{chr(_LAST_HAMZA_MARK)}]")
WORD = re.compile(r"[^\W_]+")

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """One view of a text and where each of its characters stands in the original.

    Args:
        text: the view.
        offsets: shape ``(len(text),)``; ``offsets[i]`` is the index in the original of the character behind
            ``text[i]``.
        length: length of the original in characters.
    """

    text: str
    offsets: IntArray
    length: int

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Give the half-open range of the original that lies behind ``text[start:end]``."""
        if end <= start:
            place = int(self.offsets[start]) if start < len(self.offsets) else self.length
            return place, place
        return int(self.offsets[start]), int(self.offsets[end - 1]) + 1


def _single(char: str) -> str:
    code = ord(char)
    category = unicodedata.category(char)
    if char.isspace() or category in ("Zs", "Zl", "Zp", "Cs"):
        return " "
    if category in ("Cc", "Cf") or char == "ـ":
        return ""
    is_arabic_mark = 0x0610 <= code <= 0x061A or 0x064B <= code <= 0x0670 or 0x06D6 <= code <= 0x06ED
    if category == "Mn" and (is_arabic_mark or 0x0898 <= code <= 0x08FF):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(char))
    return _LETTERS.get(char, char)


def _map_char(char: str) -> str:
    # Lone surrogates have no compatibility form; they become a space, as nothing downstream can encode them.
    if 0xD800 <= ord(char) <= 0xDFFF:
        return " "
    return "".join(_single(part) for part in unicodedata.normalize("NFKC", char))


def _map_code(code: int, fold: bool) -> str:
    mapped = _map_char(chr(code))
    return "".join(_FOLDS.get(c, c) for c in mapped).lower() if fold else mapped


_expansion = functools.lru_cache(maxsize=4096)(_map_code)


@functools.cache
def _table(fold: bool, whole: bool) -> npt.NDArray[np.uint32]:
    table = np.arange(_TABLE_SIZE, dtype=np.uint32)
    for code in range(_TABLE_SIZE):
        # CJK, Hangul and private use map to themselves; skipping them halves the start-up time.
        if 0x3400 <= code <= 0xA48F or 0xAC00 <= code <= 0xD7A3 or 0xE000 <= code <= 0xF8FF:
            continue
        # What news seldom holds is looked up as it comes, until there is so much text that the whole table pays.
        if not whole and not any(first <= code <= last for first, last in _COMMON):
            table[code] = _EXPAND
            continue
        mapped = _map_code(code, fold)
        if len(mapped) == 1:
            table[code] = ord(mapped)
        else:
            table[code] = _EXPAND if mapped else _DELETE
    return table


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _view(text: str, fold: bool) -> View:
    table = _table(fold, len(text) > _LONG_TEXT)
    codes = _compose(_codes(text))
    mapped = np.where(codes < _TABLE_SIZE, table[np.minimum(codes, _TABLE_SIZE - 1)], _EXPAND).astype(np.uint32)
    offsets = np.arange(len(codes), dtype=np.int64)
    if (mapped == _EXPAND).any():
        mapped, offsets = _expand(codes, mapped, offsets, fold)
    keep = mapped != _DELETE
    # A space counts only between words: drop it at the start and after another space.
    spaces = mapped == _SPACE
    kept = np.flatnonzero(keep)
    is_space = spaces[kept]
    if is_space.any():
        previous = np.concatenate(([True], is_space[:-1]))
        kept = kept[~(is_space & previous)]
        if len(kept) and spaces[kept[-1]]:
            kept = kept[:-1]
    result = mapped[kept].astype("<u4").tobytes().decode("utf-32-le")
    return View(text=result, offsets=offsets[kept], length=len(text))


def _compose(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    # A hamza or madda written as a mark of its own (NFD, as some systems store text) makes another letter of its alef,
    # waw or yaa: it is no diacritic to drop.
    marks = np.flatnonzero((codes[1:] >= _FIRST_HAMZA_MARK) & (codes[1:] <= _LAST_HAMZA_MARK)) + 1
    if not len(marks):
        return codes
    composed = codes.copy()
    for place in marks:
        pair = unicodedata.normalize("NFC", chr(codes[place - 1]) + chr(codes[place]))
        if len(pair) == 1:
            composed[place - 1] = ord(pair)
    return composed


def _expand(
    codes: npt.NDArray[np.uint32], mapped: npt.NDArray[np.uint32], offsets: IntArray, fold: bool
) -> tuple[npt.NDArray[np.uint32], IntArray]:
    counts = np.ones(len(codes), dtype=np.int64)
    places = np.flatnonzero(mapped == _EXPAND)
    pieces = [_codes(_expansion(int(codes[place]), fold)) for place in places]
    counts[places] = [len(piece) for piece in pieces]
    starts = np.cumsum(counts) - counts
    out = np.repeat(mapped, counts)
    for place, piece in zip(places, pieces, strict=True):
        out[starts[place] : starts[place] + len(piece)] = piece
    return out, np.repeat(offsets, counts)


def clean_view(text: str) -> View:
    """Give the view that encoders read.

    Args:
        text: any string, lone surrogates and control characters included.
    """
    return _view(text, fold=False)


def folded_view(text: str) -> View:
    """Give the view that the lexical matcher and TF-IDF read.

    Args:
        text: any string, lone surrogates and control characters included.
    """
    return _view(text, fold=True)


def clean(text: str) -> str:
    """Give the text of :func:`clean_view`."""
    return _text(text, fold=False)


def fold(text: str) -> str:
    """Give the text of :func:`folded_view`."""
    return _text(text, fold=True)


def _text(text: str, fold: bool) -> str:
    # A word alone is read letter by letter: for so little, arrays take many times as long.
    if len(text) <= _SHORT_TEXT and not _HAMZA_MARK.search(text):
        found = "".join([_expansion(ord(c), fold) for c in text])
        if " " not in found:
            return found
    return _view(text, fold).text


def arabic_share(text: str) -> float:
    """Give the share of a text's letters that are of the Arabic script, 0.0 where it has no letter."""
    letters = [c for c in clean(text) if c.isalpha()]
    if not letters:
        return 0.0
    return sum("\u0620" <= c <= "\u06d3" for c in letters) / len(letters)
