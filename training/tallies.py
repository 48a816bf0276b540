"""Running sums over a stream of votes and labels, of which the analysis of labelling functions is made."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from inference.lexicon import ABSTAIN, TOPIC_VOTES
from inference.taxonomy import STANCES, Taxonomy
from inference.text import WORD, fold
from training.labeling import LabelingFunction
from training.weak import WeakLabels, columns_of

VoteArray = npt.NDArray[np.int8]
_EXAMPLES = 3
_NEAR_DECISION = (0.2, 0.8)


@dataclass
class Counts:
    """Sums over a stream of vote matrices; :meth:`add` them in any order.

    Args:
        functions: the columns.
        taxonomy: the topics.
    """

    functions: Sequence[LabelingFunction]
    taxonomy: Taxonomy
    rows: int = 0
    fired: npt.NDArray[np.int64] = field(init=False)
    together: npt.NDArray[np.int64] = field(init=False)
    overlap: npt.NDArray[np.int64] = field(init=False)
    conflict: npt.NDArray[np.int64] = field(init=False)
    by_vote: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.functions)
        self.fired, self.overlap, self.conflict = (np.zeros(count, dtype=np.int64) for _ in range(3))
        self.together = np.zeros((count, count), dtype=np.int64)
        self.by_vote = np.zeros((count, len(STANCES)), dtype=np.int64)

    def add(self, votes: VoteArray) -> None:
        """Count a batch of votes of shape ``(rows, functions)``."""
        self.rows += len(votes)
        fired = votes != ABSTAIN
        self.fired += fired.sum(0)
        numbers = fired.astype(np.float32)
        self.together += np.rint(numbers.T @ numbers).astype(np.int64)
        for vote in range(len(STANCES)):
            self.by_vote[:, vote] += (votes == vote).sum(0)
        for columns in columns_of(self.functions, self.taxonomy).values():
            for own in (list(columns.topic), list(columns.stance)):
                part, active = votes[:, own], fired[:, own]
                voters = active.sum(1, keepdims=True)
                self.overlap[own] += (active & (voters > 1)).sum(0)
                same = np.zeros_like(part, dtype=np.int64)
                for vote in range(len(STANCES)):
                    match = part == vote
                    same += match * match.sum(1, keepdims=True)
                self.conflict[own] += (active & (same < voters)).sum(0)


@dataclass
class TopicSums:
    """Sums, per topic, over a stream of labels."""

    functions: Sequence[LabelingFunction]
    taxonomy: Taxonomy
    rows: int = 0
    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def add(self, votes: VoteArray, weak: WeakLabels) -> None:
        """Count a batch: votes of shape ``(rows, functions)`` and their labels."""
        self.rows += len(votes)
        for i, (topic, columns) in enumerate(columns_of(self.functions, self.taxonomy).items()):
            share = np.clip(weak.topics[:, i], 1e-9, 1 - 1e-9)
            entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
            silent = (votes[:, list(columns.topic)] == ABSTAIN).all(1)
            sums = self.sums.setdefault(topic, np.zeros(3))
            sums += [(share > 0.5).sum(), silent.sum(), entropy.sum()]

    def report(self) -> dict[str, dict[str, float]]:
        """Give, per topic, the share labelled present, the share without a vote and the mean entropy in bits."""
        names = ("share_present", "share_without_vote", "mean_entropy_bits")
        means = {t: (s / max(self.rows, 1)).tolist() for t, s in self.sums.items()}
        return {t: dict(zip(names, values, strict=True)) for t, values in means.items()}


def vote_name(function: LabelingFunction, vote: int) -> str:
    """Give a vote's name as people write it."""
    return STANCES[vote] if function.is_stance else TOPIC_VOTES[vote]


@dataclass
class Disagreements:
    """Collects, per function, paragraphs on which it votes against a confident label model."""

    functions: Sequence[LabelingFunction]
    taxonomy: Taxonomy
    examples: dict[int, list[str]] = field(default_factory=dict)

    def add(self, ids: Sequence[str], votes: VoteArray, weak: WeakLabels) -> None:
        """Look through a batch."""
        for j, function in enumerate(self.functions):
            found = self.examples.setdefault(j, [])
            if len(found) == _EXAMPLES:
                continue
            i = self.taxonomy.index(function.topic)
            share = weak.stance[:, i] if function.is_stance else np.stack([1 - weak.topics[:, i], weak.topics[:, i]], 1)
            confident = share.max(1) > _NEAR_DECISION[1]
            if function.is_stance:
                confident &= weak.topics[:, i] > 0.5
            wrong = (votes[:, j] != ABSTAIN) & confident & (votes[:, j] != share.argmax(1))
            found.extend(ids[k] for k in np.flatnonzero(wrong)[: _EXAMPLES - len(found)])


@dataclass
class Uncovered:
    """Counts word pairs of paragraphs near the decision that no ``yes`` function covers, to suggest new terms."""

    pairs: Counter[str] = field(default_factory=Counter)
    limit: int = 200_000

    def add(self, texts: Sequence[str], covered: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]) -> None:
        """Look through a batch: texts, whether any function says yes, and the largest topic probability."""
        low, high = _NEAR_DECISION
        for k in np.flatnonzero(~covered & (probability > low) & (probability < high)):
            words = WORD.findall(fold(texts[int(k)]))
            self.pairs.update({f"{a} {b}" for a, b in itertools.pairwise(words) if len(a) > 2 and len(b) > 2})
        if len(self.pairs) > self.limit:
            self.pairs = Counter(dict(self.pairs.most_common(self.limit // 2)))
