"""Runs in MLflow: a parent for a training, children for its stages; nothing is left RUNNING when something fails."""

from __future__ import annotations

import logging
import os
import platform
import socket
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
import psutil
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.tracking import MlflowClient
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from inference.errors import CorpusError
from training.config import Config, OutputConfig
from training.store import use_store

_LIBRARIES = ("torch", "transformers", "datasets", "scikit-learn", "mlflow", "onnxruntime", "tokenizers", "numpy")
_PARAMETER_LIMIT = 500
_DIGEST_LIMIT = 32
_HOST, _PROCESS, _TRAINING = "process.host", "process.id", "training"
_SAMPLE_SECONDS = 5


def open_store(output: OutputConfig) -> None:
    """Point MLflow at the project's store and make its experiment, before anything runs in parallel."""
    use_store(output)
    mlflow.set_experiment(output.experiment)
    # Otherwise the UI opens with its pages for language models and hides a run's description.
    mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")
    # It tells on every run that it starts and stops.
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    mlflow.set_system_metrics_sampling_interval(_SAMPLE_SECONDS)


def _this_process() -> dict[str, str]:
    return {_HOST: socket.gethostname(), _PROCESS: _process_id(psutil.Process())}


def _process_id(process: psutil.Process) -> str:
    # The number alone is given again to another process some day; with its start it is not.
    return f"{process.pid} {process.create_time():.0f}"


def _is_alive(process: str) -> bool:
    try:
        return _process_id(psutil.Process(int(process.split()[0]))) == process
    except (psutil.Error, ValueError, IndexError):
        return False


def mark_killed(output: OutputConfig) -> list[str]:
    """Mark runs as KILLED that are still RUNNING though the process of this machine that ran them is gone.

    Args:
        output: names the experiment.

    Returns:
        the ids of the runs that were marked.
    """
    client = MlflowClient()
    experiment = client.get_experiment_by_name(output.experiment)
    if experiment is None:
        return []
    running = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'", max_results=1000)
    gone = []
    for run in running:
        host, process = run.data.tags.get(_HOST), run.data.tags.get(_PROCESS)
        if host == socket.gethostname() and process and not _is_alive(process):
            client.set_terminated(run.info.run_id, "KILLED")
            gone.append(str(run.info.run_id))
    return gone


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
def training_run(config: Config, *, name: str, token: str) -> Iterator[mlflow.ActiveRun]:
    """Open the parent run of a training; it ends FAILED when something is raised, KILLED when interrupted.

    Args:
        config: the resolved configuration, logged as parameters.
        name: the run's name, for people.
        token: names the training; the run of a training that was interrupted is gone on with.
    """
    parameters = flat(config.model_dump())
    with _run(name, run_id=_begun(token), log_system_metrics=True, tags={_TRAINING: token}) as run:
        mlflow.log_params(parameters)
        mlflow.set_tags(environment())
        yield run


def _begun(token: str) -> str | None:
    """Give the run of a training, where it came so far as to have one."""
    wanted = f"tags.`{_TRAINING}` = '{token}'"
    found = mlflow.search_runs(filter_string=wanted, output_format="list", max_results=1)
    return str(found[0].info.run_id) if found else None


@contextmanager
def stage(name: str) -> Iterator[mlflow.ActiveRun]:
    """Open a child run for one stage of a training; in a run that is gone on with, the child of that name again."""
    with _run(name, run_id=_child(name), nested=True) as run:
        yield run


def _child(name: str) -> str | None:
    parent = mlflow.active_run()
    if parent is None:
        return None
    wanted = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    children = MlflowClient().search_runs([parent.info.experiment_id], wanted)
    return next((str(c.info.run_id) for c in children if c.info.run_name == name), None)


@contextmanager
def _run(
    name: str,
    *,
    run_id: str | None = None,
    nested: bool = False,
    log_system_metrics: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Iterator[mlflow.ActiveRun]:
    run = mlflow.start_run(
        run_id=run_id,
        run_name=None if run_id else name,
        nested=nested,
        log_system_metrics=log_system_metrics,
        tags={**_this_process(), **(tags or {})},
    )
    try:
        yield run
    except KeyboardInterrupt:
        mlflow.end_run("KILLED")
        raise
    except BaseException:
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


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


def log_dataset(name: str, *, sha256: str, rows: int, context: str) -> None:
    """Log a data set to the active run under our own digest; MLflow's looks at the first rows only.

    Args:
        name: what it is called.
        sha256: of its content.
        rows: how many paragraphs.
        context: what it is for, such as ``training``.
    """
    dataset = MetaDataset(CodeDatasetSource(tags={}), name=name, digest=sha256[:_DIGEST_LIMIT])
    mlflow.log_input(dataset, context=context, tags={"sha256": sha256, "rows": str(rows)})
    mlflow.set_tags({f"data.{context}.sha256": sha256, f"data.{context}.rows": str(rows)})


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


def log_files(files: Mapping[str, str | bytes]) -> None:
    """Store texts and bytes as artifacts of the active run, by their paths there, in one call."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        mlflow.log_artifacts(folder)


class MetricsCallback(TrainerCallback):
    """Logs loss, learning rates and speed of the fine-tuning to the active run, a call per report.

    Attributes:
        history: what the Trainer has logged so far, for the learning curve.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Log what the Trainer reports."""
        # MLflow's charts are grouped by what stands before the slash.
        values = {f"training/{k}": float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        # A resumed training starts with the log of the steps before.
        self.history = [dict(entry) for entry in state.log_history]
        if values and state.is_world_process_zero:
            mlflow.log_metrics(values, step=state.global_step)
