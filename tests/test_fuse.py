"""The exported graph has its attention in one node a layer, and says what the model says."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel, PreTrainedModel, RobertaConfig
from transformers import RobertaModel as Roberta

from training.export import write_onnx
from training.model import JointModel

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FUNCTIONS = 7


def bert() -> PreTrainedModel:
    return BertModel(BertConfig(vocab_size=90, max_position_embeddings=128, **SMALL), add_pooling_layer=False)


def roberta() -> PreTrainedModel:
    config = RobertaConfig(vocab_size=90, max_position_embeddings=130, pad_token_id=1, **SMALL)
    return Roberta(config, add_pooling_layer=False)


def sliding() -> PreTrainedModel:
    """Every other layer sees its neighbours only, which the fused node does not know of."""
    return ModernBertModel(
        ModernBertConfig(
            vocab_size=90,
            local_attention=16,
            global_attn_every_n_layers=2,
            max_position_embeddings=128,
            pad_token_id=0,
            **SMALL,
        )
    )


def joint(encoder: PreTrainedModel) -> JointModel:
    torch.manual_seed(3)
    model = JointModel(encoder, topics=2, functions=FUNCTIONS)
    for part in (model.query, model.topic_weight, model.stance_weight, model.topic_votes):
        torch.nn.init.normal_(part, std=0.3)
    return model.eval()


def answers(model: JointModel, path: Path, tokens: int) -> list[tuple[np.ndarray, np.ndarray]]:
    ids = torch.randint(5, 90, (1, tokens))
    votes = (torch.arange(FUNCTIONS)[None] % 2).float()
    with torch.no_grad():
        wanted = model(ids, torch.ones_like(ids), votes)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"input_ids": ids.numpy(), "votes": votes.numpy()})
    exact = (wanted.topics, wanted.stance, wanted.contributions)
    return [(np.asarray(f), e.numpy()) for f, e in zip(found, exact, strict=True)]


def kinds(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("make", [bert, roberta])
def test_a_layers_attention_is_one_node_that_reads_one_product(make: object, tmp_path: Path) -> None:
    write_onnx(joint(make()), tmp_path / "model.onnx")  # type: ignore[operator]
    found = kinds(tmp_path / "model.onnx")
    assert found["MultiHeadAttention"] == 2
    # A layer is four products: query, key and value together; attention out; in and out of the inner layer.
    assert found["MatMul"] == 2 * 4
    assert found["Softmax"] == 1, "only the topics' own attention is left in plain operations"


@pytest.mark.parametrize("make", [bert, roberta, sliding])
@pytest.mark.parametrize("tokens", [2, 24, 100])
def test_the_graph_says_what_the_model_says(make: object, tokens: int, tmp_path: Path) -> None:
    model = joint(make())  # type: ignore[operator]
    write_onnx(model, tmp_path / "model.onnx")
    for found, exact in answers(model, tmp_path / "model.onnx", tokens):
        np.testing.assert_allclose(found, exact, atol=1e-4)


def test_an_encoder_whose_layers_need_a_mask_is_not_fused_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        write_onnx(joint(sliding()), tmp_path / "model.onnx")
    assert kinds(tmp_path / "model.onnx")["MultiHeadAttention"] == 0
    assert "cannot be fused" in caplog.text


def test_the_encoder_keeps_the_attention_that_it_had(tmp_path: Path) -> None:
    model = joint(bert())
    before = model.encoder.config._attn_implementation
    write_onnx(model, tmp_path / "model.onnx")
    assert model.encoder.config._attn_implementation == before
