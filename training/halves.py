"""An encoder cut in two above its frozen layers; both halves share its weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class _Through(nn.Module):
    """Stands for the embeddings where their and the lower layers' work is done."""

    def forward(self, *, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
        return inputs_embeds


@dataclass(frozen=True)
class Halves:
    """An encoder cut in two; both halves share its weights.

    Args:
        lower: the embeddings and the lowest layers.
        upper: the other layers; takes the lower half's output as ``inputs_embeds``.
    """

    lower: PreTrainedModel
    upper: PreTrainedModel


def cut(encoder: PreTrainedModel, layers: int) -> Halves | None:
    """Cut an encoder above its lowest layers; None where it is not built as BERT is.

    Args:
        encoder: the encoder; it is left as it is.
        layers: how many layers the lower half has.
    """
    stack: Any = getattr(encoder, "encoder", None)
    parts = {name for name, part in encoder.named_children() if part is not None}
    is_like_bert = isinstance(stack, nn.Module) and [name for name, _ in stack.named_children()] == ["layer"]
    if not is_like_bert or parts - {"embeddings", "encoder", "pooler"} or not 0 < layers < len(stack.layer):
        return None
    lower = _with(encoder, encoder=_with(stack, layer=stack.layer[:layers]))
    upper = _with(encoder, encoder=_with(stack, layer=stack.layer[layers:]), embeddings=_Through())
    return Halves(lower, upper)


def _with(module: Any, **parts: nn.Module) -> Any:
    twin = copy.copy(module)
    twin._modules = {**module._modules, **parts}
    return twin
