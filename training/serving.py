"""A model folder as MLflow takes it: a pyfunc from code, with the code that it needs beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow

from inference.folder import read_manifest
from inference.predictor import resolve_model

_NEEDED = ("numpy", "onnxruntime", "tokenizers", "scikit-learn", "skops")
_SAVED = "MLmodel"


def pyfunc(folder: Path) -> dict[str, Any]:
    """Give what ``mlflow.pyfunc`` saves or logs a model folder with.

    Args:
        folder: the model folder.
    """
    package = Path(__file__).resolve().parent.parent / "inference"
    return {
        "python_model": str(Path(__file__).with_name("serving_model.py")),
        "artifacts": {"model": str(folder)},
        "code_paths": [str(package)],
        "pip_requirements": [f"{p}=={metadata.version(p)}" for p in _NEEDED],
    }


@contextmanager
def servable(model: str) -> Iterator[str]:
    """Give what MLflow's server takes: an MLflow URI or a saved model as it is, a model folder saved for the while.

    Args:
        model: a model's name, a model folder, a folder that MLflow saved, or an MLflow URI.

    Raises:
        ModelFolderError: where a name or a folder stands for no model.
    """
    if ":/" in model or (Path(model) / _SAVED).exists():
        yield model
        return
    folder = resolve_model(model)
    # Checked before a server starts that would fail for it.
    read_manifest(folder)
    with tempfile.TemporaryDirectory(prefix="rasd-serve-") as temporary:
        target = Path(temporary) / "model"
        mlflow.pyfunc.save_model(target, **pyfunc(folder))
        yield str(target)
