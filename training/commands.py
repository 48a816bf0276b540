"""The commands that need more than a model folder: train, label, encoders, dashboard, serve."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from inference.errors import ConfigError
from training.config import Config, load_config
from training.store import store_uri

_DEFAULT = Path("configs/default.yaml")


def run(options: argparse.Namespace) -> int:
    """Run one of the commands; the parser of ``inference.cli`` has read the options."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    commands = {"train": _train, "label": _label, "encoders": _encoders, "dashboard": _dashboard, "serve": _serve}
    return commands[options.command](options)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config or (_DEFAULT if _DEFAULT.exists() else None), options.set)
    if not Path(config.topics).exists():
        raise ConfigError(f"{config.topics}: no such watch list; run rasd in the project's folder, or set topics=FILE")
    return config


def _train(options: argparse.Namespace) -> int:
    from training.pipeline import train

    train(_config(options), resume=options.resume, console=Console())
    return 0


def _label(options: argparse.Namespace) -> int:
    from training.label import label_corpus

    label_corpus(
        _config(options),
        source=options.input,
        output=options.output,
        gold=options.gold,
        as_json=options.json,
        skip_broken=options.skip_broken,
    )
    return 0


def _encoders(options: argparse.Namespace) -> int:
    from training.encoders import KNOWN, is_available

    rows = [
        {
            "name": k.name,
            "source": k.hub_id,
            "parameters_m": k.parameters,
            "licence": k.licence,
            "note": k.note,
            "available": is_available(k),
        }
        for k in KNOWN
    ]
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    table = Table("encoder.name", "from", "M parameters", "licence", "here?", "for")
    for k, row in zip(KNOWN, rows, strict=True):
        table.add_row(k.name, k.hub_id, str(k.parameters), k.licence, "yes" if row["available"] else "no", k.note)
    console = Console()
    console.print(table)
    console.print(
        "To get one that is not here: `hf download NAME --local-dir FOLDER` on a machine with a network, copy the "
        "folder, and train with --set encoder.name=FOLDER. Any BERT-like hub id or folder will do."
    )
    return 0


def _mlflow(*arguments: str) -> int:
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("MLflow is not installed: pip install 'rasd[train]'")
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_TRACKING_URI"] = store_uri()
    return subprocess.run([sys.executable, "-m", "mlflow", *arguments], env=environment, check=False).returncode


def _dashboard(options: argparse.Namespace) -> int:
    store = store_uri()
    print(f"Dashboard on {store}: http://{options.host}:{options.port}", flush=True)
    return _mlflow("ui", "--backend-store-uri", store, "--host", options.host, "--port", str(options.port))


def _serve(options: argparse.Namespace) -> int:
    print(f"REST on http://{options.host}:{options.port}/invocations", flush=True)
    return _mlflow(
        "models",
        "serve",
        "-m",
        options.model,
        "--env-manager",
        "local",
        "--host",
        options.host,
        "-p",
        str(options.port),
    )
