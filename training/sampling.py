"""Which paragraphs a training reads, and in which order: a function of the seed and the epoch, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices


def hold_out(order: npt.NDArray[np.int64], share: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split rows in a random order into those to train on and those held out for validation, at least one.

    Args:
        order: the rows, drawn at random.
        share: of the held-out ones, 0 to 1.

    Returns:
        training and held-out rows, each ascending.
    """
    held_out = max(1, round(len(order) * share))
    return np.sort(order[held_out:]), np.sort(order[:held_out])


class EpochSampler(Sampler[int]):
    """Draws each epoch's order from a generator of its own, texts of like length together.

    The Trainer's own sampler draws from the one generator that dropout draws from too, so that an epoch that is begun
    again after a kill would have another order.

    Args:
        lengths: tokens of each text.
        batch_size: texts of a step, over all processes.
        seed: of the run.

    Attributes:
        epoch: the epoch whose order is drawn next.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed * 1_000_003 + self.epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch_size, generator=generator))


class SetEpoch(TrainerCallback):
    """Tells the sampler which epoch begins, also where it begins in the middle."""

    def __init__(self, sampler: EpochSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Set the epoch."""
        self._sampler.epoch = int(state.epoch or 0)
