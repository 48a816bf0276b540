"""Where MLflow keeps the runs: one address for training, registry, dashboard and serving."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests
from filelock import FileLock, Timeout

from inference.errors import ConfigError, RasdError
from training.config import OutputConfig, load_config

_SQLITE = "sqlite:///"
_DEFAULT = Path("configs/default.yaml")
_ANSWERED = 10
# For MLflow's servers: nothing is told to its makers, and none of the half a dozen processes is started that would
# judge answers of language models.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_LOCK_SECONDS = 10.0


def store_uri(output: OutputConfig | None = None) -> str:
    """Give the tracking store's address.

    ``MLFLOW_TRACKING_URI`` of the environment goes before the configuration. A relative sqlite path is made absolute:
    MLflow keeps one connection per address, and would otherwise go on in the folder it was first used in.

    Args:
        output: the configuration; what ``configs/default.yaml`` says where None.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or (output or _configured()).tracking_uri
    path = _file_of(uri)
    return uri if path is None or path.is_absolute() else f"{_SQLITE}{path.resolve()}"


def _file_of(uri: str) -> Path | None:
    """Give the file of a store that is a sqlite file; None of any other."""
    path = uri.removeprefix(_SQLITE)
    return Path(path) if uri.startswith(_SQLITE) and path != ":memory:" else None


def _configured() -> OutputConfig:
    return load_config(_DEFAULT if _DEFAULT.exists() else None).output


def check_store(uri: str) -> None:
    """Check that a store which is a file can be written now; MLflow would try again for minutes before it said so.

    Raises:
        ConfigError: where it cannot, with what to do.
    """
    path = _file_of(uri)
    if path is None:
        return
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{path}: may not be written here; work in a folder of yours, or set MLFLOW_TRACKING_URI")
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")
    except sqlite3.Error as error:
        todo = {
            "database is locked": "another process has held it for long; wait for that, or end it",
            "file is not a database": "move it away and train again, or put back a copy",
            "database disk image is malformed": "move it away and train again, or put back a copy",
        }
        raise ConfigError(f"{path}: {error}; {todo.get(str(error), 'see that it can be read and written')}") from None


def use_store(output: OutputConfig | None = None) -> str:
    """Point MLflow at the store, and give its address.

    Raises:
        ConfigError: where the store is a file that cannot be used.
        RasdError: where the store is a server that does not answer.
    """
    import mlflow

    asked = os.environ.get("MLFLOW_TRACKING_URI")
    uri = store_uri(output)
    check_store(uri)
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
    mlflow.set_tracking_uri(uri)
    # MLflow writes the address into the environment, where it would pass for the user's own wish later on.
    if asked is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return uri


def _check_server(uri: str) -> None:
    # MLflow would try for minutes, and then show its inside.
    try:
        requests.head(uri, timeout=_ANSWERED, allow_redirects=False)
    except requests.RequestException as error:
        raise RasdError(
            f"{uri}: the MLflow server does not answer ({type(error).__name__}); start it, or set "
            "MLFLOW_TRACKING_URI or output.tracking_uri to where it is"
        ) from None


def make_store(uri: str) -> None:
    """Make a store that is a sqlite file and is not there yet, so that it is whole or absent.

    MLflow makes its tables step by step, and finds its own way no more where a kill cuts it off between two steps.

    Args:
        uri: the store's address.
    """
    from mlflow.tracking import MlflowClient

    path = _file_of(uri)
    if path is None or path.exists():
        return
    making = path.with_name(f"{path.name}.making")
    for left in path.parent.glob(f"{making.name}*"):
        left.unlink()
    MlflowClient(tracking_uri=f"{_SQLITE}{making}", registry_uri=f"{_SQLITE}{making}").search_experiments()
    making.replace(path)


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Let one process at a time do what two at once would spoil, in a store that is one sqlite file.

    The lock is a file beside the store, and goes with its process however that ends. A store behind a server sees to
    itself: this does nothing there.

    Args:
        uri: the store's address.
    """
    path = _file_of(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # One lock a path and process: who holds it may take it again.
    with FileLock(f"{path}.lock", is_singleton=True):
        yield


@contextmanager
def models_lock(models: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Let one training at a time write into a models folder; the next one waits, and says so.

    Args:
        models: the models folder.
        say: where to.
    """
    models.mkdir(parents=True, exist_ok=True)
    lock = FileLock(models / ".lock", is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(
            f"Another training is writing into {models}; this one waits until it has ended. "
            "(Trainings with folders of their own run side by side: --set output.models=FOLDER)"
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
