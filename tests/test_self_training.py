"""Self-training: what only word rules speak of is labelled by a model that stands; everything else stays as it was."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference import Predictor
from inference.cli import main
from inference.errors import ConfigError
from inference.folder import MANIFEST, sha256_file
from tests import tiny
from training.config import load_config
from training.functions import make_applier
from training.labeling import labeling_function
from training.self_training import keep_teacher, teach, words_alone
from training.teacher import Teacher
from training.topics import load_watch_list
from training.weak import WeakLabels
from training.workspace import Workspace

WORDS = (
    *("سوق", "مطر", "شارع", "بحر", "مدرسة", "قطار", "صباح", "جسر", "قهوة"),
    *("نافذة", "كتاب", "حديقة", "مصنع", "رياح", "قمح", "مسرح", "طبيب", "زيت"),
)
OPTIONS = ["--config", "tiny.yaml", "--set", "training.epochs=1"]


@pytest.fixture(scope="module")
def taught(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained project, trained again with news without briefs, which its encoder labelled."""
    folder = tmp_path_factory.mktemp("taught") / "project"
    shutil.copytree(trained, folder)
    shutil.copytree(folder / "models" / "encoder", folder / "before")
    asides = [" ".join(random.Random(i).sample(WORDS, 16)) for i in range(12)]
    rows = [{"text": f"{(tiny.ARMS, tiny.TALKS, tiny.VISIT)[i % 3]} {aside}."} for i, aside in enumerate(asides)]
    (folder / "more.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    sources = ["--set", "corpus.sources=[seeds/paragraphs, more.jsonl]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *OPTIONS, *sources, "--set", "labels.teacher=encoder"]) == 0
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained project as the working folder, to write in."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_models_name_the_teacher_as_it_was_before_the_training(taught: Path) -> None:
    for kind in ("encoder", "tfidf"):
        folder = taught / "models" / kind
        told = json.loads((folder / MANIFEST).read_text("utf-8"))["training"]["taught_by"]
        assert told["manifest_sha256"] == sha256_file(taught / "before" / MANIFEST)
        assert told["manifest_sha256"] in (folder / "README.md").read_text("utf-8")


def test_the_copy_of_the_teacher_goes_with_the_training(taught: Path) -> None:
    assert {p.name for p in (taught / "models").glob(".*")} <= {".lock"}


def test_a_training_without_a_teacher_says_what_one_could_do(
    taught: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(taught)
    sources = ["--set", "corpus.sources=[seeds/paragraphs, more.jsonl]", "--set", "output.models=others"]
    assert main(["train", *OPTIONS, *sources]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Of 12 paragraphs only word rules speak" in told
    assert "labels.teacher=encoder" in told


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("tfidf", "labels.teacher: tfidf is of kind tfidf; only an encoder can teach"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_cannot_teach_is_told(
    copied: Path, teacher: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *OPTIONS, "--set", f"labels.teacher={teacher}"]) == 2
    assert message in capsys.readouterr().err


def test_a_teacher_for_other_topics_is_told(here: Path, tmp_path: Path) -> None:
    known = load_watch_list("configs/topics.yaml").taxonomy
    other = replace(known, topics=known.topics[:2])
    with pytest.raises(ConfigError, match="knows the topics arms_deal, peace_talks, diplomacy, the watch list has"):
        keep_teacher("encoder", Path("models"), Workspace(tmp_path, "t", resumed=False), other)


def test_a_training_that_is_gone_on_with_keeps_the_teacher_that_it_had(here: Path, tmp_path: Path) -> None:
    taxonomy = load_watch_list("configs/topics.yaml").taxonomy
    models = tmp_path / "models"
    shutil.copytree("models/encoder", models / "encoder")
    first = keep_teacher("encoder", models, Workspace(tmp_path, "t", resumed=False), taxonomy)
    shutil.rmtree(models / "encoder")
    again = keep_teacher("encoder", models, Workspace(tmp_path, "t", resumed=True), taxonomy)
    assert first is not None
    assert again is not None
    assert first.describe() == again.describe()


def test_only_word_rules_speak_where_neither_a_brief_nor_python_does(here: Path) -> None:
    applier = make_applier(load_config("tiny.yaml"), load_watch_list("configs/topics.yaml"), skip_broken=False)

    @labeling_function(topic="arms_deal", votes=("yes",))
    def by_desk(record: dict[str, object]) -> str | None:
        return "yes" if record.get("desk") == "defence" else None

    functions = (*applier.functions, by_desk)
    rows = [{"text": tiny.ARMS}, {"text": tiny.ARMS, "brief": {"arms_deal": "neutral"}}, {"text": "ثلج"}]
    votes = applier.apply({"id": str(i), **r} for i, r in enumerate(rows)).matrix
    desk = np.array([[-1], [-1], [1]], dtype=np.int8)
    assert words_alone(np.hstack([votes, desk]), functions).tolist() == [True, False, False]


def test_a_teacher_labels_its_rows_and_no_others(here: Path) -> None:
    teacher = Teacher.of(Predictor("encoder"), asked="encoder")
    weak = WeakLabels(np.full((3, 3), 0.25), np.full((3, 3, 3), 1 / 3))
    texts = [tiny.ARMS, tiny.TALKS, tiny.VISIT]
    found = teach(weak, texts, np.array([False, True, False]), teacher)
    assert found.rows == 1
    for labels in (found.labels, found.reading):
        assert np.all(labels.topics[[0, 2]] == 0.25)
        assert labels.stance[1].sum(-1) == pytest.approx(1)
    said = teacher.predictor.predict(tiny.TALKS).topics
    assert found.labels.topics[1] == pytest.approx([t.probability for t in said.values()])
    assert found.reading.topics[1] != pytest.approx(found.labels.topics[1])
    assert weak.topics[1, 0] == 0.25
