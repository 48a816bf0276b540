"""Runs in MLflow: a parent for a training, children for its stages; nothing is left RUNNING when something fails."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

# Before the import: MLflow reads it then, and sends usage data to its makers otherwise.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Progress is ours to show; MLflow's own notes would break the bars.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.config import Config, OutputConfig
from training.store import use_store

_LIBRARIES = ("torch", "transformers", "datasets", "scikit-learn", "mlflow", "onnxruntime", "tokenizers", "numpy")
_PARAMETER_LIMIT = 500


def open_store(output: OutputConfig) -> None:
    """Point MLflow at the project's store and make its experiment, before anything runs in parallel."""
    use_store(output)
    mlflow.set_experiment(output.experiment)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten a nested configuration to ``a.b`` names, values as MLflow's parameters can hold them."""
    result: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flat(value, f"{name}.")
        else:
            result[name] = str(value)[:_PARAMETER_LIMIT]
    return result


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


@contextmanager
def training_run(config: Config, *, name: str) -> Iterator[mlflow.ActiveRun]:
    """Open the parent run of a training; it ends FAILED when something is raised, KILLED when interrupted."""
    with _run(name) as run:
        mlflow.log_params(flat(config.model_dump()))
        mlflow.set_tags(environment())
        yield run


@contextmanager
def stage(name: str) -> Iterator[mlflow.ActiveRun]:
    """Open a child run for one stage of a training."""
    with _run(name, nested=True) as run:
        yield run


@contextmanager
def _run(name: str, *, nested: bool = False) -> Iterator[mlflow.ActiveRun]:
    run = mlflow.start_run(run_name=name, nested=nested, log_system_metrics=False)
    try:
        yield run
    except KeyboardInterrupt:
        mlflow.end_run("KILLED")
        raise
    except BaseException:
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def flat_metrics(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Name the contract's metrics as MLflow shows them: ``encoder.topics.macro_f1`` and so on."""
    result = {}
    for part in ("topics", "stance", "joint"):
        for key, value in metrics[part].items():
            if isinstance(value, int | float):
                result[f"{prefix}.{part}.{key}"] = float(value)
    for topic, values in metrics["topics"]["per_topic"].items():
        result[f"{prefix}.{topic}.f1"] = float(values["f1"])
    return result


def log_text_artifact(text: str, file: str) -> None:
    """Store a text as an artifact of the active run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file).name
        path.write_text(text, "utf-8")
        mlflow.log_artifact(str(path), artifact_path=str(Path(file).parent) if "/" in file else None)


class MetricsCallback(TrainerCallback):
    """Logs loss, learning rates and speed of the fine-tuning to the active run, a call per report."""

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Log what the Trainer reports."""
        values = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        if values and state.is_world_process_zero:
            mlflow.log_metrics(values, step=state.global_step)
