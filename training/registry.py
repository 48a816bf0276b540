"""The model registry: versions of ``rasd``, the champion and the challenger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from inference.errors import ModelFolderError, RasdError
from inference.folder import MANIFEST, read_manifest
from training import champion
from training.card import body
from training.serving import pyfunc
from training.store import store_lock, use_store

REGISTERED_NAME = "rasd"
CHAMPION = "champion"
CHALLENGER = "challenger"
HISTORY = "champion.history"
_DESCRIPTION = (
    "Topics and stances of Arabic news paragraphs.\n\n`@champion` is what `rasd predict` and `rasd serve` use. It "
    "moves only to a version that is better on the same gold by more than noise (paired bootstrap); the newest that "
    "was not is `@challenger`. `rasd models promote VERSION` and `rasd models rollback` move it by hand."
)


@dataclass(frozen=True)
class Version:
    """A registered version.

    Args:
        version: its number.
        aliases: such as ``champion``.
        tags: what it says of itself: ``kind``, ``base``, ``run``, ``gold.sha256``, ``joint.macro_f1``.
        created: milliseconds since 1970, UTC.
    """

    version: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created: int


def register_model(folder: Path, *, tags: Mapping[str, str]) -> str:
    """Log a model folder to the active run as a pyfunc and register it, with its card as description.

    Args:
        folder: the model folder.
        tags: what the version shall say of itself.

    Returns:
        the version.
    """
    version = _registered_by_this_run() or _register(folder)
    client = MlflowClient()
    if not client.get_registered_model(REGISTERED_NAME).description:
        client.update_registered_model(REGISTERED_NAME, description=_DESCRIPTION)
    for key, value in tags.items():
        client.set_model_version_tag(REGISTERED_NAME, version, key, value)
    card = folder / "README.md"
    if card.exists():
        client.update_model_version(REGISTERED_NAME, version, description=body(card.read_text("utf-8")))
    return version


def _registered_by_this_run() -> str | None:
    """Give the version that the active run registered before it was killed, if it came so far."""
    run = mlflow.active_run()
    if run is None:
        return None
    found = MlflowClient().search_model_versions(f"run_id='{run.info.run_id}'")
    return next((str(v.version) for v in found if v.name == REGISTERED_NAME), None)


def _register(folder: Path) -> str:
    info = mlflow.pyfunc.log_model(
        name="model",
        **pyfunc(folder),
        input_example=["وصل وزير الخارجية إلى القاهرة في زيارة رسمية."],
        registered_model_name=REGISTERED_NAME,
    )
    return str(info.registered_model_version)


def aliases() -> dict[str, str]:
    """Give alias to version; empty where nothing is registered yet."""
    try:
        found = MlflowClient().get_registered_model(REGISTERED_NAME).aliases
    except MlflowException:
        return {}
    return {str(k): str(v) for k, v in found.items()}


def versions() -> list[Version]:
    """Give every registered version, newest first."""
    names = aliases()
    found = MlflowClient().search_model_versions(f"name='{REGISTERED_NAME}'")
    rows = [
        Version(
            str(v.version),
            tuple(sorted(a for a, number in names.items() if number == str(v.version))),
            dict(v.tags),
            int(v.creation_timestamp),
        )
        for v in found
    ]
    return sorted(rows, key=lambda v: -int(v.version))


def champion_folder(models: Path, version: str) -> Path:
    """Give the folder of a registered version: what ``champion.json`` names if it is that one, else the registry's.

    Raises:
        ModelFolderError: where neither can be had.
    """
    pointer = champion.read_pointer(models)
    if str(pointer.get("version")) == version:
        folder = models / str(pointer.get("folder", pointer.get("model")))
        if (folder / MANIFEST).exists():
            return folder
    return fetch(f"models:/{REGISTERED_NAME}/{version}")


def crown(
    version: str, *, models: Path, model: str, folder: str, run_id: str, metrics: Mapping[str, Any], note: bool = True
) -> None:
    """Make a version the champion, in the registry and in the models folder.

    Args:
        version: the registered version.
        models: the models folder.
        model: ``encoder`` or ``tfidf``: which kind it is.
        folder: the version's folder, relative to the models folder.
        run_id: the training run.
        metrics: the contract's metrics that it has.
        note: remember the champion before it, for a rollback.
    """
    client = MlflowClient()
    names = aliases()
    before = names.get(CHAMPION)
    # A training that was killed right here notes it once, not twice.
    if note and before not in (None, version) and history()[-1:] != [str(before)]:
        _write_history([*history(), str(before)])
    client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
    if names.get(CHALLENGER) == version:
        client.delete_registered_model_alias(REGISTERED_NAME, CHALLENGER)
    champion.write_pointer(
        models, {"model": model, "folder": folder, "version": version, "run_id": run_id, "metrics": dict(metrics)}
    )
    champion.prune(models, keep={folder.removeprefix(f"{champion.KEPT}/"), str(before)})


def challenge(version: str) -> None:
    """Give a version the alias ``challenger``."""
    MlflowClient().set_registered_model_alias(REGISTERED_NAME, CHALLENGER, version)


def follow(models: Path) -> None:
    """Make ``champion.json`` follow the registry's alias, where it names another version or a folder that is gone."""
    version = aliases().get(CHAMPION)
    pointer = champion.read_pointer(models)
    folder = models / str(pointer.get("folder", pointer.get("model")))
    if version and (str(pointer.get("version")) != version or not (folder / MANIFEST).exists()):
        promote(version, models=models)


