"""What a training keeps while it runs, so that one that was killed at any moment can be gone on with.

Everything lies in ``models/.checkpoints``: which training it is, of which configuration and data, and the Trainer's
checkpoints. A kill leaves half-made folders beside the model folders at most; the next training sweeps them out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import ConfigError, ModelFolderError
from inference.folder import read_manifest, write_whole
from training.encoders import Encoder

FOLDER = ".checkpoints"
_FILE = "training.json"
_NAMED = 3


@dataclass(frozen=True)
class Workspace:
    """Where a training keeps what its resumption needs.

    Args:
        folder: the folder.
        token: names the training; its run in MLflow has it as a tag.
        resumed: whether an interrupted training is gone on with.
    """

    folder: Path
    token: str
    resumed: bool

    def write(self, name: str, data: Any) -> None:
        """Keep a small result; after a kill it is whole or absent."""
        write_json(self.folder / name, data)

    def read(self, name: str) -> Any:
        """Give a kept result back; None where it was not reached."""
        return read_json(self.folder / name)

    def close(self) -> None:
        """Forget everything: the training is over."""
        # In one step, so that a kill leaves either all of it or none.
        over = self.folder.with_name(f"{self.folder.name}-over")
        self.folder.rename(over)
        shutil.rmtree(over, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file so that it is whole or absent."""
    write_whole(path, json.dumps(data, ensure_ascii=False))


def read_json(path: Path) -> Any:
    """Read a JSON file; None where it is missing or cut short."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def open_workspace(models: Path, facts: Mapping[str, str], *, resume: bool) -> Workspace:
    """Start a training's folder, or find that of the interrupted one.

    Args:
        models: the models folder.
        facts: all that the result hangs on: the flat configuration, and digests of data and encoder.
        resume: go on with the interrupted training, if there is one.

    Raises:
        ConfigError: where the interrupted training had other facts; they are named.
    """
    folder = models / FOLDER
    _sweep(models)
    kept = read_json(folder / _FILE) if resume else None
    if isinstance(kept, dict):
        changed = sorted(k for k in {*kept["facts"], *facts} if kept["facts"].get(k) != facts.get(k))
        if changed:
            told = "; ".join(f"{k}: {kept['facts'].get(k)} before, {facts.get(k)} now" for k in changed[:_NAMED])
            raise ConfigError(
                f"the interrupted training was another one ({told}); give it the same configuration and data again, "
                "or train without --resume"
            )
        return Workspace(folder, str(kept["token"]), resumed=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    token = uuid.uuid4().hex
    write_json(folder / _FILE, {"token": token, "facts": dict(facts)})
    return Workspace(folder, token, resumed=False)


def is_made_by(folder: Path, run_id: str) -> bool:
    """Say whether a model folder is whole and was written by this run: then its stage need not be done again."""
    try:
        return read_manifest(folder).training.get("run_id") == run_id
    except ModelFolderError:
        return False


def encoder_digest(encoder: Encoder) -> str:
    """Give a sha256 over an encoder's weights and tokenizer."""
    digest = hashlib.sha256(encoder.tokenizer.to_str().encode("utf-8"))
    for name, tensor in sorted(encoder.model.state_dict().items()):
        digest.update(name.encode("utf-8"))
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _sweep(models: Path) -> None:
    """Remove what a kill in the midst of writing left behind."""
    for place in (models, models / "champions"):
        for left in [p for p in place.glob(".*-*") if p.is_dir() and p.name != FOLDER]:
            target = left.with_name(left.name[1:].rsplit("-old-", 1)[0])
            if "-old-" in left.name and not target.exists():
                # Killed between the two renames of a swap: the folder before is whole.
                left.rename(target)
            else:
                shutil.rmtree(left, ignore_errors=True)
    for left in models.glob(".champion.json.*"):
        left.unlink(missing_ok=True)
