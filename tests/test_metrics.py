"""The metrics of the contract: an example worked out by hand, and agreement with scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from inference.metrics import evaluate_labels
from inference.taxonomy import Taxonomy, Topic

FAVOR, AGAINST, NEUTRAL, ABSENT = 0, 1, 2, -1
TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("diplomacy", "", "", "")))
GOLD = np.array([[FAVOR, ABSENT], [AGAINST, NEUTRAL], [ABSENT, NEUTRAL], [ABSENT, ABSENT]])
PRESENT = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=bool)
STANCE = np.array([[FAVOR, FAVOR], [NEUTRAL, NEUTRAL], [FAVOR, AGAINST], [FAVOR, FAVOR]])


def _evaluate(gold: Any = GOLD, present: Any = PRESENT, stance: Any = STANCE) -> dict[str, Any]:
    return evaluate_labels(TAXONOMY, gold=gold, present=present, stance=stance)


def test_topics_are_scored_one_by_one_and_over_all() -> None:
    # arms_deal: right in rows 0 and 1. diplomacy: gold in 1 and 2, predicted in 0 and 2. In all 3 hits of 4 and 4.
    assert _evaluate()["topics"] == {
        "macro_f1": 0.75,
        "micro_f1": 0.75,
        "per_topic": {
            "arms_deal": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2},
            "diplomacy": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        },
    }


def test_stance_is_scored_on_every_gold_topic_whatever_topics_were_predicted() -> None:
    # Gold favor, against, neutral, neutral; predicted favor, neutral, neutral, against: F1 of 1, 0 and 1/2.
    assert _evaluate()["stance"] == {"macro_f1": 0.5, "accuracy": 0.5, "n": 4}
    assert _evaluate(present=np.zeros_like(PRESENT))["stance"] == _evaluate()["stance"]


def test_joint_labels_need_the_topic_and_its_stance() -> None:
    # All six labels occur in gold or in the predictions, and only (arms_deal, favor) is right.
    assert _evaluate()["joint"] == {"macro_f1": pytest.approx(1 / 6)}


def test_a_label_that_nobody_gave_is_not_counted() -> None:
    gold, present = np.array([[FAVOR, ABSENT]]), np.array([[True, False]])
    metrics = _evaluate(gold, present, np.array([[FAVOR, FAVOR]]))
    assert [metrics[part]["macro_f1"] for part in ("topics", "stance", "joint")] == [1, 1, 1]


def test_a_perfect_model_scores_one_everywhere() -> None:
    metrics = _evaluate(present=GOLD >= 0, stance=np.maximum(GOLD, 0))
    assert [metrics[part]["macro_f1"] for part in ("topics", "stance", "joint")] == [1, 1, 1]


@pytest.mark.parametrize("rows", [0, 3])
def test_without_any_label_all_is_nought_and_nothing_fails(rows: int) -> None:
    metrics = _evaluate(np.full((rows, 2), ABSENT), np.zeros((rows, 2), bool), np.zeros((rows, 2), int))
    assert metrics["n"] == rows
    assert metrics["stance"] == {"macro_f1": 0.0, "accuracy": 0.0, "n": 0}
    assert metrics["topics"]["macro_f1"] == metrics["topics"]["micro_f1"] == metrics["joint"]["macro_f1"] == 0.0


def test_the_object_is_plain_json() -> None:
    assert json.loads(json.dumps(_evaluate())) == _evaluate()


@settings(max_examples=60)
@given(data=st.data(), rows=st.integers(1, 25))
def test_the_scores_are_those_of_scikit_learn(data: st.DataObject, rows: int) -> None:
    def draw(low: int, high: int) -> Any:
        return np.array(data.draw(st.lists(st.tuples(*[st.integers(low, high)] * 2), min_size=rows, max_size=rows)))

    gold, present, stance = draw(-1, 2), draw(0, 1).astype(bool), draw(0, 2)
    ours = _evaluate(gold, present, stance)
    known = gold >= 0
    nan: dict[str, Any] = {"zero_division": np.nan}
    macro = f1_score(known, present, average="macro", **nan)
    assert ours["topics"]["macro_f1"] == pytest.approx(np.nan_to_num(macro))
    assert ours["topics"]["micro_f1"] == pytest.approx(f1_score(known, present, average="micro", zero_division=0))
    each = f1_score(known, present, average=None, zero_division=0)
    assert [t["f1"] for t in ours["topics"]["per_topic"].values()] == pytest.approx(each.tolist())
    if known.any():
        theirs = f1_score(gold[known], stance[known], average="macro", labels=[0, 1, 2], **nan)
        assert ours["stance"]["macro_f1"] == pytest.approx(theirs)
        assert ours["stance"]["accuracy"] == pytest.approx(accuracy_score(gold[known], stance[known]))
    labels = [(gold[:, t] == s, present[:, t] & (stance[:, t] == s)) for t in range(2) for s in range(3)]
    joint = f1_score(*(np.stack(side, axis=1) for side in zip(*labels, strict=True)), average="macro", **nan)
    assert ours["joint"]["macro_f1"] == pytest.approx(np.nan_to_num(joint))
