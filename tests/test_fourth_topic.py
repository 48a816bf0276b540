"""A topic is added by text in the watch list, and by nothing else: it is labelled, trained, scored and predicted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from inference.calibration import Calibration
from inference.evaluate import evaluate
from inference.predictor import Predictor
from tests.tiny import ROOT, corpus
from training.calibrate import calibrate
from training.export import export_tfidf, export_weak
from training.labeling import Applier
from training.tfidf import fit_tfidf
from training.topics import WatchList, load_watch_list
from training.weak import WeakLabels, WeakModel, fit_weak_model

ELECTIONS = """
  - id: elections
    name: {ar: الانتخابات, en: Elections}
    target: الانتخابات ونتائجها
    words:
      anchor: [انتخابات, اقتراع, تصويت]
    functions:
      - {name: elections_named, vote: "yes", accuracy: 0.9, terms: [انتخابات, "صناديق الاقتراع"]}
      - {name: elections_ballots, vote: "yes", accuracy: 0.9, terms: ["(فرز|عد) ..1 أصوات", ناخبين]}
      - {name: elections_absent, vote: "no", accuracy: 0.95, absent: [انتخابات, اقتراع, أصوات, ناخبين, مرشح]}
    stance:
      - {name: elections_rigged, vote: against, accuracy: 0.85, terms: [تزوير, v:زور]}
"""
RIGGED = "أدان المرشح تزوير الانتخابات، وقال إن صناديق الاقتراع فتحت قبل فرز الأصوات وطرد الناخبين."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("elections")
    shutil.copytree(ROOT / "configs", target / "configs")
    path = target / "configs" / "topics.yaml"
    shipped = path.read_text("utf-8")
    path.write_text(shipped.replace("\nshared:\n", f"{ELECTIONS}\nshared:\n"), "utf-8")
    return target


@pytest.fixture(scope="module")
def watch_list(folder: Path) -> WatchList:
    return load_watch_list(folder / "configs" / "topics.yaml")


@pytest.fixture(scope="module")
def records() -> list[dict[str, object]]:
    rows = corpus(64)
    for i, row in enumerate(rows):
        if i % 4 == 3:
            row |= {"text": f"{RIGGED} اليوم {i}", "brief": {"elections": "against"}}
    return rows


@pytest.fixture(scope="module")
def weak_model(watch_list: WatchList, records: list[dict[str, object]]) -> tuple[WeakModel, WeakLabels]:
    applier = Applier(watch_list)
    votes = applier.apply(records).matrix
    model = fit_weak_model(votes, applier.functions, watch_list.taxonomy)
    return model, model.predict(votes)


@pytest.fixture(scope="module")
def gold(folder: Path) -> Path:
    rows = [
        {
            "text": "فتحت صناديق الاقتراع وبدأ فرز أصوات الناخبين، وأدان حزبه تزوير الانتخابات.",
            "topics": {"elections": "against"},
        },
        {"text": "وقّعت وزارة الدفاع عقداً لشراء صواريخ ومدرعات.", "topics": {"arms_deal": "neutral"}},
        {"text": "هطلت أمطار غزيرة على المدينة.", "topics": {}},
    ]
    path = folder / "gold.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def test_its_functions_and_the_shared_ones_vote_on_it(watch_list: WatchList) -> None:
    assert watch_list.taxonomy.ids == ("arms_deal", "peace_talks", "diplomacy", "elections")
    names = {f.name for f in watch_list.functions if f.topic == "elections"}
    assert {"elections_named", "elections_rigged", "elections.sport_page", "elections.condemn_near"} <= names


def test_its_paragraphs_are_labelled_and_no_others(weak_model: tuple[WeakModel, WeakLabels]) -> None:
    _, weak = weak_model
    assert np.flatnonzero(weak.topics[:, 3] > 0.5).tolist() == list(range(3, 64, 4))
    assert set(weak.stance[3::4, 3].argmax(1)) == {1}


def test_the_label_model_that_is_served_knows_it(
    tmp_path: Path, watch_list: WatchList, weak_model: tuple[WeakModel, WeakLabels], gold: Path
) -> None:
    model, _ = weak_model
    plain = Calibration.identity(4)
    target = export_weak(
        tmp_path / "weak", model, watch_list.functions, calibration=plain, training={}, data_sha256="0" * 64
    )
    _check(target, gold)


def test_a_trained_baseline_knows_it(
    tmp_path: Path,
    watch_list: WatchList,
    records: list[dict[str, object]],
    weak_model: tuple[WeakModel, WeakLabels],
    gold: Path,
) -> None:
    _, weak = weak_model
    texts = [str(r["text"]) for r in records]
    model = fit_tfidf(texts, weak)
    calibration = calibrate(*model.logits(texts), weak)
    target = export_tfidf(
        tmp_path / "tfidf",
        model,
        taxonomy=watch_list.taxonomy,
        calibration=calibration,
        training={},
        data_sha256="0" * 64,
    )
    _check(target, gold)


def _check(model: Path, gold: Path) -> None:
    (prediction,) = Predictor(model).predict([RIGGED])
    topic = prediction.topics["elections"]
    assert (topic.present, topic.stance.label) == (True, "against")
    assert any(e.topic == "elections" and "نتخابات" in RIGGED[e.start : e.end] for e in prediction.evidence)
    assert [t for t, p in prediction.topics.items() if p.present] == ["elections"]
    metrics = evaluate(model, gold)
    assert metrics["topics"]["per_topic"]["elections"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
