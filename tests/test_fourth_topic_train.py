"""A topic that stands in the watch list only goes through a whole training: labels, three models, scores, predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference import Predictor, predict
from inference.cli import main
from tests import tiny
from tests.test_fourth_topic import ELECTIONS, RIGGED

MODELS = ("encoder", "tfidf", "weak")


@pytest.fixture(scope="module")
def trained_on_four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.project(tmp_path_factory.mktemp("four"))
    watch_list = folder / "configs" / "topics.yaml"
    shipped = watch_list.read_text("utf-8")
    watch_list.write_text(shipped.replace("\nshared:\n", f"{ELECTIONS}\nshared:\n"), "utf-8")
    rows = [
        {"id": f"e{i}", "text": f"{row['text']}".replace(str(tiny.SPORT), RIGGED), "brief": {"elections": "against"}}
        for i, row in enumerate(tiny.corpus(64))
        if tiny.SPORT in str(row["text"])
    ]
    _append(folder / "seeds" / "paragraphs" / "news.jsonl", rows)
    _append(folder / "seeds" / "gold.jsonl", [{"id": "g5", "text": RIGGED, "topics": {"elections": "against"}}])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # The corpus holds complaints alone, and so will the feed: else the models would be corrected for another one.
        feed = [f"--set=feed.{s}={share}" for s, share in (("favor", 0.1), ("against", 0.8), ("neutral", 0.1))]
        assert main(["train", "--config", "tiny.yaml", *feed]) == 0
    return folder


@pytest.fixture
def here(trained_on_four: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained_on_four)
    return trained_on_four


def _append(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_knows_it(here: Path, model: str) -> None:
    assert Predictor(model).manifest.taxonomy.ids == ("arms_deal", "peace_talks", "diplomacy", "elections")
    assert "elections" in predict(RIGGED, model=model).topics


@pytest.mark.parametrize("model", ["tfidf", "weak"])
def test_it_is_predicted_with_its_stance(here: Path, model: str) -> None:
    topic = predict(RIGGED, model=model).topics["elections"]
    assert (topic.present, topic.stance.label) == (True, "against")


@pytest.mark.parametrize("model", MODELS)
def test_it_is_scored_on_gold(here: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", model, "--gold", "seeds/gold.jsonl", "--json"]) == 0
    per_topic = json.loads(capsys.readouterr().out)["topics"]["per_topic"]
    assert per_topic["elections"]["support"] == 1
    assert model == "encoder" or per_topic["elections"]["recall"] == 1.0
