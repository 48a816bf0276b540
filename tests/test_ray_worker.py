"""What Ray's workers do, where Ray itself is not installed: build the model that is sent to them, and answer."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference import Predictor, ray_engine
from inference.errors import ModelFolderError
from inference.folder import SEAL
from inference.reading import BadRow, Row
from inference.records import answer
from tests import serving, tiny

BATCH = [Row(tiny.TALKS, {"id": 1}), BadRow("in.jsonl, line 2", "not an object"), Row(tiny.ARMS, {"id": 3})]


@pytest.fixture(autouse=True)
def rays_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's store gives what it is asked for, as it was put there."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda stored: stored))
    monkeypatch.setenv("RASD_THREADS", "1")


def ask(worker: ray_engine._Worker, batch: Sequence[Row | BadRow]) -> Any:
    (answered,) = worker({ray_engine._PICKLED: [pickle.dumps(batch)]})[ray_engine._PICKLED]
    return pickle.loads(answered)


@pytest.mark.parametrize("kind", ["weak", "tfidf", "encoder", "cascade"])
def test_what_is_sent_is_a_whole_model_that_answers_as_the_one_here(tmp_path: Path, kind: str) -> None:
    (tmp_path / "work").mkdir()
    predictor = Predictor(serving.folder(kind, tmp_path / kind, tmp_path / "work"))
    sent = dict(ray_engine._contents(predictor))
    expected = answer(predictor, BATCH)
    shutil.rmtree(tmp_path / kind)
    assert ask(ray_engine._Worker(sent), BATCH) == expected


def test_a_worker_whose_model_came_incomplete_says_so_and_is_not_taken_for_dead(tmp_path: Path) -> None:
    sent = dict(ray_engine._contents(Predictor(serving.weak_folder(tmp_path / "weak"))))
    del sent[SEAL]
    told = ask(ray_engine._Worker(sent), BATCH)
    assert isinstance(told, ModelFolderError)
    assert "a worker's copy of the model/manifest.json.sha256: cannot be read" in str(told)
