"""The fast model: fewer layers that say what their teacher says, and that say whose pupil they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference import Predictor
from inference.calibration import Calibration
from inference.cli import main
from inference.errors import ConfigError
from inference.folder import MANIFEST, sha256_file
from inference.predictor import CHAMPION_FILE
from tests import tiny
from training.config import Config, OutputConfig
from training.distill import distill, shorten
from training.encoders import load_encoder
from training.expert import LARGEST_ODDS, without_expert
from training.teacher import consulted

OPTIONS = tiny.DISTILLING


@pytest.fixture
def here(distilled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(distilled)
    return distilled


def layers(folder: Path) -> int:
    return sum(n.op_type == "MultiHeadAttention" for n in onnx.load(folder / "model.onnx").graph.node)


def test_it_has_the_layers_that_were_asked_for(here: Path) -> None:
    assert (layers(here / "models" / "encoder"), layers(here / "models" / "fast")) == (2, 1)


def test_it_is_served_by_its_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--model", "fast", "--format", "jsonl", tiny.ARMS]) == 0
    assert list(json.loads(capsys.readouterr().out)["topics"]) == ["arms_deal", "peace_talks", "diplomacy"]


def test_it_says_what_its_teacher_says(here: Path) -> None:
    texts = [str(r["text"]) for r in tiny.corpus(24)]
    said = [
        np.array([[t.probability for t in p.topics.values()] for p in Predictor(m).predict(texts)])
        for m in ("encoder", "fast")
    ]
    distance = np.abs(said[0] - said[1]).mean()
    # What one would say who only knew how often the teacher sees each topic.
    unread = np.abs(said[0] - said[0].mean(0)).mean()
    assert distance < unread / 2


def test_the_manifest_and_the_card_name_the_teacher(here: Path) -> None:
    manifest = Predictor("fast").manifest
    teacher = manifest.training["distilled_from"]
    assert teacher["manifest_sha256"] == sha256_file(here / "models" / "encoder" / MANIFEST)
    assert teacher["run_id"] == Predictor("encoder").manifest.training["run_id"]
    assert manifest.base.endswith("the lowest 1 of 2 layers, distilled")
    assert f"Distilled from {teacher['base']}" in (here / "models" / "fast" / "README.md").read_text("utf-8")
    assert "tiny-bert" in teacher["base"]


def test_the_fast_model_reads_what_looks_scanned_as_it_stands(here: Path) -> None:
    assert [Predictor(m).manifest.engine["mends"] for m in ("encoder", "fast")] == [True, False]


def test_it_decides_where_its_teacher_decides(here: Path) -> None:
    thresholds = [Predictor(m).manifest.calibration.thresholds.tolist() for m in ("encoder", "fast")]
    assert thresholds[0] == thresholds[1]


def test_no_training_writes_into_the_folder_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(tmp_path / ".lock", is_singleton=True)
    held: list[bool] = []
    monkeypatch.setattr("training.distill._distill", lambda *_, **__: held.append(lock.is_locked))
    distill(Config(output=OutputConfig(models=str(tmp_path))))
    assert held == [True]
    assert not lock.is_locked


@pytest.mark.parametrize("teacher", ["tfidf", "champion"])
def test_a_teacher_is_looked_for_in_the_folder_that_is_written_to(here: Path, tmp_path: Path, teacher: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(here / "models", elsewhere)
    (elsewhere / CHAMPION_FILE).write_text(json.dumps({"model": "tfidf"}), "utf-8")
    shutil.rmtree(elsewhere / "encoder")
    with pytest.raises(ConfigError, match="of kind tfidf"):
        distill(Config(output=OutputConfig(models=str(elsewhere))), teacher=teacher)


def test_nothing_half_made_is_left(here: Path) -> None:
    assert [p.name for p in (here / "models").iterdir() if p.name.startswith(".")] == [".lock"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher", "tfidf"], "tfidf is of kind tfidf, which is fast already; distil an encoder"),
        (["--teacher", "fast"], "fast is distilled itself"),
        (["--set", "distill.layers=2"], "distill.layers: 2 of the teacher's 2 layers are no fewer"),
        (["--input", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_cannot_be_distilled_is_told(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", *OPTIONS, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_lowest_layers_are_kept_and_all_that_is_left_learns(tmp_path: Path) -> None:
    encoder = load_encoder(str(tiny.bert_folder(tmp_path / "bert")))
    lowest = encoder.model.encoder.layer[0]
    assert shorten(encoder.model, 1) == 2
    assert list(encoder.model.encoder.layer) == [lowest]
    assert encoder.model.config.num_hidden_layers == 1
    assert all(p.requires_grad for p in encoder.model.parameters())


def test_it_consults_the_expert_that_its_teacher_consults(here: Path) -> None:
    (teacher, share), (student, also) = (consulted(here / "models" / name) for name in ("encoder", "fast"))
    assert share == also == 1.0
    assert np.any(teacher.weights)
    assert np.array_equal(teacher.weights, student.weights)
    assert np.array_equal(teacher.bias, student.bias)


@given(
    own=arrays(np.float64, (4, 2), elements=st.floats(-8, 8)),
    odds=arrays(np.float64, (4, 2), elements=st.floats(-20, 20)),
    share=st.floats(0, 2),
)
def test_what_is_taught_is_the_teachers_own_reading(own: np.ndarray, odds: np.ndarray, share: float) -> None:
    calibration = replace(Calibration.identity(2), topic_scale=np.array([0.8, 1.1]), topic_shift=np.array([0.2, -0.1]))
    heard = share * np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS)
    said = calibration.topic_probabilities((own + heard) / (1 + share))
    assert without_expert(calibration.topic_logits(said), odds, share=share) == pytest.approx(own, abs=1e-3)
