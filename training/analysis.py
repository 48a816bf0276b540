"""The analysis of labelling functions: what each one does, how right it seems, and what to mend next.

Coverage, overlap and conflict are Snorkel's terms (Ratner et al., VLDB 2017); they are counted in a stream, so that a
corpus of any length can be analysed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.lexicon import ABSTAIN, TOPIC_VOTES
from inference.taxonomy import STANCES, Taxonomy
from training.label_model import describe
from training.labeling import Broken, LabelingFunction
from training.tallies import Counts, Disagreements, Uncovered, vote_name
from training.weak import WeakModel, columns_of

VoteArray = npt.NDArray[np.int8]
_SAME = 0.95
_LEAST_VOTES = 5


@dataclass(frozen=True)
class FunctionReport:
    """What is known of one labelling function.

    Args:
        name: the function.
        topic: the topic it votes on.
        votes: the votes it gave, by name.
        coverage: share of paragraphs on which it votes.
        overlap: share on which it votes and another one of its kind does too.
        conflict: share on which another one votes otherwise.
        estimated_accuracy: what the label model believes, P(class = vote | vote).
        gold_accuracy: share of its votes on gold that are right; None without gold or votes.
        gold_votes: how many votes that is.
        disagreements: ids of paragraphs where it votes against a confident label model.
    """

    name: str
    topic: str
    votes: dict[str, int]
    coverage: float
    overlap: float
    conflict: float
    estimated_accuracy: float
    gold_accuracy: float | None
    gold_votes: int
    disagreements: list[str]


@dataclass(frozen=True)
class Analysis:
    """The whole analysis.

    Args:
        rows: how many paragraphs.
        functions: a report for each function.
        topics: per topic, the share labelled present, the share without a vote, and the mean entropy in bits.
        suggestions: what to look at, in plain words.
        broken: functions that raised and were left out.
    """

    rows: int
    functions: list[FunctionReport]
    topics: dict[str, dict[str, float]]
    suggestions: list[str]
    broken: list[Broken] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give the analysis as ``rasd label --json`` prints it."""
        return asdict(self)


def analyse(
    counts: Counts,
    model: WeakModel,
    *,
    topics: dict[str, dict[str, float]],
    disagreements: Disagreements,
    uncovered: Uncovered,
    gold_votes: VoteArray | None = None,
    gold: npt.NDArray[np.int64] | None = None,
    broken: Sequence[Broken] = (),
) -> Analysis:
    """Put the analysis together.

    Args:
        counts: sums over the corpus.
        model: the fitted label model.
        topics: per topic, its sums.
        disagreements: examples per function.
        uncovered: word pairs of undecided paragraphs.
        gold_votes: shape ``(gold rows, functions)``; votes on gold.
        gold: shape ``(gold rows, topics)``; -1 absent, else the stance's place.
        broken: functions that raised and were left out.
    """
    estimated: dict[int, float] = {}
    for topic, columns in columns_of(counts.functions, counts.taxonomy).items():
        for own, fitted in ((columns.topic, model.topic_models[topic]), (columns.stance, model.stance_models[topic])):
            estimated |= {j: d["accuracy"] for j, d in zip(own, describe(fitted), strict=True)}
    rows = max(counts.rows, 1)
    reports = []
    for j, function in enumerate(counts.functions):
        right, judged = _on_gold(function, j, counts.taxonomy, gold_votes, gold)
        votes = {vote_name(function, v): int(counts.by_vote[j, v]) for v in function.polarity}
        reports.append(
            FunctionReport(
                name=function.name,
                topic=function.topic,
                votes=votes,
                coverage=float(counts.fired[j] / rows),
                overlap=float(counts.overlap[j] / rows),
                conflict=float(counts.conflict[j] / rows),
                estimated_accuracy=estimated[j],
                gold_accuracy=right / judged if judged else None,
                gold_votes=judged,
                disagreements=disagreements.examples.get(j, []),
            )
        )
    return Analysis(counts.rows, reports, topics, suggest(reports, counts, uncovered), list(broken))


def _on_gold(
    function: LabelingFunction,
    j: int,
    taxonomy: Taxonomy,
    votes: VoteArray | None,
    gold: npt.NDArray[np.int64] | None,
) -> tuple[int, int]:
    if votes is None or gold is None:
        return 0, 0
    truth = gold[:, taxonomy.index(function.topic)]
    judged = votes[:, j] != ABSTAIN
    if function.is_stance:
        judged &= truth >= 0
        return int((votes[judged, j] == truth[judged]).sum()), int(judged.sum())
    return int((votes[judged, j] == (truth[judged] >= 0)).sum()), int(judged.sum())


def suggest(reports: Sequence[FunctionReport], counts: Counts, uncovered: Uncovered) -> list[str]:
    """Say in plain words what is worth a look: silent, doubled and harmful functions, and terms to add."""
    silent = [r.name for r in reports if not r.coverage]
    suggestions = [f"never vote, so mend their terms or drop them: {', '.join(silent)}"] if silent else []
    suggestions += [f"vote together, so one of them is enough: {', '.join(g)}" for g in _alike(reports, counts)]
    for r in reports:
        classes = len(STANCES) if set(r.votes) <= set(STANCES) else len(TOPIC_VOTES)
        if r.gold_accuracy is not None and r.gold_votes >= _LEAST_VOTES and r.gold_accuracy < 1 / classes:
            suggestions.append(
                f"{r.name} is right on {r.gold_accuracy:.0%} of its {r.gold_votes} gold votes: worse than chance"
            )
        elif r.gold_accuracy is None and r.coverage and r.estimated_accuracy < 1 / classes:
            suggestions.append(
                f"{r.name} is right on {r.estimated_accuracy:.0%} of its votes by the label model's estimate: worse "
                "than chance"
            )
    frequent = [pair for pair, n in uncovered.pairs.most_common(15) if n >= 3]
    if frequent:
        suggestions.append("frequent in undecided paragraphs that no function says yes to: " + "، ".join(frequent))
    return suggestions


def _alike(reports: Sequence[FunctionReport], counts: Counts) -> list[list[str]]:
    fired, together = counts.fired, counts.together
    either = np.maximum(fired[:, None] + fired - together, 1)
    alike = (together / either >= _SAME) & (together >= _LEAST_VOTES)
    groups: list[list[int]] = []
    for j, report in enumerate(reports):
        for group in groups:
            first = reports[group[0]]
            if alike[group[0], j] and first.topic == report.topic and first.votes.keys() == report.votes.keys():
                group.append(j)
                break
        else:
            groups.append([j])
    return [[reports[j].name for j in group] for group in groups if len(group) > 1]
