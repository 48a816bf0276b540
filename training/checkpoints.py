"""The Trainer's checkpoints: when they are saved, which are whole, and where a resumed training goes on."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from inference.errors import ConfigError
from training import processes
from training.workspace import read_json, write_json

log = logging.getLogger(__name__)
_MARK = "whole.json"
_PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Args:
        path: its folder.
        finished: whether the training was over when it was saved.
        best: folder of the checkpoint of the best validation loss so far; None before the first validation.
        history: what the Trainer had logged.
    """

    path: Path
    finished: bool
    best: Path | None
    history: list[dict[str, float]]


class Checkpoints(TrainerCallback):
    """Saves now and then in the midst of an epoch, and marks as whole what is saved.

    The Trainer writes a checkpoint file by file. The mark comes last and holds every file's size, so neither a kill
    while saving nor one while an old checkpoint is removed leaves anything that looks whole and is not.

    Args:
        minutes: from one checkpoint to the next; the end of an epoch is always saved.
        setting: what must be the same for the training to go on as it would have.
    """

    def __init__(self, *, minutes: float, setting: Mapping[str, Any]) -> None:
        self._seconds = minutes * 60
        self._setting = dict(setting)
        self._saved = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Ask for a checkpoint where it is time for one."""
        # Where losses are logged, so that none is logged over other steps after a resumption. The end of an epoch is
        # saved when it has been validated; a checkpoint between the two would skip the validation.
        if not control.should_log or control.should_training_stop or float(state.epoch or 0).is_integer():
            return
        due = time.monotonic() - self._saved >= self._seconds
        control.should_save = control.should_save or processes.from_first(due)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Mark the checkpoint that was just saved."""
        processes.meet()
        self._saved = time.monotonic()
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"{_PREFIX}{state.global_step}"
        files = {p.name: p.stat().st_size for p in folder.iterdir() if p.name != _MARK}
        write_json(folder / _MARK, {"files": files, "finished": control.should_training_stop, "setting": self._setting})


def newest(work: Path, setting: Mapping[str, Any]) -> Checkpoint | None:
    """Give the newest whole checkpoint, and remove those that are not whole.

    Args:
        work: the folder of the checkpoints.
        setting: what the training that goes on has.

    Raises:
        ConfigError: where the checkpoint was made in another setting, such as another precision.
    """
    numbered = [(int(p.name.removeprefix(_PREFIX)), p) for p in work.glob(f"{_PREFIX}*") if p.name[11:].isdigit()]
    for _, path in sorted(numbered, reverse=True):
        found = _read(path, setting)
        if found is not None:
            return found
        log.info("%s: cut off while it was written; left aside", path)
        shutil.rmtree(path, ignore_errors=True)
    return None


def _is_whole(path: Path) -> bool:
    mark = read_json(path / _MARK)
    if not isinstance(mark, dict):
        return False
    return all((path / n).is_file() and (path / n).stat().st_size == size for n, size in mark["files"].items())


def _read(path: Path, setting: Mapping[str, Any]) -> Checkpoint | None:
    state = read_json(path / TRAINER_STATE_NAME)
    if not _is_whole(path) or state is None:
        return None
    mark = read_json(path / _MARK)
    if mark["setting"] != dict(setting):
        raise ConfigError(
            f"{path}: made with {_tell(mark['setting'])}; here it would go on with {_tell(setting)}, and end "
            "otherwise. Resume where it was begun, or train again without --resume"
        )
    best = Path(state["best_model_checkpoint"]) if state.get("best_model_checkpoint") else None
    if best is not None and not _is_whole(path.parent / best.name):
        return None
    place = None if best is None else path.parent / best.name
    return Checkpoint(path, bool(mark["finished"]), place, list(state["log_history"]))


def _tell(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in setting.items())
