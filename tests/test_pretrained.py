"""The fine-tuned model in transformers' own format, and the cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertModel

from inference import Predictor
from inference.encoder import EncoderEngine
from inference.errors import ModelFolderError
from inference.folder import read_manifest
from tests import tiny
from training.card import model_card
from training.pretrained import RasdModel, Reader

FOLDER = Path("models") / "encoder-transformers"
TEXTS = [tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT]


def test_the_saved_model_gives_the_logits_of_the_served_one(here: Path) -> None:
    model, read = RasdModel.from_pretrained(FOLDER).eval(), Reader.from_pretrained(FOLDER)
    scores = EncoderEngine(here / "models" / "encoder", Predictor("encoder").manifest).score(TEXTS)
    with torch.no_grad():
        output = model(**read(TEXTS))
    for i, score in enumerate(scores):
        np.testing.assert_allclose(output.topics[i].numpy(), score.topics, atol=1e-3)
        np.testing.assert_allclose(output.stance[i].numpy(), score.stance, atol=1e-3)


def test_transformers_own_auto_classes_load_it(here: Path) -> None:
    assert isinstance(AutoModel.from_pretrained(FOLDER), RasdModel)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    assert tokenizer(tiny.ARMS)["input_ids"] == Predictor("encoder")._engine._tokenizer.encode(tiny.ARMS).ids


def test_the_encoder_alone_becomes_a_plain_bert(here: Path, tmp_path: Path) -> None:
    model = RasdModel.from_pretrained(FOLDER)
    model.joint.encoder.save_pretrained(tmp_path)
    alone = BertModel.from_pretrained(tmp_path, add_pooling_layer=False).state_dict()
    assert all(torch.equal(alone[k], v) for k, v in model.joint.encoder.state_dict().items())


def test_a_folder_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="not a fine-tuned encoder"):
        Reader.from_pretrained(tmp_path)


@pytest.mark.parametrize("folder", ["encoder", "tfidf", "encoder-transformers"])
def test_the_card_tells_data_labels_metrics_with_intervals_limits_and_licence(here: Path, folder: str) -> None:
    card = (here / "models" / folder / "README.md").read_text("utf-8")
    kind = folder.removesuffix("-transformers")
    training = read_manifest(here / "models" / kind).training
    low, high = training["intervals"]["joint.macro_f1"]
    value = training["metrics"]["joint"]["macro_f1"]
    assert f"| joint.macro_f1 | {value:.3f} | {low:.3f} to {high:.3f} |" in card
    for word in ("Licence:", "## Limits", "Weak labels", "sha256 of the corpus", "`arms_deal`"):
        assert word in card
    assert ("from_pretrained" in card) == (folder == "encoder-transformers")


def test_the_card_says_where_people_labelled_some_of_the_training_paragraphs(here: Path) -> None:
    manifest = read_manifest(here / "models" / "encoder")
    assert "No training paragraph was labelled by hand." in model_card(manifest)
    taught = replace(manifest, training={**manifest.training, "clean": 60})
    assert "trained a little on 60 paragraphs that people labelled" in model_card(taught)
