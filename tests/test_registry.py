"""The champion moves only for a model that is better by more than noise; runs end as what they were."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from inference import Predictor, RasdError, predict
from inference.cli import main
from inference.gold import GoldRecord
from inference.predictor import resolve_model
from inference.taxonomy import STANCES, Taxonomy, Topic
from tests import tiny
from training import champion, registry, runs, tracking
from training.config import Config, load_config
from training.contest import Decision, best_of, contend
from training.evaluation import Scored, score_model, score_weak
from training.store import use_store
from training.weak import WeakLabels


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained project, with runs of its own: tests may change it."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("mlruns", "tiny-bert"))
    monkeypatch.chdir(folder)
    use_store()
    mlflow.create_experiment("own", artifact_location=str(tmp_path / "artifacts"))
    mlflow.set_experiment("own")
    return folder


@pytest.fixture
def taxonomy(project: Path) -> Taxonomy:
    return Predictor("weak").manifest.taxonomy


def gold() -> list[GoldRecord]:
    """Paragraphs that the champion has wrong: none of them is against anything."""
    return [GoldRecord(str(r["id"]), str(r["text"]), dict.fromkeys(r["brief"], "against")) for r in tiny.corpus(48)]  # type: ignore[call-overload]


def perfect(taxonomy: Taxonomy) -> Scored:
    topics = np.array([[float(t in r.topics) for t in taxonomy.ids] for r in gold()])
    stance = np.array([[[float(r.topics.get(t) == s) for s in STANCES] for t in taxonomy.ids] for r in gold()])
    return score_weak("encoder", WeakLabels(topics, stance), gold(), taxonomy)


def as_good_as_the_champion(taxonomy: Taxonomy) -> Scored:
    return score_model("encoder", Predictor("champion").predict([r.text for r in gold()]), gold(), taxonomy)


def present() -> tuple[str, str]:
    """The champion's version, and the other one's."""
    version = registry.aliases()["champion"]
    return version, next(v.version for v in registry.versions() if v.version != version)


def kind_of(version: str) -> str:
    return next(v.tags["kind"] for v in registry.versions() if v.version == version)


def let_contend(project: Path, version: str, scored: Scored, taxonomy: Taxonomy) -> Decision:
    kind = kind_of(version)
    return contend(version, scored, kind=kind, models=project / "models", run_id="r", gold=gold(), taxonomy=taxonomy)


def pointer(project: Path) -> dict[str, object]:
    return dict(json.loads((project / "models" / "champion.json").read_text("utf-8")))


def test_a_model_that_is_better_by_more_than_noise_takes_the_title(project: Path, taxonomy: Taxonomy) -> None:
    _, new = present()
    decision = let_contend(project, new, perfect(taxonomy), taxonomy)
    assert decision.promoted
    assert decision.difference is not None
    assert decision.difference.lower > 0
    assert registry.aliases() == {"champion": new}
    assert pointer(project)["version"] == new
    assert resolve_model("champion") == Path("models") / kind_of(new)


def test_a_model_that_is_as_good_is_challenger_and_the_champion_stays(project: Path, taxonomy: Taxonomy) -> None:
    old, new = present()
    decision = let_contend(project, new, as_good_as_the_champion(taxonomy), taxonomy)
    assert not decision.promoted
    assert "not better by more than noise" in decision.reason
    assert registry.aliases() == {"champion": old, "challenger": new}
    assert pointer(project)["version"] == old


def test_the_first_model_ever_is_champion(project: Path, taxonomy: Taxonomy) -> None:
    _, new = present()
    MlflowClient().delete_registered_model_alias("rasd", "champion")
    assert let_contend(project, new, as_good_as_the_champion(taxonomy), taxonomy).reason == "the first champion"
    assert registry.aliases() == {"champion": new}


def test_a_champion_of_another_watch_list_gives_way(project: Path, taxonomy: Taxonomy) -> None:
    _, new = present()
    other = Taxonomy((*taxonomy.topics[:-1], Topic("elections", "الانتخابات", "elections", "الانتخابات")))
    rows = [GoldRecord("g", "نص", {})]
    scored = score_weak("encoder", WeakLabels(np.zeros((1, 3)), np.full((1, 3, 3), 1 / 3)), rows, other)
    decision = contend(new, scored, kind="tfidf", models=project / "models", run_id="r", gold=rows, taxonomy=other)
    assert decision.promoted
    assert "another watch list" in decision.reason


def test_a_training_that_overwrites_the_folders_leaves_the_champion_as_it_was(project: Path) -> None:
    before = predict(tiny.TALKS, model="champion")
    champion.keep(project / "models")
    for kind in ("encoder", "tfidf"):
        shutil.rmtree(project / "models" / kind)
    assert resolve_model("champion").parent == Path("models/champions")
    assert predict(tiny.TALKS, model="champion") == before


def test_a_champion_whose_folder_is_gone_is_had_from_the_registry(project: Path, taxonomy: Taxonomy) -> None:
    old, new = present()
    scored = as_good_as_the_champion(taxonomy)
    shutil.rmtree(project / "models" / kind_of(old))
    assert not let_contend(project, new, scored, taxonomy).promoted
    assert predict(tiny.VISIT, model="champion") == predict(tiny.VISIT, model="models:/rasd@champion")


def test_what_was_promoted_by_hand_is_what_champion_means(project: Path) -> None:
    _, other = present()
    assert main(["models", "promote", other]) == 0
    assert registry.aliases()["champion"] == other
    assert predict(tiny.ARMS, model="champion") == predict(tiny.ARMS, model=kind_of(other))
    assert predict(tiny.ARMS, model="models:/rasd@champion") == predict(tiny.ARMS, model="champion")


def test_a_rollback_goes_back_one_champion_at_a_time(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = present()
    assert main(["models", "promote", second]) == 0
    assert main(["models", "rollback"]) == 0
    assert registry.aliases()["champion"] == first
    assert pointer(project)["version"] == first
    assert main(["models", "rollback"]) == 2
    assert "there was no champion before this one" in capsys.readouterr().err


def test_no_more_than_two_champions_folders_are_kept(project: Path) -> None:
    first, second = present()
    for version in (second, first, second):
        registry.promote(version, models=project / "models")
    kept = sorted(p.name for p in (project / "models" / "champions").iterdir())
    assert kept == sorted([first, second])
    assert all(not name.startswith(".") for name in kept)


def test_a_version_that_is_not_there_is_named_with_those_that_are(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "promote", "99"]) == 2
    assert "version '99': not registered; there are: 2, 1" in capsys.readouterr().err


def test_the_list_names_every_version_with_its_alias_and_worth(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["version"] for r in rows] == ["2", "1"]
    assert [r["aliases"] for r in rows].count(["champion"]) == 1
    assert {"kind", "base", "run", "gold.sha256", "joint.macro_f1"} <= set(rows[0]["tags"])
    assert main(["models"]) == 0
    assert "@champion" in capsys.readouterr().out


def test_a_version_carries_signature_input_example_and_card(project: Path) -> None:
    version = MlflowClient().get_model_version("rasd", "1")
    assert version.description.startswith("Reads a paragraph of Arabic news")
    assert "@champion" in MlflowClient().get_registered_model("rasd").description
    model = mlflow.models.get_model_info("models:/rasd/1")
    assert model.signature is not None
    assert model.saved_input_example_info is not None


def test_a_champion_file_that_leaves_the_folder_is_refused(project: Path) -> None:
    data = pointer(project) | {"folder": "champions/../../elsewhere"}
    (project / "models" / "champion.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(RasdError, match="no model of this folder"):
        resolve_model("champion")


def test_a_server_that_does_not_answer_is_named_at_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["models"]) == 2
    assert "http://127.0.0.1:9: the MLflow server does not answer" in capsys.readouterr().err


def status(run_id: str) -> str:
    return str(MlflowClient().get_run(run_id).info.status)


def left_running(host: str, process: str) -> str:
    run = MlflowClient().create_run(
        mlflow.get_experiment_by_name("own").experiment_id,
        tags={"process.host": host, "process.id": process},
    )
    return str(run.info.run_id)


def test_a_run_whose_process_is_gone_is_marked_killed(project: Path) -> None:
    gone = left_running(socket.gethostname(), f"{os.getpid()} 1")
    assert runs.mark_killed() == [gone]
    assert status(gone) == "KILLED"


def test_a_run_that_lives_or_is_another_machines_is_left_alone(project: Path) -> None:
    elsewhere = left_running("another-host", "1 1")
    with runs.stage("here") as run:
        assert runs.mark_killed() == []
        assert status(run.info.run_id) == "RUNNING"
    assert status(elsewhere) == "RUNNING"


@pytest.mark.parametrize(
    ("raised", "ended"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED"), (SystemExit, "FAILED")]
)
def test_a_run_ends_as_what_stopped_it(project: Path, raised: type[BaseException], ended: str) -> None:
    with pytest.raises(raised), runs.stage("outer") as outer, runs.stage("inner") as inner:
        raise raised("the disk is full")
    assert [status(r.info.run_id) for r in (outer, inner)] == [ended, ended]
    reason = MlflowClient().get_run(outer.info.run_id).data.tags["failure"]
    assert reason == ("interrupted" if ended == "KILLED" else f"{raised.__name__}: the disk is full")


def test_a_run_that_failed_holds_where(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), runs.stage("outer") as run:
        1 / 0  # noqa: B018
    trace = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/failure.txt")
    assert "ZeroDivisionError" in trace
    assert "test_registry.py" in trace


def test_values_too_long_for_a_parameter_stay_apart() -> None:
    one, other = (tracking.flat({"a": {"b": [*("x" * 1000), last]}})["a.b"] for last in "yz")
    assert one != other
    assert len(one) <= 6000
    assert "config.yaml" in one


def interrupted_run(file: Path, *, resume: bool) -> tuple[str, str]:
    """Start a training that is interrupted in its first stage; give the ids of both runs."""
    ids = []
    with (
        contextlib.suppress(KeyboardInterrupt),
        runs.training_run(Config(), name="train", resume=file if resume else None) as run,
        runs.stage("weak labels") as child,
    ):
        file.write_text(run.info.run_id, "utf-8")
        ids = [run.info.run_id, child.info.run_id]
        raise KeyboardInterrupt
    return ids[0], ids[1]


def test_resuming_goes_on_with_the_same_run_and_its_stages(project: Path, tmp_path: Path) -> None:
    first = interrupted_run(tmp_path / "run", resume=False)
    assert interrupted_run(tmp_path / "run", resume=True) == first
    assert interrupted_run(tmp_path / "run", resume=False) != first


def test_resuming_with_another_configuration_is_another_run(project: Path, tmp_path: Path) -> None:
    first, _ = interrupted_run(tmp_path / "run", resume=False)
    with runs.training_run(Config(seed=7), name="train", resume=tmp_path / "run") as second:
        assert second.info.run_id != first


def test_the_training_logged_its_data_its_encoder_and_its_files(project: Path) -> None:
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    tags = parent.data.tags
    assert len(tags["data.evaluation.sha256"]) == 64
    assert tags["data.evaluation.rows"] == "4"
    assert (tags["encoder.asked_for"], "tiny-bert" in tags["encoder.used"]) == ("tiny-bert", True)
    dataset = parent.inputs.dataset_inputs[0].dataset
    assert (dataset.name, json.loads(dataset.profile)) == ("gold", {"num_rows": 4})
    assert dataset.digest == tags["data.evaluation.sha256"][:32]
    assert parent.data.params["corpus.sources"] == '["seeds/paragraphs"]'
    config = mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/config.yaml")
    assert Config.model_validate(yaml.safe_load(config)) == load_config("tiny.yaml")
    client = MlflowClient()
    assert {"pictures", "predictions", "report.html"} <= {f.path for f in client.list_artifacts(parent.info.run_id)}
    pictures = {Path(f.path).stem for f in client.list_artifacts(parent.info.run_id, "pictures")}
    assert {"models", "stance_confusion", "precision_recall", "reliability", "token_lengths"} <= pictures
    evaluation = next(r for r in runs if r.info.run_name == "evaluation").data.metrics
    for model in ("majority_vote", "label_model", "tfidf", "encoder"):
        name = f"{model}.joint.macro_f1"
        assert evaluation[f"{name}.lower"] <= evaluation[name] <= evaluation[f"{name}.upper"]


# The best model of one training


def labelled_by(taxonomy: Taxonomy, *, wrong: int) -> Scored:
    """Answers that are right but for the first few paragraphs, which get no topic."""
    right = perfect(taxonomy).labels
    topics = right.present.astype(np.float64)
    topics[:wrong] = 0.0
    stance = np.eye(len(STANCES))[right.stance]
    return score_weak("some model", WeakLabels(topics, stance), gold(), taxonomy)


def test_within_noise_the_encoder_goes_before_the_baseline(taxonomy):
    scored = {"tfidf": labelled_by(taxonomy, wrong=2), "encoder": labelled_by(taxonomy, wrong=3)}
    assert best_of(scored, ["tfidf", "encoder"], gold=gold(), taxonomy=taxonomy) == "encoder"


def test_a_baseline_that_is_better_by_more_than_noise_is_the_best(taxonomy):
    scored = {"tfidf": labelled_by(taxonomy, wrong=0), "encoder": labelled_by(taxonomy, wrong=24)}
    assert best_of(scored, ["tfidf", "encoder"], gold=gold(), taxonomy=taxonomy) == "tfidf"
