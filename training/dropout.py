"""Dropout whose masks are drawn as bytes: on a processor, torch draws a number for each element, one after the other.

That drawing was more than a quarter of a fine-tuning step. A byte decides as well: eight come with each number, and a
rate that is a 256th is as good as any other. Elsewhere than on a processor dropout is torch's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "rasd_training"
_LEAST, _BYTES = -(2**63), 256
# What an attention may be asked for besides, and is not done by hand here.
_SPECIAL = ("position_bias", "softcap", "cache", "s_aux")


class ByteDropout(nn.Dropout):
    """Dropout that draws bytes while it trains on a processor; elsewhere torch's own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Zero a share ``p`` of the values, any shape."""
        if not self.training or input.device.type != "cpu":
            return super().forward(input)
        return drop(input, self.p)


class _Drop(torch.autograd.Function):
    """Zeroes what the bytes say and scales the rest, so that the mean stays."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor, dropped: int) -> torch.Tensor:
        context.scale = _BYTES / (_BYTES - dropped)
        kept = _draw(values, dropped)
        context.save_for_backward(kept)
        return _keep(values, kept, context.scale)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (kept,) = context.saved_tensors
        return _keep(gradients[0], kept, context.scale), None


def _draw(values: torch.Tensor, dropped: int) -> torch.Tensor:
    count = values.numel()
    numbers = torch.empty(-(-count // 8), dtype=torch.int64).random_(_LEAST, None)
    return numbers.view(torch.uint8)[:count].ge_(dropped).view(values.shape)


def _keep(values: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
    return (values * kept).mul_(scale)


def drop(values: torch.Tensor, rate: float) -> torch.Tensor:
    """Zero a share of the values at random and scale the others up (Srivastava et al., JMLR 2014).

    Args:
        values: any shape; on a processor.
        rate: the share, 0 to 1; it is rounded to 256ths.

    Raises:
        ValueError: where nothing would be left.
    """
    dropped = round(rate * _BYTES)
    if not 0 <= dropped < _BYTES:
        raise ValueError(f"a rate of {rate} cannot be dropped: 0 to {1 - 0.5 / _BYTES:.3f} can")
    return _Drop.apply(values, dropped) if dropped else values  # type: ignore[no-untyped-call]


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers asks for; by hand where weights are dropped on a processor, whose kernel cannot."""
    is_plain = (
        query.shape[1] == key.shape[1]
        and (mask is None or mask.dtype == torch.bool)
        and not (rest.get("is_causal") or getattr(module, "is_causal", False))
        and all(rest.get(name) is None for name in _SPECIAL)
    )
    if not dropout or query.device.type != "cpu" or not is_plain:
        rest |= {"dropout": dropout, "scaling": scaling}
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **rest)
        return found
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(2, 3))
    if mask is not None:
        # Made once for all heads.
        least = torch.finfo(scores.dtype).min
        scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, least)
    weights = drop(scores.softmax(-1), dropout)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


@contextmanager
def byte_dropout(model: nn.Module) -> Iterator[None]:
    """Let a model draw its dropout as bytes meanwhile.

    An encoder that does not take its attention from transformers' interface keeps its own there.

    Args:
        model: an encoder, or what holds one; it is changed and put back.
    """
    encoder = next(m for m in model.modules() if isinstance(m, PreTrainedModel))
    layers = [m for m in model.modules() if type(m) is nn.Dropout]
    before = encoder.config._attn_implementation
    swaps = before == "sdpa" and encoder._supports_attention_backend
    for layer in layers:
        layer.__class__ = ByteDropout
    if swaps:
        AttentionInterface.register(_NAME, _attend)
        AttentionMaskInterface.register(_NAME, sdpa_mask)
        encoder.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.Dropout
        if swaps:
            encoder.set_attn_implementation(before)
