"""Fine-tunes the joint model on weak labels with the transformers Trainer: CPU, one GPU or several, unchanged."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from training.batches import Collator, use_bf16
from training.config import Config
from training.encoders import Encoder
from training.model import JointModel, joint_loss
from training.probe import mean_features, probe_heads
from training.weak import WeakLabels

log = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]


class JointTrainer(Trainer):
    """The Trainer with the noise-aware loss, and a learning rate of its own for the heads."""

    def __init__(self, *, config: Config, **rest: Any) -> None:
        super().__init__(**rest)
        self._config = config

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Give the loss of a batch."""
        output = model(inputs["input_ids"], inputs["attention_mask"], inputs["votes"])
        return joint_loss(output, inputs["topics"], inputs["stance"], stance_weight=self._config.training.stance_weight)

    def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, None, None]:
        """Give the loss of a validation batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, inputs).detach(), None, None

    def create_optimizer(self, *_: Any) -> torch.optim.Optimizer:
        """Make AdamW with one rate for the encoder and one for the heads."""
        t = self._config.training
        encoder: list[torch.nn.Parameter] = []
        heads: list[torch.nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                (encoder if name.startswith("encoder.") else heads).append(parameter)
        groups = [
            {"params": encoder, "lr": t.learning_rate, "weight_decay": t.weight_decay},
            {"params": heads, "lr": t.head_learning_rate, "weight_decay": t.weight_decay},
        ]
        self.optimizer = torch.optim.AdamW(groups)
        return self.optimizer


def finetune(
    encoder: Encoder,
    train: Dataset,
    validation: Dataset,
    *,
    labels: WeakLabels,
    config: Config,
    work: Path,
    callbacks: Sequence[TrainerCallback] = (),
    resume: bool = False,
) -> JointModel:
    """Fine-tune and give the model of the best validation loss.

    Args:
        encoder: the pretrained encoder; it is changed.
        train: from :func:`build_dataset`, with weak labels.
        validation: likewise; held-out weakly labelled paragraphs.
        labels: weak labels of ``train``, from which the heads start.
        config: the run's configuration.
        work: folder for checkpoints.
        callbacks: extra Trainer callbacks, such as the run's metrics.
        resume: go on from the newest whole checkpoint in ``work``, if there is one.
    """
    t = config.training
    set_seed(config.seed)
    votes = np.asarray(train["votes"][:], dtype=np.float64)
    model = JointModel(encoder.model, topics=labels.topics.shape[1], functions=votes.shape[1])
    checkpoint = _checkpoint(work) if resume else None
    if checkpoint is None:
        features = mean_features(model, train, pad_id=encoder.pad_id, precision=t.precision)
        probe_heads(model, features, votes, weak=labels)
    freeze(model, t.freeze_layers)
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=t.epochs,
        per_device_train_batch_size=t.batch_size,
        per_device_eval_batch_size=t.batch_size,
        warmup_steps=t.warmup,
        lr_scheduler_type="linear",
        bf16=use_bf16(t.precision),
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=10,
        remove_unused_columns=False,
        label_names=["topics", "stance"],
        report_to=[],
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = JointTrainer(
        config=config,
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=Collator(encoder.pad_id),
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    # Mixed precision wraps the forward pass; what is exported and scored is the plain fp32 model.
    plain: JointModel = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    return plain.eval()


def freeze(model: JointModel, layers: int) -> None:
    """Keep the embeddings and the lowest layers as they were pretrained; 0 freezes nothing."""
    if not layers:
        return
    for name, parameter in model.encoder.named_parameters():
        parts = name.split(".")
        is_low = "layer" in parts and int(parts[parts.index("layer") + 1]) < layers
        if name.startswith("embeddings.") or is_low:
            parameter.requires_grad = False


def _checkpoint(work: Path) -> str | None:
    found = sorted(work.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    # The trainer state is written last: a checkpoint without it was cut off while being saved.
    whole = [p for p in found if (p / "trainer_state.json").exists()]
    return str(whole[-1]) if whole else None