def promote(version: str, *, models: Path, note: bool = True) -> Version:
    """Make a registered version the champion by hand; its folder is fetched from the registry.

    Args:
        version: the registered version.
        models: the models folder.
        note: remember the champion before it, for a rollback.

    Raises:
        RasdError: where there is no such version.
    """
    known = {v.version: v for v in versions()}
    if version not in known:
        listed = ", ".join(known) or "none yet; run `rasd train` first"
        raise RasdError(f"version {version!r}: not registered; there are: {listed}")
    source = fetch(f"models:/{REGISTERED_NAME}/{version}")
    tags = known[version].tags
    crown(
        version,
        models=models,
        model=read_manifest(source).kind,
        folder=champion.install(source, models, version),
        run_id=tags.get("run", ""),
        metrics=json.loads(tags.get("metrics", "{}")),
        note=note,
    )
    return known[version]


def rollback(*, models: Path) -> Version:
    """Make the version champion that was champion before.

    Raises:
        RasdError: where there was none.
    """
    with store_lock(mlflow.get_tracking_uri()):
        before = history()
        if not before:
            raise RasdError("there was no champion before this one; `rasd models` lists them, promote one of them")
        found = promote(before[-1], models=models, note=False)
        _write_history(before[:-1])
    return found


def history() -> list[str]:
    """Give the versions that were champion before, the latest last."""
    try:
        tags = MlflowClient().get_registered_model(REGISTERED_NAME).tags
    except MlflowException:
        return []
    return [v for v in str(tags.get(HISTORY, "")).split(",") if v]


def _write_history(found: list[str]) -> None:
    MlflowClient().set_registered_model_tag(REGISTERED_NAME, HISTORY, ",".join(found[-100:]))


def fetch(uri: str) -> Path:
    """Fetch a registered model's folder from the store that MLflow points at.

    Raises:
        ModelFolderError: where the store does not have it.
    """
    try:
        root = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        raise ModelFolderError(f"{uri}: cannot be had from {mlflow.get_tracking_uri()} ({error})") from None
    for manifest in sorted(root.rglob(MANIFEST)):
        read_manifest(manifest.parent, check_files=False)
        return manifest.parent
    raise ModelFolderError(f"{uri}: holds no model folder")


def download_model(uri: str) -> Path:
    """Fetch a registered model's folder from the project's store.

    Args:
        uri: such as ``models:/rasd@champion``.

    Raises:
        ModelFolderError: where the store does not have it.
    """
    use_store()
    return fetch(uri)
