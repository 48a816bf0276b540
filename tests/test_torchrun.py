"""Two processes under torchrun train as one does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from inference.folder import read_manifest
from tests import tiny
from training.store import use_store


def validation_losses(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.chdir(project)
    use_store()
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    assert {r.info.status for r in runs} == {"FINISHED"}
    (run,) = [r for r in runs if str(r.info.run_name).startswith("encoder")]
    return [m.value for m in MlflowClient().get_metric_history(run.info.run_id, "training/validation_loss")]


@pytest.mark.slow
def test_two_processes_give_what_one_gives_within_noise(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny.project(tmp_path / "project")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "training", "train", "--config", "tiny.yaml"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for folder in ("encoder", "tfidf", "weak"):
        read_manifest(project / "models" / folder)
    assert done.stdout.count("Champion: version") == 1
    two, one = validation_losses(project, monkeypatch), validation_losses(trained, monkeypatch)
    assert len(two) == len(one) == 3
    # Two processes make up the batches of the five validation paragraphs otherwise, which shifts every loss alike ...
    assert two == pytest.approx(one, abs=0.08)
    # ... and what each epoch of training brought is the same.
    assert np.diff(two) == pytest.approx(np.diff(one), abs=0.001)
