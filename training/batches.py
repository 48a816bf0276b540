"""Texts as batches of tensors: tokenising, padding to the batch, precision, and scoring without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from inference.encoder_text import encoder_view
from inference.lexicon import ABSTAIN, Matcher
from training.encoders import Encoder
from training.model import JointModel
from training.weak import WeakLabels

_MULTIPLE = 16


@dataclass(frozen=True)
class Collator:
    """Pads a batch to its own longest text, or little more.

    Args:
        pad_id: token id of padding.
        most: tokens of the longest text that may come; batches are then padded to multiples of 16 tokens, up to it.
            A processor's kernels are made and kept for each length that they meet: of 180 lengths they take twice the
            memory that they take of 12.
    """

    pad_id: int
    most: int = 0

    @classmethod
    def of(cls, data: Dataset, pad_id: int) -> Collator:
        """Make the one that fits a data set of :func:`build_dataset`."""
        return cls(pad_id, most=max(data["length"][:], default=0))

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make tensors of rows of token ids and weak labels."""
        longest = max(len(r["input_ids"]) for r in rows)
        length = max(longest, min(-(-longest // _MULTIPLE) * _MULTIPLE, self.most))
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[i, : len(row["input_ids"])] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        batch["votes"] = torch.tensor(np.array([r["votes"] for r in rows]), dtype=torch.float32)
        if "topics" in rows[0]:
            batch["topics"] = torch.tensor(np.array([r["topics"] for r in rows]), dtype=torch.float32)
            batch["stance"] = torch.tensor(np.array([r["stance"] for r in rows]), dtype=torch.float32)
        return batch


def tokenise_texts(encoder: Encoder, texts: Sequence[str], *, max_tokens: int) -> list[list[int]]:
    """Give the token ids of texts, cut to the window; serving reads longer ones in several windows instead."""
    encoder.tokenizer.enable_truncation(max_tokens)
    encoded = encoder.tokenizer.encode_batch([encoder.prefix + encoder_view(encoder.text, t).text for t in texts])
    encoder.tokenizer.no_truncation()
    return [e.ids for e in encoded]


def build_dataset(
    encoder: Encoder, texts: Sequence[str], matcher: Matcher, *, weak: WeakLabels | None = None, max_tokens: int
) -> Dataset:
    """Make the Arrow data set that the Trainer reads.

    Args:
        encoder: for its tokenizer.
        texts: the paragraphs.
        matcher: the lexical labelling functions, whose firing the model reads beside the tokens.
        weak: their weak labels; None for texts that are only predicted.
        max_tokens: the window.
    """
    columns: dict[str, Any] = {"input_ids": tokenise_texts(encoder, texts, max_tokens=max_tokens)}
    columns["votes"] = (matcher.votes(texts) != ABSTAIN).astype(np.uint8).tolist()
    if weak is not None:
        columns["topics"] = weak.topics.astype(np.float32).tolist()
        columns["stance"] = weak.stance.astype(np.float32).tolist()
    data = Dataset.from_dict(columns)
    return data.add_column("length", [len(i) for i in columns["input_ids"]])


def use_bf16(precision: str) -> bool:
    """Say whether to train in bf16: asked for, or the processor or GPU has it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


@torch.no_grad()
def predict_logits(model: JointModel, data: Dataset, *, pad_id: int, batch_size: int = 32) -> tuple[Any, Any]:
    """Give the logits of a data set, in its order.

    Returns:
        topics of shape ``(rows, topics)`` and stance of shape ``(rows, topics, 3)``, float64.
    """
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(np.asarray(data["length"][:]), kind="stable")
    loader = DataLoader(
        data.select(order).select_columns(["input_ids", "votes"]),
        batch_size=batch_size,
        collate_fn=Collator.of(data, pad_id),
    )
    topics, stance = [], []
    for batch in tqdm(loader, desc="Predicting", leave=False):
        output = model(*(batch[k].to(device) for k in ("input_ids", "attention_mask", "votes")))
        topics.append(output.topics.float().cpu().numpy())
        stance.append(output.stance.float().cpu().numpy())
    back = np.argsort(order, kind="stable")
    return np.concatenate(topics).astype(np.float64)[back], np.concatenate(stance).astype(np.float64)[back]
