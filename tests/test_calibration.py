"""Calibration: from scores to probabilities and decisions, and how it is fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.calibration import Calibration
from training.calibrate import best_threshold, calibrate
from training.weak import WeakLabels

HAND = Calibration(
    topic_scale=np.array([1.0, 2.0]),
    topic_shift=np.array([0.0, -1.0]),
    stance_scale=np.array([1.0, 0.5]),
    stance_shift=np.array([[0.0, 0.0, 0.0], [np.log(2), 0.0, 0.0]]),
    thresholds=np.array([0.5, 0.3]),
)


def _sigmoid(x: float) -> float:
    return 1 / (1 + float(np.exp(-x)))


def test_a_topics_logit_is_scaled_shifted_and_squashed() -> None:
    assert HAND.topic_probabilities(np.array([[0.0, 0.5], [1.0, 2.0]])) == pytest.approx(
        np.array([[0.5, 0.5], [_sigmoid(1), _sigmoid(3)]])
    )


def test_stance_logits_are_scaled_shifted_and_shared_out() -> None:
    logits = np.array([[[np.log(3), 0.0, 0.0], [np.log(9), 0.0, 0.0]]])
    # Topic 0: 3 : 1 : 1. Topic 1: the root of 9, doubled by the shift: 6 : 1 : 1.
    assert HAND.stance_probabilities(logits)[0] == pytest.approx(np.array([[0.6, 0.2, 0.2], [0.75, 0.125, 0.125]]))


def test_logits_are_had_back_of_probabilities() -> None:
    logits = np.array([[-7.0, 3.0], [0.25, 0.0]])
    assert HAND.topic_logits(HAND.topic_probabilities(logits)) == pytest.approx(logits)


def test_a_probability_of_one_has_finite_logits() -> None:
    assert np.isfinite(HAND.topic_logits(np.array([[0.0, 1.0]]))).all()


def test_stances_without_the_shift_are_scaled_alone() -> None:
    logits = np.array([[[np.log(3), 0.0, 0.0], [np.log(9), 0.0, 0.0]]])
    found = HAND.unshifted_stance(HAND.stance_probabilities(logits))
    assert found[0] == pytest.approx(np.array([[0.6, 0.2, 0.2], [0.6, 0.2, 0.2]]))


def test_the_identity_changes_nothing_and_decides_at_one_half() -> None:
    plain = Calibration.identity(2)
    assert plain.topic_probabilities(np.array([[0.0, 2.0]]))[0] == pytest.approx([0.5, _sigmoid(2)])
    assert plain.stance_probabilities(np.zeros((1, 2, 3))) == pytest.approx(np.full((1, 2, 3), 1 / 3))
    assert plain.thresholds.tolist() == [0.5, 0.5]


def test_a_calibration_is_the_same_after_json() -> None:
    again = Calibration.from_json(json.loads(json.dumps(HAND.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(HAND.to_json())
    assert again.stance_shift == pytest.approx(HAND.stance_shift, abs=1e-6)
    assert again.abstain_margin == HAND.abstain_margin


@pytest.mark.parametrize("name", ["thresholds", "abstain_margin", "stance_shift"])
def test_a_calibration_without_all_its_numbers_is_refused(name: str) -> None:
    data = HAND.to_json()
    del data[name]
    with pytest.raises((TypeError, KeyError)):
        Calibration.from_json(data)


@given(logit=st.floats(-1e6, 1e6), others=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
def test_whatever_the_logits_probabilities_are_finite_and_sum_to_one(logit: float, others: tuple[float, float]) -> None:
    assert 0 <= HAND.topic_probabilities(np.array([[logit, logit]])).min() <= 1
    stances = HAND.stance_probabilities(np.array([[[logit, *others]] * 2]))
    assert np.isfinite(stances).all()
    assert stances.sum(-1) == pytest.approx(np.ones((1, 2)))


# Fitting


def _weak(topics: np.ndarray, stance: np.ndarray | None = None) -> WeakLabels:
    return WeakLabels(topics, np.full((*topics.shape, 3), 1 / 3) if stance is None else stance)


def test_overconfident_logits_are_scaled_back_to_the_labels() -> None:
    truth = np.linspace(-2, 2, 400)[:, None]
    labels = 1 / (1 + np.exp(-(truth + 0.5)))
    fitted = calibrate(4 * truth, np.zeros((400, 1, 3)), _weak(labels))
    assert fitted.topic_scale[0] == pytest.approx(0.25, rel=0.15)
    assert fitted.topic_shift[0] == pytest.approx(0.5, abs=0.1)
    assert np.abs(fitted.topic_probabilities(4 * truth) - labels).max() < 0.05


def test_an_overconfident_stance_head_gets_a_temperature() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 1, 3))
    stance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    fitted = calibrate(np.zeros((400, 1)), 4 * logits, _weak(np.ones((400, 1)), stance))
    assert fitted.stance_scale[0] == pytest.approx(0.25, rel=0.15)
    assert fitted.stance_shift.tolist() == [[0, 0, 0]]


def test_paragraphs_without_the_topic_teach_nothing_of_its_stance() -> None:
    logits = np.random.default_rng(1).normal(size=(200, 1, 3))
    absent = calibrate(np.zeros((200, 1)), 4 * logits, _weak(np.zeros((200, 1))))
    assert absent.stance_scale[0] == pytest.approx(1.0)


def test_each_topic_is_fitted_by_itself() -> None:
    truth = np.linspace(-3, 3, 200)
    labels = 1 / (1 + np.exp(-truth))
    both = calibrate(np.stack([truth, 5 * truth], 1), np.zeros((200, 2, 3)), _weak(np.stack([labels, labels], 1)))
    alone = calibrate(truth[:, None], np.zeros((200, 1, 3)), _weak(labels[:, None]))
    assert both.topic_scale[0] == pytest.approx(alone.topic_scale[0])
    assert both.topic_scale[1] == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_kind_only_do_not_run_away(label: float) -> None:
    logits = np.random.default_rng(2).normal(size=(30, 1))
    fitted = calibrate(logits, np.zeros((30, 1, 3)), _weak(np.full((30, 1), label)))
    assert 0.04 < fitted.topic_scale[0] < 21
    assert abs(fitted.topic_shift[0]) < 10


def test_the_threshold_parts_two_clear_groups_in_the_middle() -> None:
    probability = np.array([0.1, 0.2, 0.8, 0.9])
    assert best_threshold(probability, np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0.5, abs=0.011)


def test_the_threshold_falls_where_missing_surely_costs_more_than_a_false_alarm() -> None:
    # Expected F1: choosing both 2 * 1.4 / 3.4 = 0.82, choosing the surer one 2 * 0.8 / 2.4 = 0.67.
    probability, target = np.array([0.3, 0.7]), np.array([0.6, 0.8])
    assert best_threshold(np.tile(probability, 200), np.tile(target, 200)) == pytest.approx(0.3)


def test_what_a_few_rows_cannot_tell_leaves_the_threshold_at_a_half() -> None:
    assert best_threshold(np.array([0.3, 0.7]), np.array([0.6, 0.8])) == pytest.approx(0.5)


@settings(max_examples=50)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=30))
def test_no_other_threshold_of_the_grid_does_better_by_more_than_chance(rows: list[tuple[float, float]]) -> None:
    probability, target = np.array(rows).reshape(-1, 2).T

    def score(threshold: float) -> float:
        chosen = probability >= threshold
        return 2 * float(target[chosen].sum()) / max(float(chosen.sum() + target.sum()), 1e-9)

    threshold = best_threshold(probability, target)
    assert 0.05 <= threshold <= 0.95
    best = max(score(t) for t in np.linspace(0.05, 0.95, 91))
    assert score(threshold) >= best - np.sqrt(best * (1 - best) / max(target.sum(), 1)) - 1e-9
