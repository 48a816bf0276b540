"""Real ``rasd train`` processes: two at once on one store, and one that is killed on its way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from inference import predict
from inference.cli import main
from tests import tiny
from tests.waiting import end_of
from training.store import use_store


def start(project: Path, *settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "inference.cli", "train", "--config", "tiny.yaml"]
    for setting in settings:
        command += ["--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
    return subprocess.Popen(
        command, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )


def all_runs() -> list[Run]:
    use_store()
    return list(mlflow.search_runs(search_all_experiments=True, output_format="list"))


def parents() -> list[Run]:
    return [r for r in all_runs() if "mlflow.parentRunId" not in r.data.tags]


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained project; its new runs and their artifacts are its own."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("mlruns"))
    with (folder / "tiny.yaml").open("a", encoding="utf-8") as file:
        file.write("output: {experiment: own}\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_two_trainings_at_once_on_one_new_store_both_finish_and_one_is_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tiny.project(tmp_path / "project", rows=24)
    for training in [start(project, f"output.models={name}") for name in ("one", "two")]:
        end_of(training)
    monkeypatch.chdir(project)
    assert [r.info.status for r in all_runs()] == ["FINISHED"] * 10
    # Who came second contended with the first, and not with nobody.
    assert sorted(r.data.tags["decision"] == "the first champion" for r in parents()) == [False, True]
    version = str(mlflow.MlflowClient().get_model_version_by_alias("rasd", "champion").version)
    folders = {json.loads(f.read_text("utf-8"))["version"]: f.parent for f in project.glob("*/champion.json")}
    monkeypatch.setenv("RASD_MODELS", str(folders[version]))
    assert predict(tiny.ARMS, model="champion") == predict(tiny.ARMS, model="models:/rasd@champion")


def test_a_training_that_was_killed_is_marked_by_the_next_command_and_resumed_in_the_same_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {r.info.run_id for r in all_runs()}
    training = start(project)
    end = time.monotonic() + 300
    # A stage has begun: there is something to go on with.
    while not (begun := [r for r in all_runs() if r.info.run_id not in before and "mlflow.parentRunId" in r.data.tags]):
        assert time.monotonic() < end
        assert training.poll() is None, training.communicate()[0]
        time.sleep(0.2)
    training.send_signal(signal.SIGKILL)
    training.communicate()

    assert main(["models"]) == 0
    left = [r for r in all_runs() if r.info.run_id not in before]
    assert {r.info.status for r in left} - {"FINISHED"} == {"KILLED"}
    parent = next(r for r in parents() if r.info.run_id not in before)
    assert "kill -9" in parent.data.tags["failure"]

    assert main(["train", "--config", "tiny.yaml", "--resume"]) == 0
    again = [r for r in all_runs() if r.info.run_id not in before]
    assert {r.info.status for r in again} == {"FINISHED"}
    assert [r.info.run_id for r in again if "mlflow.parentRunId" not in r.data.tags] == [parent.info.run_id]
    assert sorted(r.info.run_name for r in again if r.info.run_id != parent.info.run_id) == sorted(
        ["weak labels", "TF-IDF", "encoder (bert, folder tiny-bert)", "evaluation"]
    )
    assert all("failure" not in r.data.tags for r in again)
    assert begun[0].info.run_id in {r.info.run_id for r in again}


def test_a_second_training_in_the_same_folder_waits_for_the_first(project: Path) -> None:
    from training.store import models_lock

    said: list[str] = []
    code = "import sys; from training.store import models_lock; from pathlib import Path\n"
    code += "with models_lock(Path('models'), print): print('in', flush=True); sys.stdin.read()\n"
    first = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT)},
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"

    def say(text: str) -> None:
        said.append(text)
        first.kill()

    with models_lock(Path("models"), say):
        assert "output.models" in said[0]
    first.communicate()
