"""Rasd's fine-tuning against a stock Trainer script, on the same weak labels from the same encoder, in one run.

    python benchmarks/finetune_speed.py [--rows 600] [--gold FILE] [--encoder NAME] [--json FILE]

The stock script is what the Trainer's documentation shows: fp32, batches drawn at random and padded to their longest
text, every weight trained, heads from scratch, as many epochs. Then Rasd's levers are added one after another; the
last row is what `rasd train` does. Every row trains the same joint model with the same loss and is scored by its loss
on held-out weak labels and, with --gold, by macro-F1 there after calibration on the held-out weak labels. Time is all
that a fine-tuning costs, probing and reading the frozen layers included. `cpu` is processor time, which other work on
the machine changes less than the clock's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments, set_seed

from benchmarks.machine import give, in_a_line, machine
from inference.gold import gold_matrix, read_gold
from inference.lexicon import Matcher
from inference.metrics import PARTS, evaluate_labels, macro_scores
from training.batches import Collator, build_dataset, predict_logits, use_bf16
from training.calibrate import calibrate
from training.config import Config, load_config
from training.corpus import load_corpus
from training.encoders import load_encoder
from training.finetune import finetune
from training.functions import make_applier
from training.model import JointModel, JointOutput, joint_loss
from training.sampling import hold_out
from training.topics import WatchList, load_watch_list
from training.weak import WeakLabels, fit_weak_model

# What each row adds to the row before it. A frozen layer costs no backward pass; kept, it costs no forward pass either.
LEVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stock Trainer", {"precision": "fp32", "freeze_layers": 0, "frozen_cache_gb": 0}),
    ("+ texts of like length together, heads probed first", {}),
    ("+ bf16", {"precision": "auto"}),
    ("+ low layers frozen", {"freeze_layers": -1}),
    ("+ frozen layers read once", {"frozen_cache_gb": -1}),
    ("+ dropout drawn as bytes (rasd train)", {}),
)


@dataclass(frozen=True)
class Task:
    """What every row is trained and scored on."""

    config: Config
    watch_list: WatchList
    texts: dict[str, list[str]]
    labels: dict[str, WeakLabels]
    gold: str | None


def make_task(config: Config, *, rows: int, gold: str | None) -> Task:
    """Label the corpus weakly, as `rasd train` does, and draw rows of it."""
    watch_list = load_watch_list(config.topics)
    corpus = load_corpus(config.corpus, gold_texts=[r.text for r in read_gold(config.corpus.gold, watch_list.taxonomy)])
    applier = make_applier(config, watch_list, skip_broken=False)
    votes = applier.apply(corpus.records())
    shares = config.feed.shares
    model = fit_weak_model(votes.matrix, applier.functions, watch_list.taxonomy, stance_shares=shares)
    weak = model.predict(votes.matrix)
    order = np.random.default_rng(config.seed).permutation(len(corpus.data))[: rows or None]
    parts = dict(zip(("train", "validation"), hold_out(order, config.training.validation), strict=True))
    texts = {k: list(corpus.data.select(p)["text"]) for k, p in parts.items()}
    return Task(config, watch_list, texts, {k: weak.of(p) for k, p in parts.items()}, gold)


class StockTrainer(Trainer):
    """The Trainer as it is, with the joint model's loss."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        """Give the loss of a batch."""
        output = model(inputs["input_ids"], inputs["attention_mask"], inputs["votes"])
        return joint_loss(output, inputs["topics"], inputs["stance"])


def stock(task: Task, data: Mapping[str, Dataset], encoder: Any, config: Config, work: Path) -> JointModel:
    """Fine-tune as the Trainer's documentation shows."""
    set_seed(config.seed)
    functions = len(data["train"][0]["votes"])
    model = JointModel(encoder.model, topics=len(task.watch_list.taxonomy), functions=functions)
    t = config.training
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=t.epochs,
        per_device_train_batch_size=t.batch_size,
        learning_rate=5e-5,
        save_strategy="no",
        remove_unused_columns=False,
        report_to=[],
        seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = StockTrainer(
        model=model, args=arguments, train_dataset=data["train"], data_collator=Collator(encoder.pad_id)
    )
    trainer.train()
    return model.eval()


