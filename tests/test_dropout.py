"""Dropout drawn as bytes is dropout: the share, the mean and the gradient are those of the definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel, PreTrainedModel

from training.dropout import byte_dropout, drop
from training.model import JointModel

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DRAWS = 600


def bert(*, hidden: float = 0.0, attention: float = 0.0) -> PreTrainedModel:
    config = BertConfig(
        vocab_size=90,
        max_position_embeddings=64,
        hidden_dropout_prob=hidden,
        attention_probs_dropout_prob=attention,
        **SMALL,
    )
    torch.manual_seed(5)
    model = BertModel(config, add_pooling_layer=False)
    for layer in model.encoder.layer:
        # Attention that prefers some tokens: with equal weights a wrong scale would hardly show.
        nn.init.normal_(layer.attention.self.query.weight, std=0.5)
        nn.init.normal_(layer.attention.self.key.weight, std=0.5)
    return model.train()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 90, (2, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def read(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    found: torch.Tensor = model(**inputs).last_hidden_state
    return found


@given(
    rate=st.sampled_from([0.05, 0.1, 0.3, 0.5]),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_a_value_is_zeroed_or_scaled_and_nothing_else(rate: float, shape: list[int], dtype: torch.dtype) -> None:
    values = torch.rand(shape).to(dtype) + 1
    found = drop(values, rate)
    scaled = values * (256 / (256 - round(rate * 256)))
    assert found.shape == values.shape
    assert found.dtype == dtype
    assert torch.all((found == 0) | torch.isclose(found, scaled, rtol=1e-2))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_share_that_is_dropped_is_the_rate_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    found = drop(torch.ones(1_000_003), rate)
    assert float((found == 0).float().mean()) == pytest.approx(rate, abs=0.004)
    assert float(found.mean()) == pytest.approx(1, abs=0.004)


def test_every_place_is_dropped_as_often_as_any_other() -> None:
    torch.manual_seed(0)
    # Eight bytes come with each number: its highest must be as even as its lowest.
    dropped = torch.stack([drop(torch.ones(16), 0.1) == 0 for _ in range(8000)]).float().mean(0)
    assert torch.all((dropped - 26 / 256).abs() < 0.02)


def test_the_gradient_goes_where_the_values_went() -> None:
    values = torch.rand(1000, requires_grad=True)
    found = drop(values, 0.1)
    found.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, found == 0)
    assert torch.allclose(values.grad * values, found)


def test_one_seed_gives_one_mask() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(7)
        masks.append(drop(torch.ones(999), 0.1))
    assert torch.equal(*masks)
    assert not torch.equal(masks[0], drop(torch.ones(999), 0.1))


def test_a_rate_of_nothing_leaves_all_and_one_of_all_is_refused() -> None:
    values = torch.rand(9)
    assert torch.equal(drop(values, 0.0), values)
    with pytest.raises(ValueError, match="rate of 1"):
        drop(values, 1.0)


@pytest.mark.parametrize("kind", ["hidden", "attention"])
def test_a_training_encoder_gives_on_average_what_torchs_dropout_gives(kind: str) -> None:
    rate, inputs = {kind: 0.3}, batch()
    many = {k: v.repeat_interleave(DRAWS, 0) for k, v in inputs.items()}
    seen = inputs["attention_mask"].bool()

    def moments(found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        draws = found.reshape(2, DRAWS, 11, -1).transpose(1, 2)[seen]
        return draws.mean(1), draws.std(1)

    encoder = bert(**rate)
    torch.manual_seed(2)
    with torch.no_grad():
        mean, deviation = moments(read(encoder, many))
        with byte_dropout(encoder):
            own_mean, own_deviation = moments(read(encoder, many))
    error = deviation.clamp(min=1e-3) * (2 / DRAWS) ** 0.5
    assert float(((own_mean - mean) / error).abs().max()) < 6
    assert torch.allclose(own_deviation, deviation, rtol=0.25, atol=0.01)


def test_without_dropout_a_training_encoder_says_what_it_says_otherwise() -> None:
    encoder, inputs = bert(attention=1e-9), batch()
    wanted = read(encoder.eval(), inputs)
    with byte_dropout(encoder):
        found = read(encoder.train(), inputs)
    assert torch.allclose(found[inputs["attention_mask"].bool()], wanted[inputs["attention_mask"].bool()], atol=1e-5)


def test_padding_is_never_attended_to() -> None:
    encoder, inputs = bert(attention=0.3), batch()
    other = {**inputs, "input_ids": inputs["input_ids"].where(inputs["attention_mask"].bool(), 42)}
    found = []
    with byte_dropout(encoder):
        for own in (inputs, other):
            torch.manual_seed(4)
            found.append(read(encoder, own)[1, :7])
    assert torch.equal(*found)


def test_the_joint_model_is_put_back_as_it_was_even_after_a_failure() -> None:
    model = JointModel(bert(hidden=0.1, attention=0.1), topics=2, functions=3)
    kinds = [type(m) for m in model.modules()]

    def fail() -> None:
        with byte_dropout(model):
            assert [type(m) for m in model.modules()] != kinds
            assert model.encoder.config._attn_implementation != "sdpa"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [type(m) for m in model.modules()] == kinds
    assert model.encoder.config._attn_implementation == "sdpa"


def test_outside_of_training_nothing_is_dropped() -> None:
    encoder, inputs = bert(hidden=0.3, attention=0.3).eval(), batch()
    wanted = read(encoder, inputs)
    with byte_dropout(encoder):
        assert torch.equal(read(encoder, inputs), wanted)


def test_an_encoder_with_masks_of_its_own_trains_to_what_it_says() -> None:
    """Every other layer sees its neighbours only."""
    torch.manual_seed(3)
    config = ModernBertConfig(
        vocab_size=90,
        local_attention=4,
        global_attn_every_n_layers=2,
        max_position_embeddings=64,
        pad_token_id=0,
        attention_dropout=1e-9,
        **SMALL,
    )
    encoder, inputs = ModernBertModel(config), batch()
    seen = inputs["attention_mask"].bool()
    wanted = read(encoder.eval(), inputs)[seen]
    with byte_dropout(encoder):
        found = read(encoder.train(), inputs)[seen]
    assert torch.allclose(found, wanted, atol=1e-4)
