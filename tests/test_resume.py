"""A training that is killed for real, at any moment, and gone on with ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from safetensors.numpy import load_file

from inference.cli import main
from inference.errors import ConfigError
from inference.folder import read_manifest
from tests import tiny
from training.store import use_store
from training.workspace import FOLDER, open_workspace

TRAIN = [sys.executable, "-m", "training", "train", "--config", "tiny.yaml"]
BEGUN = Path("models") / FOLDER / "training.json"


def metrics_of(project: Path) -> dict[str, Any]:
    """What the finished run of a project holds as its metrics; the run must be one and finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        use_store()
        runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
        assert {r.info.status for r in runs} == {"FINISHED"}
        (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
        names = [r.info.run_name for r in runs]
        assert len(names) == len(set(names))
        (evaluation,) = [r for r in runs if r.info.run_name == "evaluation"]
        path = mlflow.artifacts.download_artifacts(run_id=evaluation.info.run_id, artifact_path="metrics.json")
        versions = MlflowClient().search_model_versions("name='rasd'")
        assert sorted(v.tags["kind"] for v in versions) == ["encoder", "tfidf"]
        assert {v.tags["run"] for v in versions} == {parent.info.run_id}
        return dict(json.loads(Path(path).read_text("utf-8")))


def assert_whole_or_absent(models: Path) -> None:
    for folder in ("encoder", "tfidf", "weak"):
        if (models / folder).exists():
            read_manifest(models / folder)


def assert_as_uninterrupted(project: Path, trained: Path) -> None:
    assert metrics_of(project) == metrics_of(trained)
    weights = [load_file(p / "models" / "encoder-transformers" / "model.safetensors") for p in (project, trained)]
    assert weights[0].keys() == weights[1].keys()
    for name, own in weights[0].items():
        assert np.allclose(own, weights[1][name], rtol=0, atol=1e-7), name
    champion = [json.loads((p / "models" / "champion.json").read_text("utf-8")) for p in (project, trained)]
    assert champion[0]["model"] == champion[1]["model"]
    assert {p.name for p in (project / "models").glob(".*")} <= {".lock"}


def kill_when(project: Path, arrived: Path, *, after: float = 0.0) -> bool:
    """Start a training and kill it some seconds after a file is there; False where it had ended by then."""
    process = subprocess.Popen(TRAIN, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (project / arrived).exists():
            time.sleep(0.005)
        try:
            process.wait(after or 0.001)
        except subprocess.TimeoutExpired:
            return True
        return False
    finally:
        process.kill()
        process.wait()


def resume(project: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        assert main(["train", "--config", "tiny.yaml", "--resume"]) == 0


def test_a_training_killed_in_the_midst_of_an_epoch_ends_as_if_it_had_not_been(trained: Path, tmp_path: Path) -> None:
    project = tiny.project(tmp_path / "project")
    assert kill_when(project, Path("models") / FOLDER / "checkpoint-10" / "whole.json")
    assert_whole_or_absent(project / "models")
    assert not (project / "models" / "encoder").exists()
    resume(project)
    assert_as_uninterrupted(project, trained)


@pytest.mark.slow
def test_a_training_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(trained: Path, tmp_path: Path) -> None:
    # pytest -m slow tests/test_resume.py; about ten minutes on two cores.
    whole = tiny.project(tmp_path / "whole")
    assert not kill_when(whole, BEGUN, after=10_000)
    assert_as_uninterrupted(whole, trained)
    took = (whole / "models" / "champion.json").stat().st_mtime - (whole / "models" / "weak").stat().st_mtime + 4
    rng = random.Random(0)
    for number in range(20):
        project = tiny.project(tmp_path / str(number))
        kill_when(project, BEGUN, after=rng.uniform(0, took))
        assert_whole_or_absent(project / "models")
        if (project / BEGUN).exists():
            resume(project)
        assert_as_uninterrupted(project, trained)


def test_resuming_with_another_setting_names_it(tmp_path: Path) -> None:
    open_workspace(tmp_path, {"training.epochs": "2", "seed": "13"}, resume=False)
    with pytest.raises(ConfigError, match=r"training.epochs: 2 before, 3 now"):
        open_workspace(tmp_path, {"training.epochs": "3", "seed": "13"}, resume=True)


def test_resuming_finds_the_training_again_and_starting_anew_forgets_it(tmp_path: Path) -> None:
    first = open_workspace(tmp_path, {"seed": "13"}, resume=False)
    first.write("kept.json", [1])
    again = open_workspace(tmp_path, {"seed": "13"}, resume=True)
    assert (again.token, again.resumed, again.read("kept.json")) == (first.token, True, [1])
    anew = open_workspace(tmp_path, {"seed": "13"}, resume=False)
    assert anew.token != first.token
    assert anew.read("kept.json") is None


def test_what_a_kill_left_half_made_is_swept_out_and_the_folder_before_put_back(tmp_path: Path) -> None:
    for name in (".encoder-x1", ".tfidf-old-17", ".weak-old-17", "weak", "champions/.3-ab"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".tfidf-old-17" / "model.skops").write_text("whole", "utf-8")
    open_workspace(tmp_path, {}, resume=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == [FOLDER, "champions", "tfidf", "weak"]
    assert (tmp_path / "tfidf" / "model.skops").read_text("utf-8") == "whole"
    assert list((tmp_path / "champions").iterdir()) == []
