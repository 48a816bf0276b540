"""The commands that need more than a model folder: train, distill, label, models, compare, encoders and the servers."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from inference.errors import ConfigError, InputError
from training.config import Config, OutputConfig, load_config
from training.store import QUIET, store_uri, use_store

if TYPE_CHECKING:
    from training.registry import Version

_LOG_WIDTH = 120
_DEFAULT = Path("configs/default.yaml")


def run(options: argparse.Namespace) -> int:
    """Run one of the commands; the parser of ``inference.cli`` has read the options."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(show_path=False)])
    commands = {
        "train": _train,
        "distill": _distill,
        "label": _label,
        "models": _models,
        "compare": _compare,
        "encoders": _encoders,
        "dashboard": _dashboard,
        "serve": _serve,
    }
    return commands[options.command](options)


def _config(options: argparse.Namespace) -> Config:
    config = load_config(options.config or (_DEFAULT if _DEFAULT.exists() else None), options.set)
    if not Path(config.topics).exists():
        raise ConfigError(f"{config.topics}: no such watch list; run rasd in the project's folder, or set topics=FILE")
    return config


def _train(options: argparse.Namespace) -> int:
    from training import processes
    from training.pipeline import take_part, train

    if not processes.is_first():
        take_part(_config(options))
        return 0
    # An ended run must say so: what `kill` asks for is an interruption as Ctrl-C is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A log file has no width of its own, and a table cut to 80 columns loses its figures.
    width = None if sys.stdout.isatty() else _LOG_WIDTH
    train(_config(options), resume=options.resume, console=Console(width=width))
    return 0


def _distill(options: argparse.Namespace) -> int:
    from training.distill import distill

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    width = None if sys.stdout.isatty() else _LOG_WIDTH
    distill(_config(options), teacher=options.teacher, sources=options.input, console=Console(width=width))
    return 0


def _output(options: argparse.Namespace) -> OutputConfig:
    output = load_config(options.config or (_DEFAULT if _DEFAULT.exists() else None), options.set).output
    use_store(output)
    return output


def _models(options: argparse.Namespace) -> int:
    from training import registry, runs

    output = _output(options)
    runs.mark_killed()
    models = Path(output.models)
    if options.action == "promote":
        if options.version is None:
            raise InputError("say which version: rasd models promote VERSION; `rasd models` lists them")
        done = registry.promote(options.version, models=models)
    elif options.action == "rollback":
        done = registry.rollback(models=models)
    else:
        return _list_models(registry.versions(), as_json=options.json)
    print(f"Champion: version {done.version} ({done.tags.get('kind', 'unknown')}, {done.tags.get('base', 'unknown')})")
    return 0


def _list_models(found: Sequence[Version], *, as_json: bool) -> int:
    if as_json:
        rows = [{"version": v.version, "aliases": v.aliases, "created": v.created, "tags": dict(v.tags)} for v in found]
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for v in found:
        made = datetime.fromtimestamp(v.created / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        worth = f"{v.tags.get('joint.macro_f1', '?')} ({v.tags.get('joint.macro_f1.interval', 'no interval')})"
        alias = f"@{' @'.join(v.aliases)}" if v.aliases else ""
        print(f"version {v.version:<4} {alias:<12} {v.tags.get('kind', '?'):<8} joint macro-F1 {worth}")
        print(f"    {v.tags.get('base', '?')}; made {made} UTC in run {v.tags.get('run', '?')}")
    if not found:
        print("No model is registered yet; run `rasd train` first.")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from training import runs
    from training.compare import compare_runs, show

    _output(options)
    runs.mark_killed()
    found = compare_runs(options.first, options.second, model=options.model)
    if options.json:
        print(json.dumps([c.to_json() for c in found], ensure_ascii=False))
    else:
        show(found, console=Console(), detail=options.model)
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
    from training.encoders import KNOWN, how_to_get, is_available

    rows = [
        {
            "name": k.name,
            "source": k.hub_id,
            "parameters_m": k.parameters,
            "megabytes": k.megabytes,
            "licence": k.licence,
            "note": k.note,
            "available": is_available(k),
            "how_to_get": how_to_get(k),
        }
        for k in KNOWN
    ]
    if options.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    table = Table("encoder.name", "M parameters", "MB", "licence of the weights", "here?", "for")
    for k, row in zip(KNOWN, rows, strict=True):
        here = "yes" if row["available"] else "no"
        table.add_row(k.name, str(k.parameters), str(k.megabytes), k.licence, here, k.note)
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)
    console.print(table)
    missing = [f"  {row['name']:<16}{row['how_to_get']}" for row in rows if row["how_to_get"]]
    if missing:
        # Not through rich: a line that is to be copied must not be broken.
        print("\n".join(["To get those that are not here, where there is a network:", *missing]))
    print("Without a network copy the folder here and train with --set encoder.name=FOLDER.")
    print("Any other BERT-like encoder will do, by its hub id or folder.")
    return 0


def _need_mlflow() -> None:
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("MLflow is not installed: pip install 'rasd[train]'")


def _mlflow(*arguments: str, store: str | None = None) -> int:
    _need_mlflow()
    environment = {**os.environ, **QUIET}
    environment["MLFLOW_TRACKING_URI"] = store or store_uri()
    # MLflow starts uvicorn by name, which lies beside this Python where the environment is not activated.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return subprocess.run([sys.executable, "-m", "mlflow", *arguments], env=environment, check=False).returncode


def _dashboard(options: argparse.Namespace) -> int:
    from training import runs

    output = _output(options)
    store, experiment = store_uri(output), runs.open_store(output)
    for run_id in runs.mark_killed():
        print(f"Run {run_id} was killed; marked so")
    # Of MLflow's two faces the one for models that are trained, and not for language models that are asked.
    page = f"#/experiments/{experiment}/runs?workflowType=machine_learning"
    if store.startswith(("http://", "https://")):
        print(f"The store is a server, with a dashboard of its own: {store}/{page}")
        return 0
    print(f"Dashboard on {store}: http://{options.host}:{options.port}/{page}", flush=True)
    return _mlflow("ui", "--backend-store-uri", store, "--host", options.host, "--port", str(options.port), store=store)


def _serve(options: argparse.Namespace) -> int:
    _need_mlflow()
    from training.serving import servable

    # A server is stopped by this signal more often than by hand; what was saved for it goes with it.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with servable(options.model) as model:
            print(f"REST on http://{options.host}:{options.port}/invocations", flush=True)
            where = ("--host", options.host, "-p", str(options.port))
            return _mlflow("models", "serve", "-m", model, "--env-manager", "local", *where)
    finally:
        signal.signal(signal.SIGTERM, before)
