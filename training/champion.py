"""``champion.json`` in the models folder, and the folder that it names.

It follows the registry's alias. It names a folder that is not touched while the champion stands: the fresh
``encoder`` or ``tfidf``, or, from the next training on, a copy in ``champions/VERSION``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.folder import MANIFEST, link_or_copy, write_whole
from inference.predictor import CHAMPION_FILE

KEPT = "champions"


def keep(models: Path) -> None:
    """Copy the champion's folder aside before a training overwrites it; ``champion.json`` then names the copy."""
    pointer = read_pointer(models)
    live = pointer.get("folder", pointer.get("model"))
    if live is None or str(live).startswith(f"{KEPT}/") or not (models / str(live) / MANIFEST).exists():
        return
    folder = install(models / str(live), models, str(pointer["version"]))
    write_pointer(models, {**pointer, "folder": folder})


def read_pointer(models: Path) -> dict[str, Any]:
    """Read ``champion.json``; empty where there is none, or none that can be read."""
    try:
        data = json.loads((models / CHAMPION_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_pointer(models: Path, data: Mapping[str, Any]) -> None:
    """Write ``champion.json``, as a whole or not at all."""
    models.mkdir(parents=True, exist_ok=True)
    write_whole(models / CHAMPION_FILE, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def install(source: Path, models: Path, version: str) -> str:
    """Put a version's folder among the kept champions.

    Args:
        source: the model folder.
        models: the models folder.
        version: the registered version.

    Returns:
        where it lies now, relative to the models folder.
    """
    target = models / KEPT / version
    if target.exists() and target.resolve() == source.resolve():
        return f"{KEPT}/{version}"
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=target.parent))
    try:
        shutil.copytree(source, work / "model", copy_function=link_or_copy)
        shutil.rmtree(target, ignore_errors=True)
        (work / "model").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return f"{KEPT}/{version}"


def prune(models: Path, *, keep: set[str]) -> None:
    """Remove the kept champions but these versions."""
    # The champion before stays: a process that has just read champion.json may still be loading it.
    for folder in (models / KEPT).glob("*"):
        if folder.name not in keep and not folder.name.startswith("."):
            shutil.rmtree(folder, ignore_errors=True)
