"""Where MLflow keeps the runs: one address for training, registry, dashboard and serving."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from inference.errors import ConfigError
from training.config import OutputConfig

_SQLITE = "sqlite:///"
_LOCK_SECONDS = 10.0


def store_uri(output: OutputConfig | None = None) -> str:
    """Give the tracking store's address.

    ``MLFLOW_TRACKING_URI`` of the environment goes before the configuration. A relative sqlite path is made absolute:
    MLflow keeps one connection per address, and would otherwise go on in the folder it was first used in.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or (output or OutputConfig()).tracking_uri
    path = uri.removeprefix(_SQLITE)
    if uri.startswith(_SQLITE) and not path.startswith("/") and path != ":memory:":
        return f"{_SQLITE}{Path(path).resolve()}"
    return uri


def check_store(uri: str) -> None:
    """Check that a store which is a file can be written now; MLflow would try again for minutes before it said so.

    Raises:
        ConfigError: where it cannot, with what to do.
    """
    path = Path(uri.removeprefix(_SQLITE))
    if not uri.startswith(_SQLITE) or str(path) == ":memory:":
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
    """
    import mlflow

    check_store(store_uri(output))
    asked = os.environ.get("MLFLOW_TRACKING_URI")
    uri = store_uri(output)
    mlflow.set_tracking_uri(uri)
    # MLflow writes the address into the environment, where it would pass for the user's own wish later on.
    if asked is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return uri
