"""The model registry: versions of ``rasd``, the champion and the challenger."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from inference.errors import ModelFolderError
from inference.folder import read_manifest
from inference.predictor import CHAMPION_FILE
from training.store import use_store

REGISTERED_NAME = "rasd"
CHAMPION = "champion"
_SERVING = ("numpy", "onnxruntime", "tokenizers", "scikit-learn", "skops")


def register_model(folder: Path, *, tags: Mapping[str, str]) -> str:
    """Log a model folder to the active run as a pyfunc and register it.

    Args:
        folder: the model folder.
        tags: what the version shall say of itself.

    Returns:
        the version.
    """
    package = Path(__file__).resolve().parent.parent / "inference"
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("serving_model.py")),
        artifacts={"model": str(folder)},
        code_paths=[str(package)],
        pip_requirements=[f"{p}=={metadata.version(p)}" for p in _SERVING],
        input_example=["وصل وزير الخارجية إلى القاهرة في زيارة رسمية."],
        registered_model_name=REGISTERED_NAME,
    )
    version = str(info.registered_model_version)
    client = MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(REGISTERED_NAME, version, key, value)
    return version


def crown(version: str, *, model: str, models: Path, run_id: str, metrics: Mapping[str, Any]) -> None:
    """Make a version the champion, in the registry and in the models folder.

    Args:
        version: the registered version.
        model: ``encoder`` or ``tfidf``: which model folder it is.
        models: the models folder.
        run_id: the training run.
        metrics: the contract's metrics that it won with.
    """
    MlflowClient().set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
    data = {"model": model, "version": version, "run_id": run_id, "metrics": metrics}
    temporary = models / f".{CHAMPION_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    temporary.replace(models / CHAMPION_FILE)


def download_model(uri: str) -> Path:
    """Fetch a registered model's folder.

    Args:
        uri: such as ``models:/rasd@champion``.

    Raises:
        ModelFolderError: where the store does not have it.
    """
    use_store()
    try:
        root = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise ModelFolderError(f"{uri}: cannot be had from {mlflow.get_tracking_uri()} ({error})") from None
    for manifest in sorted(root.rglob("manifest.json")):
        read_manifest(manifest.parent, check_files=False)
        return manifest.parent
    raise ModelFolderError(f"{uri}: holds no model folder")
