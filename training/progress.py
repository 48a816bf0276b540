"""The fine-tuning as MLflow draws it while it goes on: loss, learning rate and speed, step by step."""

from __future__ import annotations

import time
from typing import Any

import mlflow
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

# The Trainer's names, and ours. MLflow's charts are grouped by what stands before the slash; what is left out of the
# Trainer's log (operations, seconds, the epoch) would make charts that nobody reads.
_NAMES = {
    "loss": "training/loss",
    "eval_loss": "training/validation_loss",
    "learning_rate": "training/learning_rate",
    "grad_norm": "training/gradient_norm",
    "train_loss": "training/mean_loss",
    "train_samples_per_second": "training/mean_paragraphs_per_second",
}
_SPEED = "training/paragraphs_per_second"


class MetricsCallback(TrainerCallback):
    """Logs loss, learning rate and speed of the fine-tuning to the active run, a call per report."""

    def __init__(self) -> None:
        self._since = (0, time.monotonic())

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self._since = (state.global_step, time.monotonic())

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock again: the time of a validation says nothing of the training's speed."""
        self._since = (state.global_step, time.monotonic())

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Log what the Trainer reports."""
        found = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        values = {_NAMES[k]: v for k, v in found.items() if k in _NAMES}
        steps, seconds = state.global_step - self._since[0], time.monotonic() - self._since[1]
        if "loss" in found and steps and seconds > 0:
            values[_SPEED] = steps * args.train_batch_size * args.gradient_accumulation_steps / seconds
            self._since = (state.global_step, time.monotonic())
        if values and state.is_world_process_zero:
            mlflow.log_metrics(values, step=state.global_step)
