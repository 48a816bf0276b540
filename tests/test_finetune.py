"""Fine-tuning on a tiny encoder: resumption to the last bit, early stopping, frozen layers, less memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from inference.errors import ConfigError
from inference.lexicon import Matcher
from tests import tiny
from training.batches import Collator, build_dataset
from training.config import Config, load_config
from training.encoders import load_encoder
from training.finetune import Tuned, finetune
from training.topics import load_watch_list
from training.weak import WeakLabels

ROWS = 40
EPOCHS, STEPS = 3, 5  # of 8 texts each


class Kill(TrainerCallback):
    """Ends the training as a kill does, at a step or when it is saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert_folder(tmp_path_factory.mktemp("encoders") / "tiny-bert")


@pytest.fixture(scope="module")
def labels() -> WeakLabels:
    rng = np.random.default_rng(0)
    return WeakLabels(rng.uniform(size=(ROWS, 3)), rng.dirichlet([1, 1, 1], size=(ROWS, 3)))


@pytest.fixture(scope="module")
def data(bert: Path, labels: WeakLabels) -> Dataset:
    matcher = Matcher(load_watch_list(tiny.ROOT / "configs" / "topics.yaml").functions)
    texts = [str(r["text"]) for r in tiny.corpus(ROWS)]
    return build_dataset(load_encoder(str(bert)), texts, matcher, weak=labels, max_tokens=48)


@pytest.fixture(scope="module")
def whole(bert: Path, labels: WeakLabels, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A fine-tuning that nothing disturbed."""
    return tuner(bert, labels, data, tmp_path_factory.mktemp("whole"))()


@pytest.fixture
def tune(bert: Path, labels: WeakLabels, data: Dataset, tmp_path: Path) -> Callable[..., Tuned]:
    return tuner(bert, labels, data, tmp_path)


def tuner(bert: Path, labels: WeakLabels, data: Dataset, place: Path) -> Callable[..., Tuned]:
    def run(folder: str = "work", *, resume: bool = False, kill: int | None = None, **training: Any) -> Tuned:
        (place / folder).mkdir(exist_ok=True)
        return finetune(
            load_encoder(str(bert)),
            data,
            data.select(range(10)),
            labels=labels,
            config=settings(**training),
            work=place / folder,
            callbacks=[] if kill is None else [Kill(kill)],
            resume=resume,
        )

    return run


def settings(**training: Any) -> Config:
    values = {
        "epochs": EPOCHS,
        "batch_size": 8,
        "freeze_layers": 1,
        "precision": "fp32",
        "checkpoint_minutes": 0,
        **training,
    }
    return load_config(None, [f"training.{k}={v}" for k, v in values.items()])


def assert_same(first: Tuned, second: Tuned, *, atol: float = 0.0) -> None:
    a, b = first.model.state_dict(), second.model.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.allclose(a[name], b[name], rtol=0, atol=atol), name


def saved(folder: Path) -> list[int]:
    return sorted(int(p.name.rsplit("-", 1)[1]) for p in folder.glob("checkpoint-*"))


# Steps 5, 10 and 15 end an epoch; with checkpoint_minutes=0 the losses' tenth step would be saved, were it no such end.
@pytest.mark.parametrize("step", [3, 5, 7, 14], ids=["before any", "an epoch's end", "in an epoch", "in the last"])
def test_a_resumed_fine_tuning_ends_with_the_same_weights_to_the_bit(
    tune: Callable[..., Tuned], whole: Tuned, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(kill=step)
    assert_same(tune(resume=True), whole)


def test_a_checkpoint_in_the_midst_of_an_epoch_is_gone_on_from(tune: Callable[..., Tuned], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune("killed", kill=13, batch_size=4)
    assert saved(tmp_path / "killed")[-1] == 10
    with pytest.raises(KeyboardInterrupt):
        tune("killed", kill=24, batch_size=4, resume=True)
    assert 20 in saved(tmp_path / "killed")
    resumed, whole = tune("killed", resume=True, batch_size=4), tune("whole", batch_size=4)
    assert_same(resumed, whole)
    losses = [[h["loss"] for h in t.history if "loss" in h] for t in (resumed, whole)]
    assert losses[0] == losses[1]


def test_a_fine_tuning_that_had_ended_is_not_begun_again(tune: Callable[..., Tuned]) -> None:
    whole = tune()
    again = tune(resume=True, kill=0)
    assert_same(again, whole)
    learns = [{n for n, p in t.model.named_parameters() if p.requires_grad} for t in (again, whole)]
    assert learns[0] == learns[1]
    assert [h["eval_loss"] for h in again.history if "eval_loss" in h] == [
        h["eval_loss"] for h in whole.history if "eval_loss" in h
    ]


@pytest.mark.parametrize("broken", ["model.safetensors", "optimizer.pt", "trainer_state.json", "whole.json"])
def test_a_checkpoint_that_was_cut_off_is_left_aside(
    tune: Callable[..., Tuned], whole: Tuned, tmp_path: Path, broken: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(kill=12)
    newest = tmp_path / "work" / f"checkpoint-{saved(tmp_path / 'work')[-1]}"
    (newest / broken).write_bytes((newest / broken).read_bytes()[:-7])
    assert_same(tune(resume=True), whole)


def test_going_on_in_another_precision_is_refused(tune: Callable[..., Tuned]) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(kill=7)
    with pytest.raises(ConfigError, match=r"precision fp32.*precision bf16"):
        tune(resume=True, precision="bf16")


def test_training_ends_early_where_the_validation_loss_falls_no_more(tune: Callable[..., Tuned]) -> None:
    still = {"learning_rate": 1e-30, "head_learning_rate": 1e-30, "patience": 1, "epochs": 6}
    tuned = tune(**still)
    assert len([h for h in tuned.history if "eval_loss" in h]) == 2
    assert_same(tune(resume=True, kill=0, **still), tuned)


def test_frozen_layers_stay_as_they_were_pretrained_and_the_others_move(whole: Tuned, bert: Path) -> None:
    before, after = load_encoder(str(bert)).model.state_dict(), whole.model.encoder.state_dict()
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved
    assert all(n.startswith("encoder.layer.1.") for n in moved)


@pytest.mark.parametrize(("longest", "padded"), [(15, 16), (16, 16), (17, 32), (33, 40), (40, 40)])
def test_batches_come_in_few_lengths_and_none_longer_than_the_longest_text(longest: int, padded: int) -> None:
    data = Dataset.from_dict({"length": [5, 40]})
    rows = [{"input_ids": [7] * n, "votes": [0]} for n in (3, longest)]
    batch = Collator.of(data, pad_id=1)(rows)
    assert batch["input_ids"].shape == (2, padded)
    assert batch["attention_mask"].sum(1).tolist() == [3, longest]
    assert batch["input_ids"][0].tolist() == [7] * 3 + [1] * (padded - 3)


def test_keeping_what_the_frozen_layers_give_changes_nothing(
    tune: Callable[..., Tuned], whole: Tuned, tmp_path: Path
) -> None:
    assert_same(tune(frozen_cache_gb=0), whole, atol=2e-5)
    assert not list(tmp_path.rglob("frozen-*"))
    with pytest.raises(KeyboardInterrupt):
        tune(kill=0)
    assert len(list(tmp_path.rglob("frozen-*.bin"))) == 2


def test_gradient_checkpointing_changes_nothing_but_memory(tune: Callable[..., Tuned]) -> None:
    assert_same(tune("a", gradient_checkpointing=True, freeze_layers=0), tune("b", freeze_layers=0), atol=2e-5)
