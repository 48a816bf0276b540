"""Rasd's fine-tuning on a public stance data set: target and text read as one pair, the joint model with one head."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from benchmarks.public_data import Pair, Task
from inference.text import clean
from training.batches import predict_logits
from training.config import Config, load_config
from training.encoders import Encoder, load_encoder
from training.finetune import finetune
from training.weak import WeakLabels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """How the encoder is fine-tuned; found on the dev splits.

    Args:
        epochs: passes over train; the best by dev loss is kept.
        learning_rate: of the encoder.
        freeze_layers: so many lowest layers, and the embeddings, stay as pretrained.
        batch_size: pairs in a step.
        rare: power of the inverse class shares by which rows count; 0 counts all alike.
        swap: whether every pair is also read the other way round.
    """

    epochs: float
    learning_rate: float
    freeze_layers: int = 0
    batch_size: int = 16
    rare: float = 0.0
    swap: bool = False

    def config(self, encoder: str) -> Config:
        """Give the settings that Rasd's own training reads."""
        values = {
            "training.epochs": self.epochs,
            "training.learning_rate": self.learning_rate,
            "training.freeze_layers": self.freeze_layers,
            "training.batch_size": self.batch_size,
        }
        return load_config(None, [f"encoder.name={encoder}", *(f"{k}={v}" for k, v in values.items())])


def encode_pairs(encoder: Encoder, rows: Sequence[Pair], *, max_tokens: int = 192) -> Dataset:
    """Make the data set that the Trainer reads: token ids of target and text, no votes."""
    encoder.tokenizer.enable_truncation(max_tokens, strategy="only_second")
    encoded = encoder.tokenizer.encode_batch([(encoder.prefix + clean(r.target), clean(r.text)) for r in rows])
    encoder.tokenizer.no_truncation()
    ids = [e.ids for e in encoded]
    return Dataset.from_dict({"input_ids": ids, "votes": [[] for _ in ids], "length": [len(i) for i in ids]})


def soft_labels(rows: Sequence[Pair], classes: int, *, rare: float) -> WeakLabels:
    """Give the labels as the joint model reads them: one topic that is always there, and a stance that weighs.

    Args:
        rows: the examples.
        classes: how many labels.
        rare: see :class:`Recipe`.
    """
    labels = np.array([r.label for r in rows])
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    weights = (len(rows) / (classes * counts)) ** rare
    stance = np.eye(classes)[labels] * (weights / (weights * counts / len(rows)).sum())
    return WeakLabels(np.ones((len(rows), 1)), stance[:, None, :])


def _with_labels(data: Dataset, labels: WeakLabels) -> Dataset:
    data = data.add_column("topics", labels.topics.astype(np.float32).tolist())
    return data.add_column("stance", labels.stance.astype(np.float32).tolist())


def fit_encoder(task: Task, recipe: Recipe, *, encoder: str = "embedded", seed: int = 13) -> tuple[str, Floats, Floats]:
    """Fine-tune on a task's train, choose the epoch on its dev.

    Args:
        task: the data set.
        recipe: how.
        encoder: what :func:`training.encoders.load_encoder` takes.
        seed: of order and dropout.

    Returns:
        name of the base, and the probabilities of dev and test, of shape ``(rows, labels)``.

    Raises:
        EncoderUnavailableError: where the encoder cannot be had.
    """
    base, classes = load_encoder(encoder), len(task.labels)
    rows = list(task.train)
    if recipe.swap:
        rows += [Pair(r.text, r.target, r.label, r.group) for r in task.train]
    labels = soft_labels(rows, classes, rare=recipe.rare)
    train = _with_labels(encode_pairs(base, rows), labels)
    dev = _with_labels(encode_pairs(base, task.dev), soft_labels(task.dev, classes, rare=recipe.rare))
    config = recipe.config(encoder).model_copy(update={"seed": seed})
    with tempfile.TemporaryDirectory() as work:
        model = finetune(base, train, dev, labels=labels, config=config, work=Path(work))
    parts = [dev, encode_pairs(base, task.test)]
    chances = [_softmax(predict_logits(model, d, pad_id=base.pad_id)[1][:, 0]) for d in parts]
    return base.label, chances[0], chances[1]


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))
