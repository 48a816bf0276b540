"""The transformers Trainer as the joint model needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer

from training.config import Config, TrainingConfig
from training.model import joint_loss
from training.sampling import EpochSampler, SetEpoch


def parameter_groups(model: torch.nn.Module, t: TrainingConfig, *, share: float = 1.0) -> list[dict[str, Any]]:
    """Give what is trained of a model, the encoder and the heads each with a rate of its own.

    Args:
        model: the joint model; what is frozen is left out.
        t: the rates and the weight decay.
        share: of the rates, for a stage that is to go more gently.
    """
    encoder: list[torch.nn.Parameter] = []
    heads: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (encoder if name.startswith("encoder.") else heads).append(parameter)
    return [
        {"params": encoder, "lr": share * t.learning_rate, "weight_decay": t.weight_decay},
        {"params": heads, "lr": share * t.head_learning_rate, "weight_decay": t.weight_decay},
    ]


class JointTrainer(Trainer):
    """The Trainer with the noise-aware loss, a learning rate of its own for the heads, and an order to go on in.

    Args:
        config: the run's configuration.
        sampler: the order of the training paragraphs.
        collators: of the training and the validation set.
        rest: what the Trainer takes.
    """

    def __init__(self, *, config: Config, sampler: EpochSampler, collators: Mapping[str, Any], **rest: Any) -> None:
        super().__init__(data_collator=collators["train"], **rest)
        self._config = config
        self._sampler = sampler
        self._collators = collators
        self.add_callback(SetEpoch(sampler))

    def _get_train_sampler(self, *_: Any) -> EpochSampler:
        return self._sampler

    def get_eval_dataloader(self, *arguments: Any, **rest: Any) -> DataLoader[Any]:
        """Give the validation batches, with what belongs to the validation set."""
        self.data_collator = self._collators["validation"]
        try:
            loader: DataLoader[Any] = super().get_eval_dataloader(*arguments, **rest)
        finally:
            self.data_collator = self._collators["train"]
        return loader

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Give the loss of a batch."""
        output = model(inputs["input_ids"], inputs["attention_mask"], inputs["votes"], inputs.get("states"))
        return joint_loss(output, inputs["topics"], inputs["stance"], stance_weight=self._config.training.stance_weight)

    def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, None, None]:
        """Give the loss of a validation batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, inputs).detach(), None, None

    def create_optimizer(self, *_: Any) -> torch.optim.Optimizer:
        """Make AdamW with one rate for the encoder and one for the heads."""
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, self._config.training))
        return self.optimizer
