"""Bootstrap intervals are those of the contract's metrics, and the paired bootstrap tells better from noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.errors import InputError
from inference.metrics import evaluate_labels
from inference.taxonomy import Taxonomy, Topic
from training.bootstrap import Interval, Labels, compare, flat_intervals, intervals
from training.tracking import flat_metrics

TAXONOMY = Taxonomy(
    (
        Topic("arms_deal", "صفقات السلاح", "arms deals", "الصفقة"),
        Topic("peace_talks", "محادثات السلام", "peace talks", "المحادثات"),
    )
)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, Labels]:
    shape = (draw(st.integers(1, 12)), len(TAXONOMY))
    gold = draw(arrays(np.int64, shape, elements=st.integers(-1, 2)))
    present = draw(arrays(np.bool_, shape))
    return gold, Labels(present, draw(arrays(np.int64, shape, elements=st.integers(0, 2))))


def noisy(gold: np.ndarray, share: float, seed: int) -> Labels:
    """Labels that are right but for a share of the cells."""
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=gold.shape) < share
    stance = np.where(gold >= 0, gold, 2)
    return Labels((gold >= 0) ^ wrong, np.where(wrong, (stance + 1) % 3, stance))


def random_gold(rows: int = 300) -> np.ndarray:
    return np.random.default_rng(4).integers(-1, 3, size=(rows, 2))


@settings(max_examples=60)
@given(scored())
def test_the_value_is_the_contracts_metric(case: tuple[np.ndarray, Labels]) -> None:
    gold, labels = case
    metrics = evaluate_labels(TAXONOMY, gold=gold, present=labels.present, stance=labels.stance)
    found = intervals(TAXONOMY, gold=gold, labels=labels, resamples=2)
    wanted = flat_metrics(metrics, "m")
    wanted.pop("m.stance.n")
    assert {f"m.{k}": pytest.approx(v.value) for k, v in found.items() if f"m.{k}" in wanted} == wanted
    for topic, values in metrics["topics"]["per_topic"].items():
        assert found[f"{topic}.precision"].value == pytest.approx(values["precision"])
        assert found[f"{topic}.recall"].value == pytest.approx(values["recall"])


@settings(max_examples=60)
@given(scored())
def test_an_interval_is_in_order_and_between_nought_and_one(case: tuple[np.ndarray, Labels]) -> None:
    gold, labels = case
    for v in intervals(TAXONOMY, gold=gold, labels=labels, resamples=50).values():
        assert 0 <= v.lower <= v.upper <= 1


def test_a_draw_is_the_metric_of_the_paragraphs_drawn() -> None:
    gold = random_gold(40)
    labels = noisy(gold, 0.3, 1)
    counts = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), size=1)[0]
    rows = np.repeat(np.arange(40), counts)
    drawn = evaluate_labels(TAXONOMY, gold=gold[rows], present=labels.present[rows], stance=labels.stance[rows])
    found = intervals(TAXONOMY, gold=gold, labels=labels, seed=5, resamples=1)
    assert found["joint.macro_f1"].lower == pytest.approx(drawn["joint"]["macro_f1"])
    assert found["stance.accuracy"].lower == pytest.approx(drawn["stance"]["accuracy"])


def test_the_same_seed_gives_the_same_interval() -> None:
    gold = random_gold()
    labels = noisy(gold, 0.2, 1)
    assert intervals(TAXONOMY, gold=gold, labels=labels, seed=3) == intervals(
        TAXONOMY, gold=gold, labels=labels, seed=3
    )


def test_more_paragraphs_make_a_narrower_interval() -> None:
    few, many = random_gold(60), random_gold(1500)
    few_v, many_v = (
        intervals(TAXONOMY, gold=g, labels=noisy(g, 0.2, 2), resamples=400)["joint.macro_f1"] for g in (few, many)
    )
    assert many_v.upper - many_v.lower < (few_v.upper - few_v.lower) / 2


def test_a_perfect_model_has_no_interval_to_speak_of() -> None:
    gold = random_gold()
    assert intervals(TAXONOMY, gold=gold, labels=noisy(gold, 0, 0))["joint.macro_f1"] == Interval(1.0, 1.0, 1.0)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        correct = np.random.default_rng(seed).uniform(size=(200, 1)) < 0.7
        gold = np.zeros((200, 1), dtype=np.int64)
        labels = Labels(np.ones_like(correct), np.where(correct, 0, 1))
        one = Taxonomy(TAXONOMY.topics[:1])
        v = intervals(one, gold=gold, labels=labels, seed=seed, resamples=300)["stance.accuracy"]
        held += v.lower <= 0.7 <= v.upper
    assert 50 <= held <= 60


def test_a_model_is_never_better_than_itself() -> None:
    gold = random_gold()
    labels = noisy(gold, 0.2, 1)
    found = compare(TAXONOMY, gold=gold, first=labels, second=labels)["joint.macro_f1"]
    assert (found.value, found.lower, found.upper, found.better) == (0, 0, 0, 0.5)
    assert not found.beyond_noise


def test_a_much_better_model_is_better_beyond_noise_and_the_other_way_round_it_is_not() -> None:
    gold = random_gold()
    good, bad = noisy(gold, 0.1, 1), noisy(gold, 0.4, 2)
    assert compare(TAXONOMY, gold=gold, first=bad, second=good)["joint.macro_f1"].beyond_noise
    assert not compare(TAXONOMY, gold=gold, first=good, second=bad)["joint.macro_f1"].beyond_noise


def test_a_gain_of_one_paragraph_is_noise() -> None:
    gold = random_gold()
    labels = noisy(gold, 0.2, 1)
    wrong = int(np.flatnonzero((labels.present != (gold >= 0)).any(1))[0])
    present, stance = labels.present.copy(), labels.stance.copy()
    present[wrong], stance[wrong] = gold[wrong] >= 0, np.where(gold[wrong] >= 0, gold[wrong], 2)
    found = compare(TAXONOMY, gold=gold, first=labels, second=Labels(present, stance))["joint.macro_f1"]
    assert found.value > 0
    assert not found.beyond_noise


def test_pairing_sees_a_small_gain_that_two_intervals_hide() -> None:
    gold = random_gold(600)
    first = noisy(gold, 0.3, 1)
    mended = np.zeros(600, dtype=bool)
    mended[:60] = True
    present = np.where(mended[:, None], gold >= 0, first.present)
    stance = np.where(mended[:, None] & (gold >= 0), gold, first.stance)
    second = Labels(present, stance)
    one, other = (intervals(TAXONOMY, gold=gold, labels=x)["joint.macro_f1"] for x in (first, second))
    assert one.upper > other.lower
    assert compare(TAXONOMY, gold=gold, first=first, second=second)["joint.macro_f1"].beyond_noise


def test_empty_gold_is_refused() -> None:
    none = np.empty((0, 2), dtype=np.int64)
    with pytest.raises(InputError, match="gold is empty"):
        intervals(TAXONOMY, gold=none, labels=Labels(none.astype(bool), none))


def test_labels_of_other_paragraphs_are_refused() -> None:
    gold = random_gold(5)
    with pytest.raises(InputError, match="shape"):
        intervals(TAXONOMY, gold=gold, labels=noisy(random_gold(6), 0.1, 1))


def test_both_ends_are_named_after_the_metric() -> None:
    assert flat_intervals({"joint.macro_f1": Interval(0.5, 0.4, 0.6)}, "encoder") == {
        "encoder.joint.macro_f1.lower": 0.4,
        "encoder.joint.macro_f1.upper": 0.6,
    }
