"""Linear probing before fine-tuning (Kumar et al., ICLR 2022): the heads start from a solved linear problem.

Fresh random heads would first pull the pretrained features out of shape; heads that already fit leave fine-tuning to
do only what a linear layer cannot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from training.batches import Collator, use_bf16
from training.frozen import ROW, StateCollator, States
from training.model import JointModel
from training.weak import WeakLabels

FloatArray = npt.NDArray[np.float64]
# On standardised features of a few hundred dimensions and a few thousand soft labels, this much is mild.
_INVERSE_STRENGTH = 0.01
_LEAST_WEIGHT = 1e-5
# A vote tells far more than one of hundreds of dimensions: it is held back less by the penalty.
_VOTE_SCALE = 6.0


@torch.no_grad()
def mean_features(
    model: JointModel, data: Dataset, *, pad_id: int, precision: str, states: States | None = None, batch_size: int = 32
) -> FloatArray:
    """Give the mean of each text's token vectors, shape ``(rows, hidden)``, in the data's order.

    Args:
        model: its encoder is read.
        data: the texts' tokens.
        pad_id: token id of padding.
        precision: as configured.
        states: the frozen layers' output over the data, where it was kept.
        batch_size: texts read at once.
    """
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(np.asarray(data["length"][:]), kind="stable")
    columns = ["input_ids", "votes"] if states is None else ["input_ids", "votes", ROW]
    plain = Collator.of(data, pad_id)
    collator = plain if states is None else StateCollator(plain, states)
    loader = DataLoader(data.select(order).select_columns(columns), batch_size=batch_size, collate_fn=collator)
    features = []
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_bf16(precision)):
        for batch in tqdm(loader, desc="Features for the heads"):
            batch = {k: v.to(device) for k, v in batch.items()}
            mask = batch["attention_mask"]
            hidden = model.encode(batch["input_ids"], mask, batch.get("states"))
            share = (mask / mask.sum(1, keepdim=True)).unsqueeze(-1)
            features.append((hidden.float() * share).sum(1).cpu().numpy())
    return np.concatenate(features).astype(np.float64)[np.argsort(order, kind="stable")]


def probe_heads(model: JointModel, features: FloatArray, votes: FloatArray, *, weak: WeakLabels) -> None:
    """Set the heads of the model to logistic regressions on its frozen features.

    Args:
        model: its mean-pooled head weights are set, the others to zero.
        features: shape ``(rows, hidden)``, from :func:`mean_features`.
        votes: shape ``(rows, functions)``; 1.0 where a labelling function fires.
        weak: weak labels of the rows.
    """
    hidden = features.shape[1]
    mean = np.concatenate([features.mean(0), np.zeros(votes.shape[1])])
    spread = np.concatenate([features.std(0) + 1e-6, np.full(votes.shape[1], 1 / _VOTE_SCALE)])
    standard = (np.concatenate([features, votes], axis=1) - mean) / spread
    with torch.no_grad():
        model.topic_weight.zero_()
        model.stance_weight.zero_()
        for i in range(weak.topics.shape[1]):
            present = weak.topics[:, i]
            weight, bias = _solve(standard, np.stack([1 - present, present], axis=1))
            weight, bias = weight[-1:] / spread, bias[-1:] - (weight[-1:] / spread) @ mean
            model.topic_weight[i, 1] = torch.from_numpy(weight[0, :hidden])
            model.topic_votes[i] = torch.from_numpy(weight[0, hidden:])
            model.topic_bias[i] = float(bias[0])
            weight, bias = _solve(standard, weak.stance[:, i] * present[:, None])
            weight, bias = weight / spread, bias - (weight / spread) @ mean
            model.stance_weight[i, :, 1] = torch.from_numpy(weight[:, :hidden])
            model.stance_votes[i] = torch.from_numpy(weight[:, hidden:])
            model.stance_bias[i] = torch.from_numpy(bias)


def _solve(features: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    classes = shares.shape[1]
    model = LogisticRegression(C=_INVERSE_STRENGTH, max_iter=1000)
    model.fit(
        np.concatenate([features] * classes),
        np.repeat(np.arange(classes), len(features)),
        sample_weight=np.maximum(shares.T.ravel(), _LEAST_WEIGHT),
    )
    return model.coef_, model.intercept_
