"""A whole training on a tiny encoder, through the front door; every other end-to-end test reads what it left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from inference import Prediction, Predictor, predict
from inference.cli import main
from tests import tiny
from training.store import use_store


def test_training_leaves_the_model_folders_and_a_champion(here: Path) -> None:
    assert {p.name for p in (here / "models").iterdir() if p.is_dir() and p.name[0] != "."} == {
        "encoder",
        "encoder-transformers",
        "tfidf",
        "weak",
    }
    assert json.loads((here / "models" / "champion.json").read_text("utf-8"))["model"] in ("encoder", "tfidf")


def test_nothing_half_made_is_left_behind(here: Path) -> None:
    assert [p.name for p in (here / "models").iterdir() if p.name.startswith(".")] == [".lock"]


@pytest.mark.parametrize("model", ["champion", "encoder", "tfidf", "weak"])
def test_one_function_serves_every_model(here: Path, model: str) -> None:
    one = predict(tiny.ARMS, model=model)
    several = predict([tiny.ARMS, tiny.SPORT], model=model)
    assert isinstance(one, Prediction)
    assert several[0] == one
    assert list(one.topics) == ["arms_deal", "peace_talks", "diplomacy"]


@pytest.mark.parametrize("model", ["tfidf", "weak"])
def test_an_arms_contract_is_an_arms_deal(here: Path, model: str) -> None:
    prediction = predict(tiny.ARMS, model=model)
    assert "arms_deal" in prediction.present
    assert any(e.topic == "arms_deal" and tiny.ARMS[e.start : e.end] == e.text for e in prediction.evidence)


def test_the_encoder_names_the_base_it_really_had(here: Path) -> None:
    assert "tiny-bert" in Predictor("encoder").manifest.base
    assert "tiny-bert" in (here / "models" / "encoder" / "README.md").read_text("utf-8")
    assert "tiny-bert" in predict(tiny.ARMS, model="encoder").model


def test_a_text_scores_the_same_whatever_its_neighbours(here: Path) -> None:
    alone = predict(tiny.TALKS, model="encoder").topics["peace_talks"].probability
    crowd = predict([tiny.SPORT, tiny.TALKS, tiny.VISIT * 30], model="encoder")[1].topics["peace_talks"].probability
    assert abs(alone - crowd) < 1e-6


def test_a_text_longer_than_the_window_is_read_to_its_end(here: Path) -> None:
    prediction = predict(tiny.SPORT * 40 + tiny.TALKS, model="encoder")
    assert any("windows" in note for note in prediction.notes)


def test_onnx_gives_what_torch_gave(here: Path, tmp_path: Path) -> None:
    import torch

    from inference.encoder import EncoderEngine
    from inference.lexicon import Matcher
    from training.batches import build_dataset, predict_logits
    from training.encoders import load_encoder
    from training.export import write_onnx
    from training.model import JointModel
    from training.topics import load_watch_list

    encoder, functions = load_encoder("tiny-bert"), load_watch_list("configs/topics.yaml").functions
    torch.manual_seed(1)
    model = JointModel(encoder.model, topics=3, functions=len(functions))
    torch.nn.init.normal_(model.topic_votes)
    data = build_dataset(encoder, [tiny.ARMS, tiny.VISIT], Matcher(functions), max_tokens=48)
    topics, stance = predict_logits(model, data, pad_id=encoder.pad_id)
    target = tmp_path / "encoder"
    shutil.copytree(here / "models" / "encoder", target)
    write_onnx(model, target / "model.onnx")
    scores = EncoderEngine(target, Predictor("encoder").manifest).score([tiny.ARMS, tiny.VISIT])
    for i, score in enumerate(scores):
        assert score.topics == pytest.approx(topics[i], abs=1e-4)
        assert score.stance == pytest.approx(stance[i], abs=1e-4)


def test_the_fast_tfidf_equals_scikit_learns(here: Path, tmp_path: Path) -> None:
    import numpy as np

    from inference.tfidf import TfidfEngine
    from training.tfidf import fit_tfidf
    from training.weak import WeakLabels

    texts = [str(r["text"]) for r in tiny.corpus(40)]
    rng = np.random.default_rng(0)
    weak = WeakLabels(rng.uniform(size=(40, 3)), rng.dirichlet([1, 1, 1], size=(40, 3)))
    model = fit_tfidf(texts, weak)
    model.save(tmp_path)
    engine = TfidfEngine(tmp_path, Predictor("tfidf").manifest)
    probes = [tiny.TALKS, "", "و", "صفقة صفقة صفقة", "abc 123", tiny.ARMS * 5]
    topics, stance = model.logits(probes)
    for i, scores in enumerate(engine.score(probes)):
        assert scores.topics == pytest.approx(topics[i], abs=1e-4)
        assert scores.stance == pytest.approx(stance[i], abs=1e-4)


def test_predicting_loads_neither_torch_nor_transformers_nor_mlflow(here: Path) -> None:
    code = (
        "import sys; from inference import predict; predict(sys.argv[1], model='encoder'); "
        "print([m for m in ('torch', 'transformers', 'mlflow', 'datasets', 'training') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tiny.ARMS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_run_has_finished_children_and_the_rows_of_the_table(here: Path) -> None:
    use_store()
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    assert {r.info.status for r in runs} == {"FINISHED"}
    evaluation = next(r for r in runs if r.info.run_name == "evaluation")
    for row in ("majority_vote", "label_model", "tfidf", "encoder"):
        assert f"{row}.joint.macro_f1" in evaluation.data.metrics


def test_the_champion_is_registered_and_predicts_as_its_folder_does(here: Path) -> None:
    use_store()
    version = MlflowClient().get_model_version_by_alias("rasd", "champion")
    pointer = json.loads((here / "models" / "champion.json").read_text("utf-8"))
    assert str(version.version) == pointer["version"]
    registered = predict(tiny.VISIT, model="models:/rasd@champion")
    assert registered == predict(tiny.VISIT, model="champion")


def test_evaluate_prints_the_object_of_the_contract(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", "tfidf", "--gold", "seeds/gold.jsonl", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert set(metrics) == {"n", "topics", "stance", "joint"}
    assert set(metrics["topics"]) == {"macro_f1", "micro_f1", "per_topic"}
    assert set(metrics["topics"]["per_topic"]["arms_deal"]) == {"precision", "recall", "f1", "support"}
    assert set(metrics["stance"]) == {"macro_f1", "accuracy", "n"}
    assert metrics["n"] == 4


def test_predict_prints_records_of_the_contract(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--model", "weak", "--format", "jsonl", tiny.ARMS]) == 0
    record = json.loads(capsys.readouterr().out)
    topic = record["topics"]["arms_deal"]
    assert record["text"] == tiny.ARMS
    assert topic["present"] is True
    assert set(topic["stance"]) == {"label", "favor", "against", "neutral"}


def test_predict_reads_files_and_reports_bad_rows_with_their_place(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = json.dumps({"id": "x", "text": tiny.ARMS}, ensure_ascii=False).encode()
    source.write_bytes(good + b"\n{broken\n" + b'{"text": "\xff"}\n' + b'{"txt": "a"}\n')
    assert main(["predict", "--model", "weak", "--input", str(source), "--output", str(target)]) == 0
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    errors = [json.loads(line) for line in (tmp_path / "out.jsonl.errors.jsonl").read_text("utf-8").splitlines()]
    assert [r["id"] for r in rows] == ["x"]
    assert [e["place"].rsplit(" ", 1)[1] for e in errors] == ["2", "3", "4"]


@pytest.mark.parametrize("model", ["encoder", "tfidf", "weak"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\t",
        "12345 !!",
        "Only English words here, nothing else.",
        "\x00\x01" + tiny.ARMS,
        "\ud800" + tiny.ARMS,
        "ـ" * 50,
    ],
    ids=["empty", "blank", "no letters", "no Arabic", "controls", "lone surrogate", "tatweel"],
)
def test_odd_texts_get_a_sensible_answer(here: Path, model: str, text: str) -> None:
    prediction = predict(text, model=model)
    assert all(0 <= t.probability <= 1 for t in prediction.topics.values())
    assert all(text[e.start : e.end] == e.text for e in prediction.evidence)
    json.dumps(prediction.to_json())


@pytest.mark.parametrize("model", ["encoder", "tfidf", "weak"])
def test_a_paragraph_of_a_megabyte_is_served(here: Path, model: str) -> None:
    text = (tiny.SPORT + " ") * 3500 + tiny.ARMS
    assert len(text.encode()) > 500_000
    prediction = predict(text, model=model)
    assert prediction.text == text
    assert predict("س" * 1_000_000, model=model).topics["diplomacy"].probability <= 1


def test_a_text_that_is_no_string_is_named(here: Path) -> None:
    from inference import RasdError

    with pytest.raises(RasdError, match="text 1: a string is wanted, not int"):
        predict(["نص", 5], model="weak")  # type: ignore[list-item]


def test_an_unknown_model_says_what_to_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--model", "nowhere", "نص"]) == 2
    assert "no such model folder; train one" in capsys.readouterr().err
