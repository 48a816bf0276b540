"""What `rasd serve` hands to MLflow's server: whatever predict takes for a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from inference import Predictor
from inference.cli import main
from tests import serving, tiny
from tests.waiting import free_port
from training.serving import pyfunc, servable


@pytest.mark.parametrize("kind", ["weak", "cascade"])
def test_a_model_folder_is_saved_for_the_while_and_answers_as_predict_does(tmp_path: Path, kind: str) -> None:
    folder = serving.folder(kind, tmp_path / kind, tmp_path)
    expected = [p.to_json() for p in Predictor(folder).predict([tiny.TALKS, tiny.SPORT])]
    with servable(str(folder)) as saved:
        assert mlflow.pyfunc.load_model(saved).predict([tiny.TALKS, tiny.SPORT]) == expected
    assert not Path(saved).exists()


def test_a_model_is_served_by_its_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def server(*arguments: str) -> int:
        asked.append(arguments)
        assert (Path(arguments[3]) / "MLmodel").exists()
        return 0

    monkeypatch.setattr("training.commands._mlflow", server)
    assert main(["serve", "--model", "tfidf", "--port", "5055"]) == 0
    assert [a[:3] + a[4:] for a in asked] == [
        ("models", "serve", "-m", "--env-manager", "local", "--host", "127.0.0.1", "-p", "5055")
    ]


def test_a_server_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    folder, temporary = serving.weak_folder(tmp_path / "weak"), tmp_path / "temporary"
    temporary.mkdir()
    port = str(free_port())
    command = [sys.executable, "-m", "inference.cli", "serve", "--model", str(folder), "--port", port]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(tiny.ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "REST on" in server.stdout.readline()
        assert list(temporary.glob("rasd-serve-*/model/MLmodel"))
        server.terminate()
        assert server.wait(60) == 130
    assert not list(temporary.glob("rasd-serve-*"))


def test_what_mlflow_knows_is_left_to_it(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    mlflow.pyfunc.save_model(saved, **pyfunc(serving.weak_folder(tmp_path / "weak")))
    for model in (str(saved), "models:/rasd@champion", "runs:/0123/model"):
        with servable(model) as taken:
            assert taken == model


def test_a_name_that_stands_for_no_model_is_told_before_a_server_starts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", "nowhere"]) == 2
    assert "nowhere: no such model folder" in capsys.readouterr().err
