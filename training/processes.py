"""Several processes of one training, as ``torchrun`` starts them: who they are, and how they meet.

The first process does everything that is done once (corpus, weak labels, MLflow, model folders); the others join it
for the fine-tuning alone and wait for it until then, however long that takes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")
_PATIENCE = timedelta(days=7)


def count() -> int:
    """Give how many processes there are; 1 where it was not torchrun that started this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Say whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def join() -> None:
    """Meet the other processes for the first time; one process has nobody to meet."""
    if count() > 1 and not distributed.is_initialized():
        # gloo carries what the processes tell each other, whatever carries the gradients.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def from_first(value: T) -> T:
    """Give every process the first one's value.

    Args:
        value: the first process' value; of the others it does not matter.
    """
    if not distributed.is_initialized():
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
    return held[0]


def meet() -> None:
    """Wait until every process is here."""
    if distributed.is_initialized():
        distributed.all_reduce(torch.zeros(1))
