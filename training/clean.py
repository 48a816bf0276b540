"""The optional second stage: a few more epochs on the handful of paragraphs that people labelled.

Weak labels teach the broad lines, a few clean ones where they err ("Weaker than you think", Zhu et al., ACL 2023).
Only gold's ``clean`` split is learned from, only when ``training.clean_epochs`` asks for it, and it is then left out of
the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from inference.errors import ConfigError
from inference.gold import GoldRecord, gold_matrix
from inference.lexicon import Matcher
from inference.taxonomy import STANCES, Taxonomy
from training.batches import Collator, build_dataset, use_bf16
from training.config import Config
from training.dropout import byte_dropout
from training.encoders import Encoder
from training.model import JointModel, joint_loss
from training.trainer import parameter_groups
from training.weak import WeakLabels

CLEAN = "clean"
_GENTLER = 0.25
"""The second stage's learning rates, as a share of the first one's: it corrects, it does not start over."""


def split_clean(gold: Sequence[GoldRecord], *, epochs: int) -> tuple[list[GoldRecord], list[GoldRecord]]:
    """Take the clean split out of gold where the second stage is on.

    Args:
        gold: all of it.
        epochs: of the second stage; 0 leaves gold whole.

    Returns:
        what to learn from, and what is left to evaluate on.

    Raises:
        ConfigError: where the second stage has nothing to learn from, or nothing is left to evaluate on.
    """
    if not epochs:
        return [], list(gold)
    clean, rest = ([r for r in gold if (r.split == CLEAN) is wanted] for wanted in (True, False))
    if not (clean and rest):
        raise ConfigError(
            f"training.clean_epochs={epochs}: gold has {len(clean)} records of split 'clean' and {len(rest)} others; "
            "both are needed, one to learn from and one to evaluate on. Set it to 0 to train on weak labels alone"
        )
    return clean, rest


def clean_labels(records: Sequence[GoldRecord], taxonomy: Taxonomy) -> WeakLabels:
    """Give gold in the form of weak labels, certain of everything."""
    matrix = gold_matrix(list(records), taxonomy)
    return WeakLabels((matrix >= 0).astype(np.float64), np.eye(len(STANCES))[np.maximum(matrix, 0)])


def refine(
    model: JointModel,
    encoder: Encoder,
    records: Sequence[GoldRecord],
    *,
    matcher: Matcher,
    taxonomy: Taxonomy,
    config: Config,
) -> None:
    """Train a fine-tuned model a little more on clean labels.

    Args:
        model: the fine-tuned model; it is changed.
        encoder: what it was made from.
        records: the clean split.
        matcher: the lexical functions that the model reads beside the tokens.
        taxonomy: the topics.
        config: for epochs, batch size and rates.
    """
    t = config.training
    data = build_dataset(
        encoder,
        [r.text for r in records],
        matcher,
        weak=clean_labels(records, taxonomy),
        max_tokens=config.encoder.max_tokens,
    )
    device = next(model.parameters()).device
    order = torch.Generator().manual_seed(config.seed)
    loader = DataLoader(
        data, batch_size=t.batch_size, shuffle=True, generator=order, collate_fn=Collator.of(data, encoder.pad_id)
    )
    groups = parameter_groups(model, t, share=_GENTLER)
    trained = [p for group in groups for p in group["params"]]
    optimiser = torch.optim.AdamW(groups)
    torch.manual_seed(config.seed)
    model.train()
    with byte_dropout(model):
        for epoch in range(t.clean_epochs):
            for batch in tqdm(loader, desc=f"Clean labels, epoch {epoch + 1} of {t.clean_epochs}"):
                on = {k: v.to(device) for k, v in batch.items()}
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_bf16(t.precision)):
                    output = model(on["input_ids"], on["attention_mask"], on["votes"])
                loss = joint_loss(output, on["topics"], on["stance"], stance_weight=t.stance_weight)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimiser.step()
    model.eval()
