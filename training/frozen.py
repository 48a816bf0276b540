"""The frozen lower layers of an encoder: read once, not once an epoch.

Layers that are not trained give the same for a text in every epoch, once their dropout is off. Their output over the
whole corpus is kept in a file, and the training runs the upper layers alone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from training.batches import Collator, use_bf16
from training.halves import Halves

log = logging.getLogger(__name__)
ROW = "row"
_GIGABYTE = 2**30
_SPARE = 2 * _GIGABYTE


class States:
    """The lower half's output over a data set, in a file: a vector for each token of each text.

    Args:
        path: the file.
        lengths: tokens of each text.
        width: numbers of a vector.
        dtype: ``float16`` beside bf16 arithmetic, which is coarser, else ``float32``.
    """

    def __init__(self, path: Path, *, lengths: Sequence[int], width: int, dtype: str) -> None:
        self._starts = np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))])
        self._path, self._shape, self._dtype = path, (int(self._starts[-1]), width), np.dtype(dtype)
        self._numbers: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        """The file's size."""
        return self._shape[0] * self._shape[1] * self._dtype.itemsize

    def __getstate__(self) -> dict[str, Any]:
        # Loader processes open the file for themselves.
        return {**self.__dict__, "_numbers": None}

    def __getitem__(self, row: int) -> np.ndarray:
        """Give the vectors of a text, shape ``(tokens, width)``."""
        if self._numbers is None:
            self._numbers = np.memmap(self._path, self._dtype, "r", shape=self._shape)
        return self._numbers[self._starts[row] : self._starts[row + 1]]

    def fill(self, lower: PreTrainedModel, data: Dataset, *, pad_id: int, precision: str, batch_size: int = 32) -> None:
        """Run the lower half over the data; a file that an interrupted training left whole is used again."""
        if self._path.exists() and self._path.stat().st_size == self.bytes:
            return
        part = self._path.with_suffix(".part")
        numbers = np.memmap(part, self._dtype, "w+", shape=self._shape)
        device = next(lower.parameters()).device
        order = np.argsort(np.asarray(data["length"][:]), kind="stable")
        loader = DataLoader(
            data.select(order).select_columns(["input_ids", "votes"]),
            batch_size=batch_size,
            collate_fn=Collator.of(data, pad_id),
            generator=torch.Generator(),
        )
        place = 0
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_bf16(precision)):
            for batch in tqdm(loader, desc="Frozen layers"):
                mask = batch["attention_mask"].to(device)
                output = lower(input_ids=batch["input_ids"].to(device), attention_mask=mask)
                hidden = output.last_hidden_state.float().cpu().numpy()
                for i, length in enumerate(mask.sum(1).tolist()):
                    row = int(order[place + i])
                    numbers[self._starts[row] : self._starts[row + 1]] = hidden[i, :length]
                place += len(hidden)
        numbers.flush()
        del numbers
        part.replace(self._path)


@dataclass(frozen=True)
class StateCollator:
    """Pads a batch and brings the frozen layers' output with it.

    Args:
        plain: pads the tokens.
        states: of the data set that the rows are of.
    """

    plain: Collator
    states: States

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make tensors of rows."""
        batch = self.plain(rows)
        found = [self.states[int(r[ROW])] for r in rows]
        states = np.zeros((*batch["input_ids"].shape, found[0].shape[1]), dtype=np.float32)
        for i, own in enumerate(found):
            states[i, : len(own)] = own
        batch["states"] = torch.from_numpy(states)
        return batch


def keep_states(
    halves: Halves, parts: Mapping[str, Dataset], *, folder: Path, pad_id: int, precision: str, most_gb: float
) -> dict[str, States] | None:
    """Run the lower half over data sets and keep what it gives; None where that would be too large.

    Args:
        halves: the encoder, in evaluation mode.
        parts: name to data set.
        folder: where the files go.
        pad_id: token id of padding.
        precision: as configured.
        most_gb: most that the files may take together, in GiB.
    """
    dtype = "float16" if use_bf16(precision) else "float32"
    width = halves.lower.config.hidden_size
    kept = {
        name: States(folder / f"frozen-{name}.bin", lengths=data["length"][:], width=width, dtype=dtype)
        for name, data in parts.items()
    }
    needed, free = sum(s.bytes for s in kept.values()), shutil.disk_usage(folder).free
    if needed > most_gb * _GIGABYTE or needed + _SPARE > free:
        log.info("the frozen layers' output would take %.1f GiB: computed anew each epoch", needed / _GIGABYTE)
        return None
    for name, states in kept.items():
        states.fill(halves.lower, parts[name], pad_id=pad_id, precision=precision)
    return kept
