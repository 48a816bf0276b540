"""Light Arabic morphology: which words of a lexicon a token may be a form of.

A token is taken apart into proclitics (و ف ب ل ك ال س and their chains), a stem and an ending (dual, sound plurals,
feminine, object and possessive pronouns; for verbs the persons of past and present). Nothing is looked up beyond
the lexicon itself, so a form is recognised only where its stem was listed. Stems are stored with every ending
written out, so that only the proclitics, five at most, are left to try on a token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from inference.errors import ConfigError
from inference.text import WORD, clean, fold

_CONJUNCTIONS = ("", "و", "ف")
_NOUN_PARTICLES = ("", "ال", "ب", "بال", "ك", "كال", "ل", "لل")
NOUN_PROCLITICS = frozenset(c + p for c in _CONJUNCTIONS for p in _NOUN_PARTICLES)
ARTICLE_PROCLITICS = frozenset(p for p in NOUN_PROCLITICS if p.endswith(("ال", "لل")))
_VERB_PERSONS = ("", "ي", "ت", "ن", "ا")
VERB_PROCLITICS = frozenset(c + f + p for c in _CONJUNCTIONS for f in ("", "س", "ل") for p in _VERB_PERSONS)

_PRONOUNS = ("", "ه", "ها", "هم", "هن", "هما", "ك", "كم", "نا", "ي")
NOUN_ENDINGS = frozenset([*_PRONOUNS, "ا", "ان", "ين", "ون", "يا", *("ات" + p for p in _PRONOUNS)])
# A sound plural before its genitive (معارضو الحرب); after two letters it is too often something else (البدو).
_CONSTRUCT_ENDING, _SHORTEST_CONSTRUCT = "و", 3
# After a noun's taa marbuta is taken off: itself, its dual and plural, and the taa that stands before a pronoun.
FEMININE_ENDINGS = frozenset(
    ["ه", "تان", "تين", "تا", *("ت" + p for p in _PRONOUNS if p), *("ات" + p for p in _PRONOUNS)]
)
_OBJECTS = ("", "ه", "ها", "هم", "هما", "نا")
VERB_ENDINGS = frozenset(p + o for p in ("", "ت", "ا", "تا", "وا", "و", "ون", "ان", "ين", "نا") for o in _OBJECTS)
# A verb that ends in a weak letter (التقى، دعا) drops it before these: التقت، التقوا، يلتقون، دعته.
WEAK_ENDINGS = frozenset(["وا", *(p + o for p in ("ت", "تا", "و", "ون") for o in _OBJECTS)])

_WEAK_LETTERS = ("ا", "ي", "و")
LONGEST_PROCLITIC = 4
_SHORTEST_STEM = 2
_SHORTEST_WEAK_VERB = 3
_SHORTEST_BARE = 3

_NOUN, _VERB, _ARTICLE = 1, 2, 4


def _heads() -> dict[str, int]:
    heads: dict[str, int] = defaultdict(int)
    for flag, proclitics in ((_NOUN, NOUN_PROCLITICS), (_VERB, VERB_PROCLITICS), (_ARTICLE, ARTICLE_PROCLITICS)):
        for proclitic in proclitics:
            heads[proclitic] |= flag
    return dict(heads)


_HEADS = _heads()


@dataclass(frozen=True)
class Word:
    """One word of a lexicon.

    Args:
        form: folded letters, as written.
        kind: ``noun`` (particles, article and noun endings may stand around it), ``verb`` (persons of past and
            present), ``exact`` (as it stands) or ``prefix`` (any token that starts so, particles allowed).
        article: whether a noun or prefix was written with what may be the article. It may be part of the word too
            (التزام), so both readings count.
    """

    form: str
    kind: str
    article: bool = False

    @classmethod
    def parse(cls, written: str) -> Word:
        """Read a word as the YAML writes it: ``صفقة``, ``v:رفض``, ``=سلم`` or ``تسلي*``.

        Raises:
            ConfigError: where nothing but marks is left of it.
        """
        kind, body = "noun", written
        if body.startswith("v:"):
            kind, body = "verb", body[2:]
        elif body.startswith("="):
            kind, body = "exact", body[1:]
        elif body.endswith("*"):
            kind, body = "prefix", body[:-1]
        form = fold(body)
        if not WORD.fullmatch(form):
            raise ConfigError(f"{written!r} is not one word of letters or digits")
        # The article is written without hamza; ألمانيا and إلغاء have none, though folding makes them look so.
        article = kind in ("noun", "prefix") and clean(body).startswith(("ال", "ٱل"))
        return cls(form=form, kind=kind, article=article)

    def bare(self) -> str:
        """Give the form without its article; empty where it has none, or where hardly a word would be left."""
        return self.form[2:] if self.article and len(self.form) - 2 >= _SHORTEST_STEM else ""


class Analyser:
    """Tells which lexicon words a folded token may be a form of.

    Args:
        words: the lexicon; a word's place is its id.
    """

    def __init__(self, words: Sequence[Word]) -> None:
        self._exact: dict[str, list[int]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._inflected: dict[str, tuple[tuple[int, int], ...]] = {}
        for number, word in enumerate(words):
            if word.kind == "exact" or len(word.form) < _SHORTEST_STEM:
                self._exact.setdefault(word.form, []).append(number)
            elif word.kind == "prefix":
                for form in filter(None, (word.form, word.bare() if len(word.bare()) >= _SHORTEST_BARE else "")):
                    self._prefixes.setdefault(form, []).append(number)
            else:
                # A word's forms are many, and nearly all of them its alone: they share what is said of them.
                alone = {flag: ((number, flag),) for flag in (_NOUN, _VERB, _ARTICLE)}
                for form, flag in _verb_forms(word.form) if word.kind == "verb" else _noun_forms(word):
                    known = self._inflected.get(form)
                    self._inflected[form] = alone[flag] if known is None else known + alone[flag]
        self._prefix_lengths = sorted({len(p) for p in self._prefixes})

    def forms(self) -> Collection[str]:
        """Give every whole form that is looked for, proclitics taken off."""
        return self._exact.keys() | self._inflected.keys()

    def prefixes(self) -> Collection[str]:
        """Give every prefix that is looked for, proclitics taken off."""
        return self._prefixes.keys()

    def analyse(self, token: str) -> tuple[int, ...]:
        """Give the ids of the words that the token may be a form of, in order.

        Args:
            token: folded letters.
        """
        found: set[int] = set(self._exact.get(token, ()))
        # Every chain of proclitics starts with a letter that is one by itself.
        cuts = LONGEST_PROCLITIC + 1 if token[:1] in _HEADS else 1
        for cut in range(cuts):
            flags = _HEADS.get(token[:cut], 0)
            if not flags:
                continue
            rest = token[cut:]
            if len(rest) < _SHORTEST_STEM:
                break
            if inflected := self._inflected.get(rest):
                found.update(number for number, flag in inflected if flag & flags)
            if self._prefix_lengths and flags & _NOUN:
                for length in self._prefix_lengths:
                    found.update(self._prefixes.get(rest[:length], ()))
        return tuple(sorted(found))


def _noun_forms(word: Word) -> Iterable[tuple[str, int]]:
    stems = [(word.form, _NOUN)]
    if bare := word.bare():
        # Two letters are too little to be looked for everywhere (الآن is no إن), so they keep their article.
        stems.append((bare, _NOUN if len(bare) >= _SHORTEST_BARE else _ARTICLE))
    for stem, flag in stems:
        yield from ((stem + ending, flag) for ending in NOUN_ENDINGS)
        if len(stem) >= _SHORTEST_CONSTRUCT:
            yield stem + _CONSTRUCT_ENDING, flag
        if stem.endswith("ه") and len(stem) > _SHORTEST_STEM:
            yield from ((stem[:-1] + ending, flag) for ending in FEMININE_ENDINGS)


def _verb_forms(form: str) -> Iterable[tuple[str, int]]:
    yield from ((form + ending, _VERB) for ending in VERB_ENDINGS)
    if form.endswith(_WEAK_LETTERS) and len(form) >= _SHORTEST_WEAK_VERB:
        yield from ((form[:-1] + ending, _VERB) for ending in WEAK_ENDINGS)
        if form.endswith("ي"):
            # Alef maqsura is written as alef before an object: نفى، نفاه.
            yield from ((form[:-1] + "ا" + pronoun, _VERB) for pronoun in _OBJECTS if pronoun)
