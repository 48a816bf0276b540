"""The label model as a second expert: what is read off it is what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import tiny
from training.encoders import load_encoder
from training.expert import topic_expert
from training.labeling import Applier
from training.model import JointModel
from training.topics import load_watch_list
from training.weak import WeakModel, fit_weak_model


@pytest.fixture(scope="module")
def weak_model() -> WeakModel:
    watch_list = load_watch_list(tiny.ROOT / "configs" / "topics.yaml")
    applier = Applier(watch_list)
    return fit_weak_model(applier.apply(tiny.corpus()).matrix, applier.functions, watch_list.taxonomy)


def test_it_gives_the_label_models_log_odds_for_any_votes(weak_model: WeakModel) -> None:
    expert = topic_expert(weak_model)
    lexical = [j for j, f in enumerate(weak_model.functions) if f.kind == "lexical"]
    rng = np.random.default_rng(0)
    fired = rng.random((50, len(lexical))) < 0.05
    votes = np.full((50, len(weak_model.functions)), -1, dtype=np.int8)
    for column, j in enumerate(lexical):
        votes[fired[:, column], j] = weak_model.functions[j].polarity[0]
    share = weak_model.predict(votes, skip_kinds=("metadata",)).topics
    odds = fired @ expert.weights.T + expert.bias
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(share, abs=1e-6)


def test_it_speaks_when_the_model_is_served_and_not_while_it_trains(weak_model: WeakModel, tmp_path: Path) -> None:
    expert = topic_expert(weak_model)
    count = expert.weights.shape[1]
    model = JointModel(load_encoder(str(tiny.bert_folder(tmp_path))).model, topics=3, functions=count, dropout=0.0)
    ids, votes = torch.tensor([[2, 7, 8, 3]]), torch.zeros(1, count)
    model.eval().training = True  # training as a whole, without the encoder's own dropout
    before = model(ids, torch.ones_like(ids), votes).topics
    model.consult(expert, share=1.0)
    assert torch.equal(model(ids, torch.ones_like(ids), votes).topics, before)
    odds = torch.tensor(expert.bias, dtype=torch.float32).clamp(-9.21, 9.21)
    served = model.eval()(ids, torch.ones_like(ids), votes).topics[0]
    assert torch.allclose(served, (before[0] + odds) / 2, atol=1e-4)
