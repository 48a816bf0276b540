"""Token classes: what the tokens of texts mean to the lists of terms, worked out once for each distinct token.

Tokens that may be the same words of the lexicon share a class; most share class 0, which means nothing to any list.
A class knows the lists that it is a term of and the patterns that it begins, so that the matchers ask numbers only.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.folding import BITS_OF_LETTER, LETTERS_IN_KEY, FoldedBatch, Keys, fold_batch, word_of_key
from inference.keytable import KeyTable
from inference.morphology import LONGEST_PROCLITIC, Analyser, Word
from inference.patterns import Pattern, TermList, WordSet

_MEMO_LIMIT = 500_000
_FIRST_CAPACITY = 1024

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Rows:
    """Lists of numbers of unequal length, looked up for many keys at once."""

    def __init__(self, rows: Sequence[Sequence[int]] = ()) -> None:
        self.rows: list[tuple[int, ...]] = [tuple(r) for r in rows]
        self._packed: tuple[IntArray, IntArray, IntArray] | None = None

    def append(self, row: Sequence[int]) -> None:
        """Add the row of the next key."""
        self.rows.append(tuple(row))
        self._packed = None

    def look_up(self, keys: npt.NDArray[np.integer]) -> tuple[IntArray, IntArray]:
        """Give the numbers of every key, and for each number which of the keys (its place) it is from.

        Args:
            keys: shape ``(keys,)``.
        """
        if self._packed is None:
            counts = np.fromiter(map(len, self.rows), dtype=np.int64, count=len(self.rows))
            numbers = np.fromiter(itertools.chain.from_iterable(self.rows), dtype=np.int64, count=int(counts.sum()))
            self._packed = counts, np.cumsum(counts) - counts, numbers
        counts, starts, numbers = self._packed
        each = counts[keys]
        owners = np.repeat(np.arange(len(keys)), each)
        shift = starts[keys] - (np.cumsum(each) - each)
        return owners, numbers[np.arange(len(owners)) + shift[owners]]


class _Memo(dict[str, int]):
    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def __missing__(self, token: str) -> int:
        number = self[token] = self._program.analyse(token)
        return number


class _Forms:
    """Tells which keys cannot be of a word that the lexicon knows, with some false hope for the others."""

    def __init__(self, analyser: Analyser) -> None:
        self._forms, self._prefixes = KeyTable(), KeyTable()
        for table, forms in ((self._forms, analyser.forms()), (self._prefixes, analyser.prefixes())):
            keys = np.unique(fold_batch([" ".join(forms)]).keys)
            keys = keys[keys > 0]
            table.add(keys, np.ones(len(keys), dtype=np.int32))
        self._lengths = sorted({len(p) for p in analyser.prefixes() if len(p) <= LETTERS_IN_KEY})

    def may_hold(self, keys: Keys) -> BoolArray:
        """Say which keys may be of known words.

        Args:
            keys: shape ``(keys,)``, none 0.
        """
        found = np.zeros(len(keys), dtype=np.bool_)
        for cut in range(LONGEST_PROCLITIC + 1):
            rest = keys >> np.uint64(cut * BITS_OF_LETTER)
            found |= self._forms.look_up(rest) > 0
            for length in self._lengths:
                found |= self._prefixes.look_up(rest & np.uint64((1 << length * BITS_OF_LETTER) - 1)) > 0
        return found


class Program:
    """The lists of terms, and what every token met so far means to them.

    Args:
        words: the lexicon; a word's place is its id.
        lists: the lists of terms, over those ids.
        extra: further sets of words to ask :meth:`is_member` for.
    """

    def __init__(self, words: Sequence[Word], lists: Sequence[TermList], *, extra: Sequence[WordSet] = ()) -> None:
        self._analyser = Analyser(words)
        self.lists = len(lists)
        self.patterns: list[Pattern] = list(dict.fromkeys(p for one in lists for p in one.patterns))
        self._sets: dict[WordSet, int] = {}
        self.extra = [self._set(words) for words in extra]
        self.list_sets = np.array([self._set(one.words) for one in lists], dtype=np.int64)
        self.pattern_sets = [[self._set(s) for s in p.sets] for p in self.patterns]
        self._sets_of_word: dict[int, list[int]] = {}
        for words_of_set, number in self._sets.items():
            for word in words_of_set:
                self._sets_of_word.setdefault(word, []).append(number)
        place = {p: i for i, p in enumerate(self.patterns)}
        lists_of_pattern: list[list[int]] = [[] for _ in self.patterns]
        lists_of_set: dict[int, list[int]] = {}
        for number, one in enumerate(lists):
            lists_of_set.setdefault(self._sets[one.words], []).append(number)
            for pattern in one.patterns:
                lists_of_pattern[place[pattern]].append(number)
        self.lists_of_pattern = Rows(lists_of_pattern)
        self._lists_of_set = lists_of_set
        self._patterns_of_set: dict[int, list[int]] = {}
        for number, sets in enumerate(self.pattern_sets):
            self._patterns_of_set.setdefault(sets[0], []).append(number)
        longest = max((len(p.sets) for p in self.patterns), default=1)
        self._steps = np.full((2, longest + 1, len(self.patterns)), -1, dtype=np.int64)
        for number, pattern in enumerate(self.patterns):
            self._steps[0, : len(pattern.sets), number] = self.pattern_sets[number]
            self._steps[1, 1 : len(pattern.sets), number] = pattern.gaps
        self._forget()

    @functools.cached_property
    def _forms(self) -> _Forms:
        # Only batches ask for it, and a process that answers one text has none.
        return _Forms(self._analyser)

    def step(self, place: int) -> tuple[IntArray, IntArray]:
        """Give what each pattern asks at a place: the set of words, -1 where it has ended, and the gap before.

        Args:
            place: 0 is a pattern's first word.
        """
        return self._steps[0, place], self._steps[1, place]

    def _set(self, words: WordSet) -> int:
        return self._sets.setdefault(words, len(self._sets))

    def _forget(self) -> None:
        # What is remembered grows as texts are read: one thread at a time may read with it.
        self.lock = threading.Lock()
        self.memo = _Memo(self)
        self._table = KeyTable()
        self._classes: dict[tuple[int, ...], int] = {}
        self.lists_of_class, self.patterns_of_class = Rows(), Rows()
        self.sets_of_class: list[frozenset[int]] = []
        self._member = np.zeros((len(self._sets), _FIRST_CAPACITY), dtype=np.bool_)
        self._class_of(())

    def __getstate__(self) -> dict[str, object]:
        remembered = {"lock", "memo", "_table", "_classes", "_member"}
        remembered |= {"lists_of_class", "patterns_of_class", "sets_of_class"}
        return {name: value for name, value in self.__dict__.items() if name not in remembered}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()

    def analyse(self, token: str) -> int:
        """Give the class of a folded token, without remembering the token."""
        words = self._analyser.analyse(token)
        return self._class_of(tuple(sorted({s for w in words for s in self._sets_of_word.get(w, ())})))

    def means_something(self, token: str) -> bool:
        """Say whether a folded token is of any set of words."""
        return bool(self.sets_of_class[self.analyse(token)])

    def _class_of(self, sets: tuple[int, ...]) -> int:
        number = self._classes.setdefault(sets, len(self._classes))
        if number == len(self.lists_of_class.rows):
            self.lists_of_class.append(sorted(n for s in sets for n in self._lists_of_set.get(s, ())))
            self.patterns_of_class.append(sorted(n for s in sets for n in self._patterns_of_set.get(s, ())))
            if number == self._member.shape[1]:
                self._member = np.concatenate((self._member, np.zeros_like(self._member)), axis=1)
            self._member[list(sets), number] = True
            self.sets_of_class.append(frozenset(sets))
        return number

    def classify(self, tokens: Sequence[str]) -> IntArray:
        """Give the class of every folded token, shape ``(tokens,)``."""
        if len(self.memo) > _MEMO_LIMIT:
            self.memo.clear()
        return np.fromiter(map(self.memo.__getitem__, tokens), dtype=np.int64, count=len(tokens))

    def classify_batch(self, folded: FoldedBatch) -> IntArray:
        """Give the class of every word of a batch, shape ``(words,)``."""
        if len(self._table) > _MEMO_LIMIT:
            self._table.clear()
        classes = self._table.look_up(folded.keys)
        unknown = np.flatnonzero(classes < 0)
        if len(unknown):
            keys, back = np.unique(folded.keys[unknown], return_inverse=True)
            numbers = np.zeros(len(keys), dtype=np.int32)
            # Most words of any text are no form of anything; those are told apart without Python's help.
            possible = np.flatnonzero(self._forms.may_hold(keys))
            numbers[possible] = [self.analyse(word_of_key(k)) for k in keys[possible].tolist()]
            self._table.add(keys, numbers)
            classes[unknown] = numbers[back]
        result = classes.astype(np.int64)
        result[folded.keys == 0] = self.classify(folded.others)
        return result

    def is_member(self, sets: int | IntArray, classes: int | IntArray) -> BoolArray:
        """Say whether tokens of these classes are of these sets of words, elementwise."""
        member: BoolArray = self._member[sets, classes]
        return member
