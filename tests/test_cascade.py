"""The cascade: a fast model settles what carries no topic, and the encoder that taught it reads the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference import Prediction, Predictor
from inference.cli import main
from inference.errors import ModelFolderError
from inference.folder import FIRST, MANIFEST, SECOND, sha256_file
from tests import serving, tiny
from tests.manifests import edit
from training.cascade import lowest_kept, write_cascade
from training.weak import WeakLabels

TEXTS = [str(r["text"]) for r in tiny.corpus(48)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("cascade")
    return serving.cascade_folder(work / "cascade", work)


@pytest.fixture(scope="module")
def answers(folder: Path) -> list[Prediction]:
    return Predictor(folder).predict(TEXTS)


def read_by(answer: Prediction) -> str:
    return FIRST if answer.model.startswith(f"cascade ({FIRST}): ") else SECOND


def probabilities(answer: Prediction) -> list[float]:
    return [t.probability for t in answer.topics.values()]


def test_each_answer_names_the_model_that_gave_it(folder: Path, answers: list[Prediction]) -> None:
    base = Predictor(folder).manifest.base
    assert {a.model for a in answers} == {f"cascade ({part}): {base}" for part in (FIRST, SECOND)}


def test_what_reaches_the_encoder_has_the_encoders_answer_to_the_last_digit(
    folder: Path, answers: list[Prediction]
) -> None:
    alone = Predictor(folder / SECOND).predict(TEXTS)
    passed = [(a, b) for a, b in zip(answers, alone, strict=True) if read_by(a) == SECOND]
    assert passed
    assert all((a.topics, a.evidence, a.notes) == (b.topics, b.evidence, b.notes) for a, b in passed)


def test_what_is_settled_has_the_fast_models_answer_and_no_topic(folder: Path, answers: list[Prediction]) -> None:
    alone = Predictor(folder / FIRST).predict(TEXTS)
    settled = [(a, b) for a, b in zip(answers, alone, strict=True) if read_by(a) == FIRST]
    assert settled
    for own, fast in settled:
        assert not own.present
        assert not own.evidence
        assert probabilities(own) == pytest.approx(probabilities(fast))
        for topic, said in fast.topics.items():
            assert own.topics[topic].stance.probabilities == pytest.approx(said.stance.probabilities)


def test_a_text_reaches_the_encoder_where_one_topic_is_likely_enough(folder: Path, answers: list[Prediction]) -> None:
    pass_from = Predictor(folder).manifest.engine["pass_from"]
    for answer, fast in zip(answers, Predictor(folder / FIRST).predict(TEXTS), strict=True):
        likely = any(p >= least for p, least in zip(probabilities(fast), pass_from, strict=True))
        assert read_by(answer) == (SECOND if likely else FIRST)


@given(
    said=arrays(np.float64, (30, 2), elements=st.floats(0, 1)),
    found=arrays(np.bool_, (30, 2)),
    keep=st.floats(0.01, 1),
)
def test_at_least_the_share_that_is_asked_for_is_kept(said: np.ndarray, found: np.ndarray, keep: float) -> None:
    lowest = lowest_kept(said, found, keep=keep)
    for topic in range(2):
        kept = said[found[:, topic], topic] >= lowest[topic]
        assert kept.sum() >= keep * found[:, topic].sum() - 1e-9


def test_of_a_topic_that_was_never_found_nothing_is_settled() -> None:
    said = np.array([[0.2, 0.1], [0.6, 0.3]])
    assert lowest_kept(said, said > 0.5, keep=1.0) == pytest.approx([0.6, 0.0], abs=1e-6)


def test_a_topic_that_was_never_found_is_named(tmp_path: Path) -> None:
    fast = serving.encoder_folder(tmp_path / "fast", tmp_path / "base")
    answers = WeakLabels(np.tile([1.0, 0.0, 1.0], (4, 1)), np.full((4, 3, 3), 1 / 3))
    made = write_cascade(tmp_path / "c", TEXTS[:4], answers, fast=fast, encoder=fast, keep=1.0, training={})
    assert made.unknown == ("peace_talks",)
    assert "found no peace_talks in 4 paragraphs held out" in made.describe()


def test_no_text_that_the_encoder_might_abstain_from_is_settled(folder: Path) -> None:
    manifest = Predictor(folder).manifest
    least = manifest.calibration.thresholds - manifest.calibration.abstain_margin
    assert (np.array(manifest.engine["pass_from"]) <= least).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["engine"].pop("pass_from"), "engine.pass_from is missing or wrong"),
        (lambda d: d["engine"].update(pass_from=["much"] * 3), "engine.pass_from is missing or wrong"),
        (lambda d: d["engine"].update(pass_from=[0.1]), "one probability for each topic"),
        (lambda d: d["engine"].update(pass_from=[0.1, float("nan"), 0.1]), "one probability for each topic"),
        (lambda d: d["engine"].update(pass_from=[0.1, 0.1, 0.7]), "no greater than the topic's threshold"),
        (lambda d: d["calibration"].update(topic_scale=[1, 0, 1]), "scales must be greater than 0"),
        (lambda d: d["taxonomy"].reverse(), "no encoder of this cascade's topics"),
    ],
)
def test_a_manifest_that_makes_no_cascade_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    spoilt = Path(shutil.copytree(folder, tmp_path / "spoilt"))
    edit(spoilt, change)
    with pytest.raises(ModelFolderError, match=message):
        Predictor(spoilt)


def test_distilling_leaves_a_cascade_of_the_student_and_its_teacher(distilled: Path) -> None:
    models = distilled / "models"
    for part in (FIRST, SECOND):
        assert sha256_file(models / "cascade" / part / MANIFEST) == sha256_file(models / part / MANIFEST)
    said = Predictor(models / "cascade").manifest.training["cascade"]
    assert said["findings"] > 0
    assert said["kept"] >= 0.99
    assert f"{said['kept']:.1%} of the" in (models / "cascade" / "README.md").read_text("utf-8")


def test_it_is_served_by_its_name_and_reads_whole_files(
    distilled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(distilled)
    source, output = tmp_path / "news.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(json.dumps({"text": t}, ensure_ascii=False) for t in TEXTS), "utf-8")
    assert main(["predict", "--model", "cascade", "--input", str(source), "--output", str(output)]) == 0
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [r["model"] for r in rows] == [a.model for a in Predictor("cascade").predict(TEXTS)]
