"""The optional second stage on clean labels: what it takes from gold, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.errors import ConfigError
from inference.gold import GoldRecord
from inference.lexicon import LexicalFunction, Matcher
from inference.taxonomy import Taxonomy, Topic
from tests import tiny
from training.batches import build_dataset, predict_logits
from training.clean import clean_labels, refine, split_clean
from training.config import Config, TrainingConfig
from training.encoders import Encoder
from training.model import JointModel
from training.weak import WeakLabels

TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("peace_talks", "", "", "")))
GOLD = [
    GoldRecord("1", tiny.ARMS, {"arms_deal": "neutral"}, "clean"),
    GoldRecord("2", tiny.TALKS, {"peace_talks": "favor"}, "clean"),
    GoldRecord("3", tiny.SPORT, {}, "test"),
]


def test_it_is_off_unless_asked_for_and_gold_stays_whole():
    assert Config().training.clean_epochs == 0
    assert split_clean(GOLD, epochs=0) == ([], GOLD)


def test_what_is_learned_from_is_not_evaluated_on():
    clean, rest = split_clean(GOLD, epochs=2)
    assert [r.id for r in clean] == ["1", "2"]
    assert [r.id for r in rest] == ["3"]


@pytest.mark.parametrize("gold", [GOLD[:2], GOLD[2:]])
def test_gold_of_one_split_alone_is_refused_with_what_to_do(gold):
    with pytest.raises(ConfigError, match=r"clean_epochs=1.*Set it to 0"):
        split_clean(gold, epochs=1)


def test_gold_becomes_labels_that_are_certain():
    labels = clean_labels(GOLD, TAXONOMY)
    assert labels.topics.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert labels.stance[0, 0].tolist() == [0, 0, 1]
    assert labels.stance[1, 1].tolist() == [1, 0, 0]


def certainty(logits: tuple[np.ndarray, np.ndarray], labels: WeakLabels) -> float:
    """Mean probability of what is right, over topics and over the stances of those that are there."""
    present = 1 / (1 + np.exp(-logits[0]))
    stance = np.exp(logits[1]) / np.exp(logits[1]).sum(-1, keepdims=True)
    right = np.where(labels.topics == 1, present, 1 - present)
    return float(np.concatenate([right.ravel(), (stance * labels.stance).sum(-1)[labels.topics == 1]]).mean())


def test_it_moves_the_model_towards_the_clean_labels(tmp_path):
    from transformers import BertModel

    tokenizer = tiny.tokenizer([tiny.ARMS, tiny.TALKS, tiny.SPORT])
    bert = BertModel.from_pretrained(tiny.bert_folder(tmp_path / "bert"), add_pooling_layer=False)
    encoder = Encoder(bert.eval(), tokenizer, "tiny", "tiny", "", 0)
    torch.manual_seed(0)
    model = JointModel(bert, topics=2, functions=1)
    matcher = Matcher([LexicalFunction("f", "arms_deal", "yes", terms=("صواريخ",))])
    config = Config(training=TrainingConfig(clean_epochs=20, head_learning_rate=0.02, precision="fp32", batch_size=2))
    labels = clean_labels(GOLD[:2], TAXONOMY)
    data = build_dataset(encoder, [r.text for r in GOLD[:2]], matcher, max_tokens=48)
    before = certainty(predict_logits(model, data, pad_id=0), labels)
    refine(model, encoder, GOLD[:2], matcher=matcher, taxonomy=TAXONOMY, config=config)
    after = certainty(predict_logits(model, data, pad_id=0), labels)
    assert after > before + 0.05
    assert not model.training
