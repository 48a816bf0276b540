"""The analysis of labelling functions, on matrices small enough to count by hand."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inference.taxonomy import Taxonomy, Topic
from training.analysis import Analysis, analyse
from training.labeling import LabelingFunction
from training.tallies import Counts, Disagreements, TopicSums, Uncovered
from training.weak import WeakLabels, fit_weak_model

TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""),))
FUNCTIONS = (
    LabelingFunction("deal", "arms_deal", "lexical", False, (1,), 0.9),
    LabelingFunction("embargo", "arms_deal", "lexical", False, (1,), 0.9),
    LabelingFunction("no_weapon", "arms_deal", "lexical", False, (0,), 0.9),
    LabelingFunction("condemned", "arms_deal", "lexical", True, (1,), 0.8),
)
VOTES = np.array([[1, -1, -1, 1], [1, 1, -1, -1], [1, -1, 0, -1], [-1, -1, 0, 1]], dtype=np.int8)


def _analyse(votes: npt.NDArray[np.int8], **more: object) -> Analysis:
    model = fit_weak_model(votes, FUNCTIONS, TAXONOMY)
    weak = model.predict(votes)
    counts, topics = Counts(FUNCTIONS, TAXONOMY), TopicSums(FUNCTIONS, TAXONOMY)
    disagreements = Disagreements(FUNCTIONS, TAXONOMY)
    counts.add(votes)
    topics.add(votes, weak)
    disagreements.add([f"ف{i}" for i in range(len(votes))], votes, weak)
    rest = {"uncovered": Uncovered(), **more}
    return analyse(counts, model, topics=topics.report(), disagreements=disagreements, **rest)  # type: ignore[arg-type]


def test_coverage_overlap_and_conflict_are_shares_of_all_paragraphs() -> None:
    reports = {r.name: (r.coverage, r.overlap, r.conflict) for r in _analyse(VOTES).functions}
    assert reports == {
        "deal": (0.75, 0.5, 0.25),
        "embargo": (0.25, 0.25, 0),
        "no_weapon": (0.5, 0.25, 0.25),
        "condemned": (0.5, 0, 0),
    }


def test_votes_are_counted_by_name() -> None:
    assert [r.votes for r in _analyse(VOTES).functions] == [{"yes": 3}, {"yes": 1}, {"no": 2}, {"against": 2}]


@settings(max_examples=30)
@given(
    votes=arrays.arrays(np.int8, st.tuples(st.integers(1, 20), st.just(4)), elements=st.integers(-1, 1)),
    cut=st.integers(0, 20),
)
def test_how_a_stream_is_parted_makes_no_difference(votes: npt.NDArray[np.int8], cut: int) -> None:
    whole, parted = Counts(FUNCTIONS, TAXONOMY), Counts(FUNCTIONS, TAXONOMY)
    whole.add(votes)
    parted.add(votes[:cut])
    parted.add(votes[cut:])
    for name in ("fired", "overlap", "conflict", "together", "by_vote"):
        assert getattr(whole, name).tolist() == getattr(parted, name).tolist()


def test_gold_accuracy_of_a_stance_function_is_over_paragraphs_that_carry_the_topic() -> None:
    gold = np.array([[1], [-1], [-1], [-1]])
    reports = {r.name: r for r in _analyse(VOTES, gold_votes=VOTES, gold=gold).functions}
    assert (reports["condemned"].gold_accuracy, reports["condemned"].gold_votes) == (1.0, 1)
    assert (reports["deal"].gold_accuracy, reports["deal"].gold_votes) == (pytest.approx(1 / 3), 3)
    assert (reports["no_weapon"].gold_accuracy, reports["no_weapon"].gold_votes) == (1.0, 2)


def test_a_function_worse_than_chance_on_gold_is_named() -> None:
    votes = np.tile(VOTES[:1], (6, 1))
    told = _analyse(votes, gold_votes=votes, gold=np.full((6, 1), -1)).suggestions
    assert "deal is right on 0% of its 6 gold votes: worse than chance" in told


def test_functions_that_never_vote_and_those_that_vote_together_are_named() -> None:
    votes = np.array([[1, 1, -1, -1]] * 6 + [[-1, -1, 0, -1]] * 6, dtype=np.int8)
    assert _analyse(votes).suggestions == [
        "never vote, so mend their terms or drop them: condemned",
        "vote together, so one of them is enough: deal, embargo",
    ]


def test_a_vote_against_a_confident_model_is_an_example() -> None:
    weak = WeakLabels(np.array([[0.95], [0.95], [0.6], [0.01]]), np.full((4, 1, 3), 1 / 3))
    found = Disagreements(FUNCTIONS, TAXONOMY)
    found.add(["أ", "ب", "ج", "د"], np.array([[-1, -1, 0, -1]] * 3 + [[1, -1, -1, -1]], dtype=np.int8), weak)
    assert (found.examples[2], found.examples[0]) == (["أ", "ب"], ["د"])


def test_words_of_undecided_paragraphs_that_nobody_claims_are_suggested() -> None:
    words = Uncovered()
    texts = ["وصلت منظومات رادار جديدة", "تسلمت القوات منظومات رادار", "منظومات رادار في الميناء", "منظومات رادار"]
    words.add(texts, np.array([False, False, False, True]), np.array([0.5, 0.4, 0.6, 0.5]))
    words.add(["وصل الوفد"] * 5, np.array([False] * 5), np.array([0.01] * 5))
    (told,) = [s for s in _analyse(VOTES, uncovered=words).suggestions if "frequent" in s]
    assert told.endswith(": منظومات رادار")


def test_topics_are_summed_up() -> None:
    sums = TopicSums(FUNCTIONS, TAXONOMY)
    sums.add(VOTES[:2], WeakLabels(np.array([[0.5], [1.0]]), np.zeros((2, 1, 3))))
    sums.add(np.full((2, 4), -1, np.int8), WeakLabels(np.array([[0.0], [1.0]]), np.zeros((2, 1, 3))))
    report = sums.report()["arms_deal"]
    assert report == pytest.approx({"share_present": 0.5, "share_without_vote": 0.5, "mean_entropy_bits": 0.25})


def test_an_analysis_can_be_written_as_json() -> None:
    data = json.loads(json.dumps(_analyse(VOTES).to_json()))
    assert set(data) == {"rows", "functions", "topics", "suggestions", "broken"}
