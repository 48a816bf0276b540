"""Where MLflow keeps the runs: one address for training, registry, dashboard and serving."""

from __future__ import annotations

import os
from pathlib import Path

from training.config import OutputConfig

_SQLITE = "sqlite:///"


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


def use_store(output: OutputConfig | None = None) -> str:
    """Point MLflow at the store, and give its address."""
    import mlflow

    asked = os.environ.get("MLFLOW_TRACKING_URI")
    uri = store_uri(output)
    mlflow.set_tracking_uri(uri)
    # MLflow writes the address into the environment, where it would pass for the user's own wish later on.
    if asked is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return uri
