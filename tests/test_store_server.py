"""Trainings on a real ``mlflow server`` that stands on a real PostgreSQL; run it with ``make test-postgres``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from inference import predict
from inference.cli import main
from tests import tiny
from tests.waiting import end_of, free_port, until_up

INSTALLED = shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL here: apt-get install postgresql"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="rasd-server-"))
    # Run as root, the database belongs to another user, who must get there.
    folder.chmod(0o755)
    command = [sys.executable, "-m", "training.store_server", str(folder), "--port", str(port)]
    started = subprocess.Popen(command, cwd=tiny.ROOT)
    address = f"http://127.0.0.1:{port}"
    try:
        until_up(address, started)
        yield address
    finally:
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        shutil.rmtree(folder, ignore_errors=True)


def start(project: Path, *settings: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "inference.cli", "train", "--config", "tiny.yaml"]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(
        command,
        cwd=project,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT), **environment},
    )


@pytest.fixture(scope="module")
def project(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was trained by ``MLFLOW_TRACKING_URI``."""
    folder = tiny.project(tmp_path_factory.mktemp("project"))
    end_of(start(folder, MLFLOW_TRACKING_URI=server))
    return folder


@pytest.fixture
def client(server: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    return MlflowClient()


def runs_of(client: MlflowClient, experiment: str = "rasd") -> list[Run]:
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def parents(client: MlflowClient, experiment: str = "rasd") -> list[Run]:
    return [r for r in runs_of(client, experiment) if "mlflow.parentRunId" not in r.data.tags]


def test_the_run_its_children_and_its_metrics_are_on_the_server_and_not_in_a_file(client: MlflowClient) -> None:
    assert {r.info.status for r in runs_of(client)} == {"FINISHED"}
    names = {r.info.run_name for r in runs_of(client)}
    assert {"train tiny-bert", "weak labels", "TF-IDF", "evaluation"} < names
    assert "encoder.joint.macro_f1" in parents(client)[0].data.metrics
    assert list(Path().glob("mlflow.db*")) == []


def test_the_artifacts_come_back_through_the_server(client: MlflowClient) -> None:
    run = parents(client)[0].info
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    report = Path(mlflow.artifacts.download_artifacts(run_id=run.run_id, artifact_path="report.html"))
    assert "Paragraphs of gold" in report.read_text("utf-8")


def test_the_champion_predicts_as_its_folder_does(client: MlflowClient) -> None:
    assert predict(tiny.ARMS, model="models:/rasd@champion") == predict(tiny.ARMS, model="champion")


def test_a_version_is_promoted_and_rolled_back(client: MlflowClient) -> None:
    first = str(client.get_model_version_by_alias("rasd", "champion").version)
    other = next(str(v.version) for v in client.search_model_versions("name='rasd'") if str(v.version) != first)
    assert main(["models", "promote", other]) == 0
    assert str(client.get_model_version_by_alias("rasd", "champion").version) == other
    assert main(["models", "rollback"]) == 0
    assert str(client.get_model_version_by_alias("rasd", "champion").version) == first


def test_two_trainings_at_once_both_finish_with_the_server_named_in_the_configuration(
    client: MlflowClient, server: str, project: Path
) -> None:
    before = len(parents(client))
    both = [
        start(project, f"output.tracking_uri={server}", f"output.models={name}", MLFLOW_TRACKING_URI="")
        for name in ("one", "two")
    ]
    for training in both:
        end_of(training)
    assert len(parents(client)) == before + 2
    assert {r.info.status for r in runs_of(client)} == {"FINISHED"}
