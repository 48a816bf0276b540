"""What a training says when it is given something it cannot use: one clear line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.cli import main
from tests import tiny
from training.store import use_store


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tiny.project(tmp_path / "p", rows=8)
    monkeypatch.chdir(folder)
    return folder


def _error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["train", "--config", "tiny.yaml", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_an_unknown_key_is_answered_with_the_nearest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'epochs'?" in _error(capsys, "--set", "training.epoch=2")


def test_an_empty_corpus_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "seeds/paragraphs/news.jsonl").write_text("", "utf-8")
    assert "no usable paragraph among 0" in _error(capsys)


def test_a_corpus_in_which_no_function_says_yes_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = '{"text": "هطلت الأمطار على المدينة وأغلقت المدارس أبوابها أمام الطلاب صباحا"}\n'
    (project / "seeds/paragraphs/news.jsonl").write_text(line, "utf-8")
    assert "no labelling function says yes" in _error(capsys)


def test_gold_with_an_unknown_topic_names_the_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (project / "seeds/gold.jsonl").open("a", encoding="utf-8") as handle:
        handle.write('{"text": "نص", "topics": {"arms_deals": "favor"}}\n')
    assert "line 5: unknown topic 'arms_deals'; did you mean 'arms_deal'?" in _error(capsys)


def test_an_encoder_that_cannot_be_had_says_how_to_get_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = _error(capsys, "--set", "encoder.name=arabert")
    assert "aubmindlab/bert-base-arabertv02" in error
    assert "hf download" in error
    assert [p.name for p in (project / "models").iterdir()] == [".lock"]


def test_a_run_that_fails_is_marked_failed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    (project / "seeds/paragraphs/news.jsonl").write_text("", "utf-8")
    _error(capsys)
    use_store()
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    assert runs
    assert {r.info.status for r in runs} == {"FAILED"}
