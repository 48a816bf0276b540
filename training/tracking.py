"""What a run says of itself in MLflow: configuration, environment, data, metrics, files."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from inference.errors import CorpusError
from inference.metrics import PARTS
from training.config import Config

_LIBRARIES = ("torch", "transformers", "datasets", "scikit-learn", "mlflow", "onnxruntime", "tokenizers", "numpy")
_PARAMETER_LIMIT = 500
_DIGEST_LIMIT = 32
_DIGEST_SHOWN = 12


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten a nested configuration to ``a.b`` names, values as MLflow's parameters can hold them.

    Lists are written as in YAML. A value too long for a parameter is cut, and ends with the head of its sha256: two
    that differ anywhere are two in MLflow too.
    """
    result: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flat(value, f"{name}.")
        else:
            result[name] = _shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return result


def _shortened(text: str) -> str:
    if len(text) <= _PARAMETER_LIMIT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGEST_SHOWN]
    return f"{text[:_PARAMETER_LIMIT]}… (cut; all of it is in config.yaml; sha256 {digest})"


def log_config(config: Config) -> None:
    """Store the resolved configuration as ``config.yaml``, which ``rasd train --config`` takes as it is."""
    text = yaml.safe_dump(config.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    log_files({"config.yaml": text})


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment() -> dict[str, str]:
    """Give what a run needs to be understood later: commit, dirty flag, machine and library versions."""
    facts = {"python": platform.python_version(), "machine": platform.machine()}
    if commit := _git("rev-parse", "HEAD"):
        facts |= {"git_commit": commit, "git_dirty": str(bool(_git("status", "--porcelain"))).lower()}
    for library in _LIBRARIES:
        try:
            facts[f"version.{library}"] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return facts


def log_facts(facts: Mapping[str, Any]) -> None:
    """Log parameters to the active run.

    Raises:
        CorpusError: where the run, gone on with, had others: then its checkpoints are of another corpus.
    """
    try:
        mlflow.log_params(dict(facts))
    except mlflow.MlflowException as error:
        raise CorpusError(
            f"the corpus or the watch list has changed since the training that was interrupted ({error.message}); "
            "train again without --resume"
        ) from None


class _Counted(MetaDataset):
    """A data set of which MLflow is told the digest and the count, and no rows."""

    def __init__(self, name: str, *, sha256: str, rows: int) -> None:
        self._rows = rows
        super().__init__(CodeDatasetSource(tags={}), name=name, digest=sha256[:_DIGEST_LIMIT])

    def to_dict(self) -> dict[str, str]:
        """Describe the data set as MLflow keeps it."""
        return {**super().to_dict(), "profile": json.dumps({"num_rows": self._rows})}


def log_dataset(name: str, *, sha256: str, rows: int, context: str) -> None:
    """Log a data set to the active run under our own digest; MLflow's looks at the first rows only.

    Args:
        name: what it is called.
        sha256: of its content.
        rows: how many paragraphs.
        context: what it is for, such as ``training``.
    """
    dataset = _Counted(name, sha256=sha256, rows=rows)
    mlflow.log_input(dataset, context=context, tags={"sha256": sha256, "rows": str(rows)})
    mlflow.set_tags({f"data.{context}.sha256": sha256, f"data.{context}.rows": str(rows)})


def flat_metrics(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Name the contract's metrics as MLflow shows them: ``encoder.topics.macro_f1`` and so on."""
    result = {}
    for part in PARTS:
        for key, value in metrics[part].items():
            if isinstance(value, int | float):
                result[f"{prefix}.{part}.{key}"] = float(value)
    for topic, values in metrics["topics"]["per_topic"].items():
        result[f"{prefix}.{topic}.f1"] = float(values["f1"])
    return result


def log_files(files: Mapping[str, str | bytes]) -> None:
    """Store texts and bytes as artifacts of the active run, by their paths there, in one call."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        mlflow.log_artifacts(folder)
