"""Ways in which the same Arabic text arrives written otherwise: keyboards, fonts, scanners, careless typing.

Each takes a text and a source of chance, and changes the writing only; what the text says stays. The same seed gives
the same change.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

Perturbation = Callable[[str, random.Random], str]

_LETTER = re.compile("[\u0621-\u063a\u0641-\u064a]")
_HARAKAT = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652"
_MARKED, _STRETCHED = 0.6, 0.15
_TATWEEL = "\u0640"
_HAMZA = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ؤ": "و", "ئ": "ي", "ء": None})
_PERSIAN = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک"})
_FINALS = {"ة": "ه", "ى": "ي"}
_WORD_FINAL = re.compile(r"[ةى](?!\w)")
# Letters that a following letter never joins.
_UNJOINED = set("ءاأإآدذرزوؤةى")
_LATIN = "0123456789"
_ARABIC_INDIC = "٠١٢٣٤٥٦٧٨٩"
_PERSIAN_DIGITS = "۰۱۲۳۴۵۶۷۸۹"
_SCRIPTS = (_LATIN, _ARABIC_INDIC, _PERSIAN_DIGITS)
# Letters of one skeleton, which a scanner tells apart by dots alone.
_SKELETONS = ("بتثني", "جحخ", "دذ", "رز", "سش", "صض", "طظ", "عغ", "فق", "هة", "كل")
_OTHERS = {letter: group.replace(letter, "") for group in _SKELETONS for letter in group}
_MISREAD, _JOINED, _SPLIT = 0.02, 0.02, 0.02


def add_diacritics(text: str, chance: random.Random) -> str:
    """Mark most letters with a vowel, a sukun or a shadda, as school books and scripture do."""
    return _LETTER.sub(lambda m: m[0] + (chance.choice(_HARAKAT) if chance.random() < _MARKED else ""), text)


def drop_hamza(text: str, chance: random.Random) -> str:
    """Write every hamza away: أ إ آ as ا, ؤ as و, ئ as ي, and ء not at all."""
    del chance
    return text.translate(_HAMZA)


def add_tatweel(text: str, chance: random.Random) -> str:
    """Stretch words, as old type-setting does to fill a line."""
    words = []
    for word in text.split(" "):
        letters = list(word)
        for place in range(len(letters) - 1):
            joins = _LETTER.match(letters[place]) and letters[place] not in _UNJOINED
            if joins and _LETTER.match(letters[place + 1]) and chance.random() < _STRETCHED:
                letters[place] += _TATWEEL * chance.randint(1, 3)
        words.append("".join(letters))
    return " ".join(words)


def _forms() -> dict[tuple[str, str], str]:
    forms = {}
    for code in range(0xFE70, 0xFEFD):
        kind, _, rest = unicodedata.decomposition(chr(code)).partition(" ")
        if kind and "0020" not in rest:
            forms["".join(chr(int(part, 16)) for part in rest.split()), kind.strip("<>")] = chr(code)
    return forms


_FORMS = _forms()


def presentation_forms(text: str, chance: random.Random) -> str:
    """Write every letter as the code point of its shape in the word, as text out of old PDF files comes."""
    del chance
    shaped, place, joined = [], 0, False
    while place < len(text):
        size = 2 if (text[place : place + 2], "isolated") in _FORMS else 1
        unit = text[place : place + size]
        follows = unit[-1] not in _UNJOINED and bool(_LETTER.match(text[place + size : place + size + 1]))
        follows = follows and text[place + size] != "ء"
        shape = {(False, False): "isolated", (False, True): "initial", (True, True): "medial", (True, False): "final"}
        shaped.append(_FORMS.get((unit, shape[joined, follows]), unit))
        joined, place = follows and bool(_LETTER.match(unit)), place + size
    return "".join(shaped)


def misread_dots(text: str, chance: random.Random) -> str:
    """Take some letters for others of their skeleton."""
    letters = [chance.choice(_OTHERS[c]) if c in _OTHERS and chance.random() < _MISREAD else c for c in text]
    return "".join(letters)


def scanner_noise(text: str, chance: random.Random) -> str:
    """Misread the dots of some letters, and lose or add some spaces, as a scanner does."""
    words = misread_dots(text, chance).split(" ")
    noisy = [words[0]]
    for word in words[1:]:
        noisy.append("" if chance.random() < _JOINED else " ")
        if len(word) > 3 and chance.random() < _SPLIT:
            cut = chance.randint(1, len(word) - 1)
            word = f"{word[:cut]} {word[cut:]}"
        noisy.append(word)
    return "".join(noisy)


def persian_letters(text: str, chance: random.Random) -> str:
    """Type yaa and kaf on a Persian keyboard."""
    del chance
    return text.translate(_PERSIAN)


def plain_finals(text: str, chance: random.Random) -> str:
    """Write a word's last ة as ه and its last ى as ي, as much of the press of the region does."""
    del chance
    return _WORD_FINAL.sub(lambda m: _FINALS[m[0]], text)


def swap_digits(text: str, chance: random.Random) -> str:
    """Write every digit in one of the two other scripts."""

    def other(match: re.Match[str]) -> str:
        own = next(s for s in _SCRIPTS if match[0] in s)
        return chance.choice([s for s in _SCRIPTS if s != own])[own.index(match[0])]

    return re.sub(f"[{''.join(_SCRIPTS)}]", other, text)


PERTURBATIONS: Mapping[str, Perturbation] = {
    "diacritics added": add_diacritics,
    "hamza dropped": drop_hamza,
    "tatweel": add_tatweel,
    "presentation forms": presentation_forms,
    "scanner noise": scanner_noise,
    "Persian letters": persian_letters,
    "digits swapped": swap_digits,
    "ة as ه, ى as ي": plain_finals,
}


def perturb(name: str, texts: Sequence[str], *, seed: int) -> list[str]:
    """Perturb texts; a text's change depends on the seed and its place, not on the other texts.

    Args:
        name: a key of :data:`PERTURBATIONS`.
        texts: any texts.
        seed: of chance.
    """
    change = PERTURBATIONS[name]
    return [change(text, random.Random(f"{seed} {place}")) for place, text in enumerate(texts)]
