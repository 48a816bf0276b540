"""From votes to probabilities: the majority vote, Dawid and Skene's model, and the weak labels of a watch list."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inference.errors import ConfigError
from inference.taxonomy import Taxonomy, Topic
from inference.vote_model import VoteModel
from training.label_model import DawidSkene, describe, majority_vote
from training.labeling import LabelingFunction
from training.weak import columns_of, fit_weak_model, majority_labels

VOTES = arrays.arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 6)), elements=st.integers(-1, 1))


def _votes(*rows: list[int]) -> npt.NDArray[np.int8]:
    return np.array(rows, dtype=np.int8)


def _model(*rates: list[list[float]], balance: tuple[float, ...], discount: float = 1.0) -> VoteModel:
    return VoteModel(np.array(rates), np.array(balance), np.full(len(rates), discount))


def _witnesses(
    truth: npt.NDArray[np.int64], rng: np.random.Generator, *, accuracy: float, coverage: float = 1.0
) -> npt.NDArray[np.int8]:
    wrong = rng.random(len(truth)) > accuracy
    votes = np.where(wrong, 1 - truth, truth)
    return np.where(rng.random(len(truth)) < coverage, votes, -1).astype(np.int8)


# The majority vote


def test_the_majority_vote_is_the_share_of_votes() -> None:
    shares = majority_vote(_votes([0, 0, 1, -1], [1, -1, -1, -1]), 2, default=0)
    assert shares == pytest.approx(np.array([[2 / 3, 1 / 3], [0, 1]]))


def test_a_row_without_votes_is_of_the_default_class() -> None:
    assert majority_vote(_votes([-1, -1]), 3, default=2).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("row", [[0, 1, -1], [0, 2, -1], [0, 1, 2]])
def test_a_tie_leans_to_the_default_whichever_classes_are_tied(row: list[int]) -> None:
    assert majority_vote(_votes(row), 3, default=2).argmax() == 2


@given(votes=VOTES)
def test_majority_shares_sum_to_one(votes: npt.NDArray[np.int8]) -> None:
    assert majority_vote(votes, 2, default=0).sum(1) == pytest.approx(np.ones(len(votes)))


# The fitted model, at serving


EVEN = [[0.5, 0.4, 0.1], [0.5, 0.1, 0.4]]  # P(silence, no, yes | class), for the classes no and yes


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([1, -1], [3 / 7, 4 / 7]),  # 0.75 * 0.1 against 0.25 * 0.4
        ([1, 1], [3 / 19, 16 / 19]),  # 0.75 * 0.01 against 0.25 * 0.16
        ([0, 1], [3 / 4, 1 / 4]),  # they cancel out
        ([-1, -1], [3 / 4, 1 / 4]),  # a silence that is as likely in both classes says nothing
    ],
)
def test_votes_are_read_by_bayes(votes: list[int], expected: list[float]) -> None:
    assert _model(EVEN, EVEN, balance=(0.75, 0.25)).predict(_votes(votes))[0] == pytest.approx(expected)


def test_silence_speaks_where_it_is_likelier_in_one_class() -> None:
    model = _model([[0.9, 0.05, 0.05], [0.3, 0.05, 0.65]], balance=(0.5, 0.5))
    assert model.predict(_votes([-1]))[0] == pytest.approx([0.75, 0.25])


def test_a_function_that_could_not_vote_is_left_out_not_taken_for_silent() -> None:
    model = _model([[0.9, 0.05, 0.05], [0.3, 0.05, 0.65]], EVEN, balance=(0.5, 0.5))
    able = np.array([False, True])
    assert model.predict(_votes([-1, 1]), functions=able)[0] == pytest.approx([0.2, 0.8])


def test_two_functions_of_half_the_weight_count_as_one() -> None:
    model = _model(EVEN, EVEN, balance=(0.75, 0.25), discount=0.5)
    assert model.predict(_votes([1, 1]))[0] == pytest.approx([3 / 7, 4 / 7])


def test_a_model_reads_no_rows_and_has_an_opinion_without_functions() -> None:
    model = _model(EVEN, balance=(0.75, 0.25))
    assert model.predict(np.empty((0, 1), np.int8)).shape == (0, 2)
    none = VoteModel(np.empty((0, 2, 3)), model.balance, np.empty(0))
    assert none.predict(np.empty((1, 0), np.int8))[0] == pytest.approx([0.75, 0.25])


def test_a_model_is_the_same_after_json() -> None:
    rng = np.random.default_rng(0)
    votes = rng.integers(-1, 2, (200, 4)).astype(np.int8)
    model = DawidSkene(2).fit(votes)
    again = VoteModel.from_json(json.loads(json.dumps(model.to_json())))
    assert again.predict(votes) == pytest.approx(model.predict(votes), abs=1e-6)


# Fitting


def test_a_single_function_is_believed_as_far_as_its_author_said() -> None:
    # Half the rows get a yes; at an accuracy of 0.75 and equal shares P(yes | yes) = 0.75 and P(yes | silence) = 0.25,
    # and expectation maximisation, seeing nothing else, has no reason to move.
    votes = _votes([1], [-1])
    model = DawidSkene(2).fit(votes, accuracies=[0.75], polarities=[(1,)])
    assert model.predict(votes)[:, 1] == pytest.approx([0.75, 0.25], abs=1e-3)
    assert describe(model)[0] == pytest.approx({"accuracy": 0.75, "discount": 1.0}, abs=1e-3)


def test_describe_gives_the_share_of_right_votes() -> None:
    # Of votes: no and right 0.75 * 0.4, yes and wrong 0.75 * 0.1, no and wrong 0.25 * 0.1, yes and right 0.25 * 0.4.
    assert describe(_model(EVEN, balance=(0.75, 0.25), discount=0.5)) == [
        {"accuracy": pytest.approx((0.3 + 0.1) / 0.5), "discount": 0.5}
    ]


def test_a_good_witness_is_found_among_poor_ones_and_beats_the_majority() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, 3000)
    accuracies = [0.95, 0.9, 0.55, 0.55, 0.55, 0.55, 0.55]
    votes = np.stack([_witnesses(truth, rng, accuracy=a) for a in accuracies], axis=1)
    model = DawidSkene(2).fit(votes)
    skene = (model.predict(votes).argmax(1) == truth).mean()
    majority = (majority_vote(votes, 2, default=0).argmax(1) == truth).mean()
    assert skene > 0.94 > 0.85 > majority
    assert [row["accuracy"] for row in describe(model)] == pytest.approx(accuracies, abs=0.05)


def test_a_function_that_only_says_yes_teaches_by_keeping_quiet() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 2000)
    votes = np.stack([np.where(_witnesses(truth, rng, accuracy=0.9) == 1, 1, -1) for _ in range(4)], axis=1).astype(
        np.int8
    )
    model = DawidSkene(2).fit(votes, polarities=[(1,)] * 4)
    posterior = model.predict(votes)
    assert posterior[(votes == -1).all(1), 1].max() < 0.05
    assert (posterior.argmax(1) == truth).mean() > 0.93


def test_copies_of_one_function_count_as_one_witness() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 4000)
    lone = [_witnesses(truth, rng, accuracy=0.8, coverage=0.6) for _ in range(3)]
    copied = np.stack([lone[0]] * 4 + lone[1:], axis=1)
    model = DawidSkene(2).fit(copied)
    assert model.discount == pytest.approx([0.25] * 4 + [1, 1], abs=0.05)
    own = DawidSkene(2).fit(np.stack(lone, axis=1))
    assert np.abs(model.predict(copied) - own.predict(np.stack(lone, axis=1))).mean() < 0.05


def test_without_tempering_copies_outvote_the_others() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 2000)
    lone = [_witnesses(truth, rng, accuracy=0.8) for _ in range(3)]
    votes = np.stack([lone[0]] * 4 + lone[1:], axis=1)
    model = DawidSkene(2, temper=False).fit(votes)
    assert model.discount.tolist() == [1.0] * 6
    assert (model.predict(votes).argmax(1) == lone[0]).all()


def test_copies_are_told_from_the_truth_before_they_outvote_it() -> None:
    # Six copies of one poor function agree with each other more than good ones do.
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 2, 4000)
    poor = _witnesses(truth, rng, accuracy=0.6)
    good = [_witnesses(truth, rng, accuracy=0.8, coverage=0.6) for _ in range(5)]
    votes = np.stack([poor] * 6 + good, axis=1)
    model = DawidSkene(2).fit(votes)
    assert (model.predict(votes).argmax(1) == truth).mean() > 0.85
    assert model.discount[:6].max() < 0.2 < 0.9 < model.discount[6:].min()


def test_with_silence_left_out_only_votes_are_evidence() -> None:
    votes = _votes(*[[1, -1]] * 30, *[[-1, 0]] * 30, *[[-1, -1]] * 40)
    model = DawidSkene(2, balance=(0.6, 0.4), silence=False).fit(votes, accuracies=[0.9, 0.9])
    yes, no, nothing = model.predict(_votes([1, -1], [-1, 0], [-1, -1]))[:, 1]
    assert model.rates.sum(2) == pytest.approx(np.ones((2, 2)))
    assert nothing == pytest.approx(model.balance[1])
    assert no < nothing < yes


def test_of_many_rows_full_of_votes_a_sample_is_enough() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, 12_000)
    votes = np.stack([_witnesses(truth, rng, accuracy=0.75, coverage=0.7) for _ in range(15)], axis=1)
    few, all_rows = DawidSkene(2).fit(votes), DawidSkene(2, sample=10**6).fit(votes)
    assert few.rates == pytest.approx(all_rows.rates, abs=0.06)
    assert (few.predict(votes).argmax(1) == all_rows.predict(votes).argmax(1)).mean() > 0.98


def test_rare_votes_are_all_read_however_many_rows_there_are() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(30_000) < 0.02).astype(np.int64)
    votes = np.stack([np.where(truth & (rng.random(30_000) < 0.5), 1, -1) for _ in range(4)], axis=1).astype(np.int8)
    a, b = DawidSkene(2, balance=(0.9, 0.1)), DawidSkene(2, balance=(0.9, 0.1), sample=10**6)
    assert a.fit(votes).rates == pytest.approx(b.fit(votes).rates)


def test_a_weight_is_a_number_of_rows() -> None:
    rng = np.random.default_rng(1)
    votes = rng.integers(-1, 2, (60, 3)).astype(np.int8)
    weighted = DawidSkene(2).fit(votes, weights=np.full(60, 3.0))
    repeated = DawidSkene(2).fit(np.repeat(votes, 3, axis=0))
    assert weighted.rates == pytest.approx(repeated.rates)
    assert weighted.balance == pytest.approx(repeated.balance)
    assert DawidSkene(2).fit(votes).balance != pytest.approx(repeated.balance, abs=1e-4)


def test_rows_of_more_weight_pull_the_class_shares_to_theirs() -> None:
    votes = _votes([1, 1], [0, 0])
    shares = DawidSkene(2, balance_strength=1).fit(votes, accuracies=[0.9, 0.9], weights=np.array([99.0, 1.0])).balance
    assert shares[1] > 0.9


def test_the_order_of_rows_does_not_matter() -> None:
    votes = np.random.default_rng(2).integers(-1, 2, (100, 3)).astype(np.int8)
    assert DawidSkene(2).fit(votes).rates == pytest.approx(DawidSkene(2).fit(votes[::-1]).rates)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_to_fit_on_is_told(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="at least one row and one labelling function"):
        DawidSkene(2).fit(np.empty(shape, np.int8))


@settings(max_examples=50)
@given(votes=VOTES, balance=st.floats(0.01, 0.99))
def test_whatever_the_votes_the_model_is_a_distribution(votes: npt.NDArray[np.int8], balance: float) -> None:
    model = DawidSkene(2, balance=(1 - balance, balance)).fit(votes)
    assert model.rates.sum(2) == pytest.approx(np.ones(model.rates.shape[:2]))
    assert (model.rates > 0).all()
    assert model.balance.sum() == pytest.approx(1)
    assert ((model.discount > 0) & (model.discount <= 1)).all()
    posterior = model.predict(votes)
    assert np.isfinite(posterior).all()
    assert posterior.sum(1) == pytest.approx(np.ones(len(votes)))


# The weak labels of a watch list


TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("diplomacy", "", "", "")))
FUNCTIONS = (
    LabelingFunction("a_yes", "arms_deal", "lexical", False, (1,), 0.9),
    LabelingFunction("d_yes", "diplomacy", "lexical", False, (1,), 0.9),
    LabelingFunction("a_against", "arms_deal", "lexical", True, (1,), 0.8),
    LabelingFunction("d_favor", "diplomacy", "lexical", True, (0,), 0.8),
    LabelingFunction("a_brief", "arms_deal", "metadata", False, (0, 1), 0.9),
)


def test_the_columns_of_a_topic_are_its_functions_presence_and_stance_apart() -> None:
    columns = columns_of(FUNCTIONS, TAXONOMY)
    assert {t: (c.topic, c.stance) for t, c in columns.items()} == {
        "arms_deal": ((0, 4), (2,)),
        "diplomacy": ((1,), (3,)),
    }


def _corpus() -> npt.NDArray[np.int8]:
    arms, diplomacy, neither = [1, -1, 1, -1, 1], [-1, 1, -1, 0, 0], [-1, -1, -1, -1, 0]
    return _votes(*[arms] * 20, *[diplomacy] * 30, *[neither] * 50)


def test_weak_labels_follow_the_votes_of_their_own_topic_only() -> None:
    votes = _corpus()
    weak = fit_weak_model(votes, FUNCTIONS, TAXONOMY).predict(votes)
    assert (weak.topics[[0, 20, 50]] > 0.5).tolist() == [[True, False], [False, True], [False, False]]
    assert weak.stance[0, 0].argmax() == 1
    assert weak.stance[20, 1].argmax() == 0
    assert weak.stance.sum(2) == pytest.approx(np.ones((100, 2)))


def test_functions_of_a_kind_that_could_not_vote_change_nothing() -> None:
    model = fit_weak_model(_corpus(), FUNCTIONS, TAXONOMY)
    said, silent = _votes([1, -1, 1, -1, 0]), _votes([1, -1, 1, -1, -1])
    without = model.predict(said, skip_kinds=("metadata",)).topics
    assert without == pytest.approx(model.predict(silent, skip_kinds=("metadata",)).topics)
    assert model.predict(silent, skip_kinds=("metadata",)).topics[0, 0] > model.predict(silent).topics[0, 0]


def test_stance_is_learned_where_the_topic_is_present() -> None:
    # Condemnation stands in every paragraph on arms deals, and praise in as many of those on other things.
    votes = _votes(*[[1, -1, 1, -1, 1]] * 50, *[[-1, 1, 0, 0, 0]] * 50)
    praised = LabelingFunction("a_any", "arms_deal", "lexical", True, (0, 1), 0.8)
    model = fit_weak_model(votes, (*FUNCTIONS[:2], praised, *FUNCTIONS[3:]), TAXONOMY)
    favor, against, _ = model.stance_models["arms_deal"].balance
    assert against > 2 * favor


@pytest.mark.parametrize(("kept", "part"), [((1, 2, 3), "presence"), ((0, 1, 3, 4), "stance")])
def test_a_topic_that_no_function_votes_on_is_named(kept: tuple[int, ...], part: str) -> None:
    with pytest.raises(ConfigError, match=f"topic 'arms_deal': no labelling function votes on its {part}"):
        fit_weak_model(_corpus()[:, list(kept)], tuple(FUNCTIONS[j] for j in kept), TAXONOMY)


def test_the_majority_row_says_absent_and_neutral_where_nobody_votes() -> None:
    labels = majority_labels(_votes([-1] * 5, [1, -1, 1, -1, 0]), FUNCTIONS, TAXONOMY)
    assert labels.topics[:, 0] == pytest.approx([0, 0.5], abs=1e-5)
    assert labels.topics[1, 0] < 0.5
    assert labels.stance.argmax(2).tolist() == [[2, 2], [1, 2]]
