"""A training's runs in MLflow: a parent, a child for each stage; none is left RUNNING when something ends it."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import mlflow
import psutil
from mlflow.tracking import MlflowClient

from training.config import Config, OutputConfig
from training.store import make_store, store_lock, use_store
from training.tracking import environment, flat, log_config

FAILURE = "failure"
_HOST, _PROCESS, _TRAINING = "process.host", "process.id", "training"
_SAMPLE_SECONDS = 5
_REASON_LIMIT = 500


def open_store(output: OutputConfig) -> str:
    """Point MLflow at the project's store and make its experiment, before anything runs in parallel.

    Returns:
        the experiment's id.
    """
    # A fresh store makes its tables when it is first used, and two trainings at once would both make them.
    uri = use_store(output)
    with store_lock(uri):
        make_store(uri)
        experiment = mlflow.set_experiment(output.experiment)
        # Otherwise the UI opens with its pages for language models and hides a run's description.
        mlflow.set_experiment_tag("mlflow.experimentKind", "custom_model_development")
    # It tells on every run that it starts and stops.
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    mlflow.set_system_metrics_sampling_interval(_SAMPLE_SECONDS)
    return str(experiment.experiment_id)


def _this_process() -> dict[str, str]:
    return {_HOST: socket.gethostname(), _PROCESS: _process_id(psutil.Process())}


def _process_id(process: psutil.Process) -> str:
    # The number alone is given again to another process some day; with its start it is not.
    return f"{process.pid} {process.create_time():.0f}"


def _is_alive(process: str) -> bool:
    try:
        found = psutil.Process(int(process.split()[0]))
        # A process that was killed and not yet waited for does nothing any more.
        return _process_id(found) == process and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, IndexError):
        return False


def mark_killed() -> list[str]:
    """Mark runs as KILLED that are still RUNNING though the process of this machine that ran them is gone.

    Returns:
        the ids of the runs that were marked.
    """
    client = MlflowClient()
    ours = f"attributes.status = 'RUNNING' and tags.`{_HOST}` = '{socket.gethostname()}'"
    experiments = [e.experiment_id for e in client.search_experiments()]
    running = client.search_runs(experiments, ours, max_results=1000) if experiments else []
    gone = []
    for run in running:
        process = run.data.tags.get(_PROCESS)
        if process and not _is_alive(process):
            client.set_tag(
                run.info.run_id, FAILURE, "its process ended without a word, as after kill -9 or a power cut"
            )
            client.set_terminated(run.info.run_id, "KILLED")
            gone.append(str(run.info.run_id))
    return gone


@contextmanager
def training_run(config: Config, *, name: str, token: str) -> Iterator[mlflow.ActiveRun]:
    """Open the parent run of a training; it ends FAILED when something is raised, KILLED when interrupted.

    Args:
        config: the resolved configuration, logged as parameters.
        name: the run's name, for people.
        token: names the training; the run of a training that was interrupted is gone on with.
    """
    parameters = flat(config.model_dump(mode="json"))
    with _run(name, run_id=_begun(token), log_system_metrics=True, tags={_TRAINING: token}) as run:
        mlflow.log_params(parameters)
        mlflow.set_tags(environment())
        log_config(config)
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
    above = mlflow.active_run()
    if above is None:
        return None
    wanted = f"tags.`mlflow.parentRunId` = '{above.info.run_id}'"
    children = MlflowClient().search_runs([above.info.experiment_id], wanted)
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
        tags={**_this_process(), "mlflow.source.name": "rasd train", **(tags or {})},
    )
    if FAILURE in run.data.tags:
        MlflowClient().delete_tag(run.info.run_id, FAILURE)
    try:
        yield run
    except KeyboardInterrupt:
        _end("KILLED", "interrupted")
        raise
    except BaseException as error:
        _end("FAILED", f"{type(error).__name__}: {error}", trace=traceback.format_exc())
        raise
    mlflow.end_run("FINISHED")


def _end(status: str, reason: str, *, trace: str | None = None) -> None:
    # A store that is gone cannot be told why, and must not hide what went wrong.
    with suppress(Exception):
        mlflow.set_tag(FAILURE, reason[:_REASON_LIMIT])
        if trace:
            mlflow.log_text(trace, "failure.txt")
    mlflow.end_run(status)