def torchs_dropout() -> AbstractContextManager[Any]:
    """Let fine-tuning draw its dropout as torch does meanwhile."""
    return mock.patch("training.finetune.byte_dropout", return_value=nullcontext())


def run(task: Task, name: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Fine-tune once; give time and quality."""
    config = task.config.model_copy(update={"training": task.config.training.model_copy(update=dict(training))})
    encoder = load_encoder(config.encoder.name)
    matcher, window = Matcher(task.watch_list.functions), config.encoder.max_tokens
    data = {
        k: build_dataset(encoder, task.texts[k], matcher, weak=task.labels[k], max_tokens=window) for k in task.texts
    }
    with tempfile.TemporaryDirectory() as work:
        started, processor = time.perf_counter(), time.process_time()
        if name == LEVERS[0][0]:
            model = stock(task, data, encoder, config, Path(work))
        else:
            with nullcontext() if name == LEVERS[-1][0] else torchs_dropout():
                tuned = finetune(
                    encoder,
                    data["train"],
                    data["validation"],
                    labels=task.labels["train"],
                    config=config,
                    work=Path(work),
                )
            model = tuned.model
        wall, cpu = time.perf_counter() - started, time.process_time() - processor
    result = {"name": name, "seconds": wall, "cpu": cpu}
    calibration = calibrate(
        *predict_logits(model, data["validation"], pad_id=encoder.pad_id), task.labels["validation"]
    )
    result["validation_loss"] = validation_loss(model, data["validation"], encoder.pad_id)
    if task.gold is None:
        return result
    gold = read_gold(task.gold, task.watch_list.taxonomy)
    own = build_dataset(encoder, [r.text for r in gold], matcher, max_tokens=window)
    topics, stance = predict_logits(model, own, pad_id=encoder.pad_id)
    present = calibration.topic_probabilities(topics) >= calibration.thresholds
    labels = calibration.stance_probabilities(stance).argmax(-1)
    taxonomy = task.watch_list.taxonomy
    metrics = evaluate_labels(taxonomy, gold=gold_matrix(gold, taxonomy), present=present, stance=labels)
    return result | macro_scores(metrics)


def validation_loss(model: JointModel, data: Dataset, pad_id: int) -> float:
    """Give the joint loss on held-out weak labels, in fp32."""
    topics, stance = predict_logits(model, data, pad_id=pad_id)
    batch = Collator(pad_id)([data[i] for i in range(len(data))])
    output = JointOutput(torch.from_numpy(topics).float(), torch.from_numpy(stance).float(), torch.empty(0))
    return float(joint_loss(output, batch["topics"], batch["stance"]))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=600, help="paragraphs, held-out ones included; 0 for all")
    parser.add_argument("--gold", help="gold to score on too, such as seeds/gold.jsonl")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--only", type=int, nargs="*", help="places of the rows to run; the first is always run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    config = load_config("configs/default.yaml", [f"encoder.name={options.encoder}", *options.set])
    task = make_task(config, rows=options.rows, gold=options.gold)
    chosen = range(len(LEVERS)) if options.only is None else sorted({0, *options.only})
    training: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    for place, (name, change) in enumerate(LEVERS):
        # -1 stands for the configuration's own value.
        training |= {k: getattr(config.training, k) if v == -1 else v for k, v in change.items()}
        if place in chosen:
            found.append(run(task, name, training))
    header = {
        "machine": machine("torch", "transformers"),
        "bf16": use_bf16("auto"),
        "encoder": options.encoder,
        "rows": len(task.texts["train"]),
        "epochs": config.training.epochs,
    }
    print(in_a_line(header["machine"]))
    print(f"{'':<54}{'s':>7}{'times':>7}{'cpu s':>8}{'times':>7}{'val. loss':>11}  topics stance joint")
    for row in found:
        gains = found[0]["seconds"] / row["seconds"], found[0]["cpu"] / row["cpu"]
        scores = "  ".join(f"{row[p]:.3f}" for p in PARTS if p in row)
        print(
            f"{row['name']:<54}{row['seconds']:>7.1f}{gains[0]:>7.2f}{row['cpu']:>8.1f}{gains[1]:>7.2f}"
            f"{row['validation_loss']:>11.4f}  {scores}"
        )
    give({**header, "rows_found": found}, options.json)


if __name__ == "__main__":
    main()
