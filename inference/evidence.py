"""The matcher's rules followed through one text, with the places of what matched."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from inference.classes import Program
from inference.matching import DENIAL_REACH, NEGATION_REACH, Rule

Place = tuple[int, int]


class TextMatches:
    """The matches of every list of terms in one text.

    Args:
        program: the lists of terms; its two extra sets are the negations and the denials.
        words: the text's folded words.
        sentences: number of each word's sentence.
    """

    def __init__(self, program: Program, words: Sequence[str], sentences: Sequence[int]) -> None:
        self._program = program
        self._classes = program.classify(words).tolist()
        self._sentences = sentences
        # By list: last word of the match from each first word. A list without a match has no entry.
        self.found: dict[int, dict[int, int]] = defaultdict(dict)
        present = frozenset().union(*(program.sets_of_class[number] for number in set(self._classes)))
        for place, number in enumerate(self._classes):
            if not number:
                continue
            for one in program.lists_of_class.rows[number]:
                self.found[one][place] = place
            for pattern in program.patterns_of_class.rows[number]:
                last = self._follow(pattern, place) if present.issuperset(program.pattern_sets[pattern]) else -1
                if last < 0:
                    continue
                for one in program.lists_of_pattern.rows[pattern]:
                    self.found[one][place] = min(last, self.found[one].get(place, last))

    def _follow(self, pattern: int, first: int) -> int:
        # Every way is followed, as the nearest next word may be one that the rest of the pattern cannot follow.
        ends = [first]
        sets_of_class = self._program.sets_of_class
        gaps = self._program.patterns[pattern].gaps
        for words, gap in zip(self._program.pattern_sets[pattern][1:], gaps, strict=True):
            reached = []
            start = 0
            for end in ends:
                stop = min(end + 2 + gap, len(self._classes))
                for ahead in range(max(end + 1, start), stop):
                    if words in sets_of_class[self._classes[ahead]]:
                        reached.append(ahead)
                start = max(start, stop)
            if not reached:
                return -1
            ends = reached
        same = self._sentences[ends[0]] == self._sentences[first]
        return ends[0] if same else -1

    def counting(self, rule: Rule) -> list[Place]:
        """Give the matches of a function's terms that count, by place; none where they are too few.

        Args:
            rule: a rule whose list of terms has matches.
        """
        others = self.found.get(rule.unless)
        if (rule.near >= 0 and rule.near not in self.found) or (others and not rule.unless_within):
            return []
        places = sorted(self.found[rule.terms].items())
        if others:
            beyond = _Beyond(others)
            places = [p for p in places if not beyond.reaches(p, rule.unless_within)]
        if places and rule.near >= 0:
            firsts, lasts = sorted(self.found[rule.near]), sorted(self.found[rule.near].values())
            places = [p for p in places if self._has_near(p, firsts, lasts, rule.within)]
        if places and rule.negation != "ignore":
            places = [p for p in places if self._is_negated(p[0]) == (rule.negation == "only")]
        return places if rule.at_least == 1 or _distinct(places) >= rule.at_least else []

    def _has_near(self, place: Place, firsts: Sequence[int], lasts: Sequence[int], within: int) -> bool:
        # The nearest on either side decides: a farther one is in no nearer sentence.
        after, before = bisect_right(firsts, place[1]), bisect_left(lasts, place[0]) - 1
        ahead = firsts[after] if after < len(firsts) and firsts[after] - place[1] <= within else None
        behind = lasts[before] if before >= 0 and place[0] - lasts[before] <= within else None
        return self._sentences[place[0]] in {self._sentences[p] for p in (ahead, behind) if p is not None}

    def _is_negated(self, first: int) -> bool:
        negation, denial = self._program.extra
        for place in range(first - 1, max(first - DENIAL_REACH, 0) - 1, -1):
            if self._sentences[place] != self._sentences[first]:
                return False
            sets = self._program.sets_of_class[self._classes[place]]
            if denial in sets or (negation in sets and first - place <= NEGATION_REACH):
                return True
        return False


class _Beyond:
    """Tells whether any of many stretches comes near a place, without looking at each."""

    def __init__(self, stretches: Mapping[int, int]) -> None:
        self._firsts = sorted(stretches)
        self._farthest = list(accumulate((stretches[first] for first in self._firsts), max))

    def reaches(self, place: Place, within: int) -> bool:
        """Say whether one shares words with a place or stands at most so many words from it."""
        begun = bisect_right(self._firsts, place[1] + within)
        return begun > 0 and self._farthest[begun - 1] >= place[0] - within


def _distinct(places: Sequence[Place]) -> int:
    count, reach = 0, -1
    for first, last in places:
        count += first > reach
        reach = max(reach, last)
    return count
