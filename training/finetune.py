"""Fine-tunes the joint model on weak labels with the transformers Trainer: CPU, one GPU or several, unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import SAFE_WEIGHTS_NAME

from training import processes
from training.batches import Collator, use_bf16
from training.checkpoints import Checkpoint, Checkpoints, newest
from training.config import Config, TrainingConfig
from training.dropout import byte_dropout
from training.encoders import Encoder
from training.frozen import ROW, StateCollator, States, keep_states
from training.halves import Halves
from training.model import JointModel
from training.probe import mean_features, probe_heads
from training.sampling import EpochSampler
from training.trainer import JointTrainer
from training.weak import WeakLabels


@dataclass(frozen=True)
class Tuned:
    """What the fine-tuning gives.

    Args:
        model: that of the best validation loss, in evaluation mode.
        history: what the Trainer logged.
    """

    model: JointModel
    history: list[dict[str, float]]


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
) -> Tuned:
    """Fine-tune and give the model of the best validation loss.

    The processes that torchrun started beside this one must call :func:`follow`.

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
    parts = {"train": train, "validation": validation}
    parts = {k: d if ROW in d.column_names else d.add_column(ROW, list(range(len(d)))) for k, d in parts.items()}
    votes = np.asarray(train["votes"][:], dtype=np.float64)
    model = JointModel(encoder.model, topics=labels.topics.shape[1], functions=votes.shape[1])
    checkpoint = newest(work, _setting(t)) if resume else None
    finished = checkpoint is not None and checkpoint.finished
    halves = model.freeze(t.freeze_layers)
    states = None if finished else _states(halves, model, parts, encoder, t, work)
    if checkpoint is None:
        own = states["train"] if states else None
        features = mean_features(model, parts["train"], pad_id=encoder.pad_id, precision=t.precision, states=own)
        probe_heads(model, features, votes, weak=labels)
    _call_others(parts, model, checkpoint, work)
    if checkpoint is not None and finished:
        # Trained to the end, then killed: what is left to do begins with the best model.
        best = checkpoint.best or checkpoint.path
        model.load_state_dict(load_file(best / SAFE_WEIGHTS_NAME))
        return Tuned(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), checkpoint.history)
    return _fit(model, parts, states, checkpoint, config=config, pad_id=encoder.pad_id, work=work, callbacks=callbacks)


def follow(encoder: Encoder, config: Config) -> None:
    """Take part in the fine-tuning that the first process has prepared, as torchrun's other processes do.

    Args:
        encoder: the pretrained encoder, loaded here too.
        config: the run's configuration.
    """
    told: dict[str, Any] = processes.from_first({})
    if told["finished"]:
        return
    set_seed(config.seed)
    parts = {name: Dataset.load_from_disk(str(told["work"] / name)) for name in ("train", "validation")}
    model = JointModel(encoder.model, topics=told["topics"], functions=told["functions"])
    halves = model.freeze(config.training.freeze_layers)
    states = _states(halves, model, parts, encoder, config.training, told["work"])
    _fit(model, parts, states, told["checkpoint"], config=config, pad_id=encoder.pad_id, work=told["work"])


def _call_others(parts: Mapping[str, Dataset], model: JointModel, checkpoint: Checkpoint | None, work: Path) -> None:
    """Give the other processes what they need to take part."""
    if processes.count() == 1:
        return
    for name, data in parts.items():
        data.save_to_disk(str(work / name))
    topics, functions = model.topic_votes.shape
    finished = checkpoint is not None and checkpoint.finished
    processes.from_first(
        {"work": work, "topics": topics, "functions": functions, "checkpoint": checkpoint, "finished": finished}
    )


def _states(
    halves: Halves | None,
    model: JointModel,
    parts: Mapping[str, Dataset],
    encoder: Encoder,
    t: TrainingConfig,
    work: Path,
) -> dict[str, States] | None:
    if halves is None or not t.frozen_cache_gb:
        return None
    if torch.cuda.is_available() and processes.is_first():
        model.to("cuda")
    model.eval()
    return keep_states(
        halves, parts, folder=work, pad_id=encoder.pad_id, precision=t.precision, most_gb=t.frozen_cache_gb
    )


def _setting(t: TrainingConfig) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"device": device, "precision": "bf16" if use_bf16(t.precision) else "fp32", "processes": processes.count()}


def _fit(
    model: JointModel,
    parts: Mapping[str, Dataset],
    states: Mapping[str, States] | None,
    checkpoint: Checkpoint | None,
    *,
    config: Config,
    pad_id: int,
    work: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> Tuned:
    t = config.training
    collators: dict[str, Any] = {name: Collator.of(data, pad_id) for name, data in parts.items()}
    if states is not None:
        collators = {name: StateCollator(plain, states[name]) for name, plain in collators.items()}
    if t.gradient_checkpointing:
        model.encoder.gradient_checkpointing_enable({"use_reentrant": False})
    trainer = JointTrainer(
        config=config,
        sampler=EpochSampler(parts["train"]["length"][:], batch_size=t.batch_size, seed=config.seed),
        collators=collators,
        model=model,
        args=_arguments(config, work),
        train_dataset=parts["train"],
        eval_dataset=parts["validation"],
        callbacks=[
            *callbacks,
            EarlyStoppingCallback(t.patience),
            # After the early stopping, so that a checkpoint knows of it.
            Checkpoints(minutes=t.checkpoint_minutes, setting=_setting(t)),
        ],
    )
    with byte_dropout(model):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint.path))
    # Mixed precision wraps the forward pass; what is exported and scored is the plain fp32 model.
    plain: JointModel = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if t.gradient_checkpointing:
        plain.encoder.gradient_checkpointing_disable()
    return Tuned(plain.eval(), [dict(entry) for entry in trainer.state.log_history])


def _arguments(config: Config, work: Path) -> TrainingArguments:
    t = config.training
    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=t.epochs,
        per_device_train_batch_size=max(1, t.batch_size // processes.count()),
        per_device_eval_batch_size=t.batch_size,
        warmup_steps=t.warmup,
        lr_scheduler_type="linear",
        bf16=use_bf16(t.precision),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        logging_steps=10,
        remove_unused_columns=False,
        label_names=["topics", "stance"],
        report_to=[],
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        use_cpu=not torch.cuda.is_available(),
    )
