"""Semantic functions that learn from paragraphs with metadata, with an embedding of a few words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from inference import Predictor, predict
from inference.cli import main
from inference.taxonomy import Taxonomy, Topic
from tests import tiny
from tests.test_label_command import WATCH_LIST as YAML
from training.config import load_config
from training.embedding import DEEP_AND_LAST, Remembering, embedder
from training.exemplars import Readings, exemplar_functions, learn_from_examples
from training.functions import learn_readings, make_applier
from training.labeling import Applier, LabelingFunction, metadata_functions
from training.topics import MetadataSpec, WatchList
from training.weak import fit_weak_model, refit_without

WORDS = ("سلاح", "سفير", "مباراة", "رحب", "أدان", "نادرة")
TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("diplomacy", "", "", "")))
PROTOTYPES = {"arms_deal": ("سلاح",), "diplomacy": ("سفير",)}
WATCH_LIST = WatchList(TAXONOMY, (), (MetadataSpec(name="brief", field="brief"),), PROTOTYPES, ("مباراة",))
KINDS: list[tuple[str, dict[str, str]]] = [
    ("سلاح رحب", {"arms_deal": "favor"}),
    ("سلاح أدان", {"arms_deal": "against"}),
    ("سلاح", {"arms_deal": "neutral"}),
    ("مباراة", {}),
]


def _embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    # As many dimensions as an encoder's, so that the penalty weighs what it does there.
    return np.repeat(np.array([[w in t for w in WORDS] for t in texts], dtype=np.float32), 100, axis=1)


def _examples(rows: int = 400) -> list[dict[str, Any]]:
    kinds = [KINDS[i % len(KINDS)] for i in range(rows)]
    return [{"id": f"e{i}", "text": f"{text} {i}", "brief": brief} for i, (text, brief) in enumerate(kinds)]


def _learn(records: Sequence[dict[str, Any]]) -> Readings:
    return learn_from_examples(records, metadata_functions(WATCH_LIST), TAXONOMY, embed=_embed)


def _votes(readings: Readings, records: Sequence[dict[str, Any]]) -> list[set[str]]:
    applier = Applier(WATCH_LIST, use_metadata=False, extra=exemplar_functions(readings, embed=_embed))
    matrix = applier.apply(records).matrix
    return [{applier.functions[j].name for j in np.flatnonzero(row >= 0)} for row in matrix]


def test_a_paragraph_without_metadata_is_read_as_the_examples_that_it_is_like() -> None:
    ours, sport = _votes(_learn(_examples()), [{"id": "n1", "text": "سلاح أدان"}, {"id": "n2", "text": "مباراة"}])
    assert "arms_deal.clearly_like" in ours
    assert ours & {"arms_deal.clearly_against", "arms_deal.rather_against"}
    assert "arms_deal.clearly_unlike" in sport


def test_no_paragraph_is_read_by_what_learned_from_its_own_article() -> None:
    rare = [
        {"id": f"r{i}", "text": f"نادرة {i}", "article": "one", "brief": {"arms_deal": "neutral"}} for i in range(60)
    ]
    readings = _learn([*_examples(), *rare])
    own, elsewhere = _votes(readings, [{"id": "x", "text": "نادرة", "article": a} for a in ("one", "another")])
    assert "arms_deal.clearly_like" in elsewhere
    assert not {v for v in own if v.endswith("clearly_like")}


def test_a_topic_of_which_too_few_examples_tell_goes_by_its_prototypes() -> None:
    config = load_config(None, ["labels.semantic=true"])
    readings = learn_readings(config, WATCH_LIST, _examples(), embed=_embed)
    assert readings is not None
    assert set(readings.topics) == {"arms_deal"}
    assert readings.describe(TAXONOMY).endswith("diplomacy by prototype sentences, as there are too few of them")
    applier = make_applier(config, WATCH_LIST, skip_broken=False, readings=readings, embed=_embed)
    semantic = {f.name for f in applier.functions if f.kind == "semantic" and f.topic == "diplomacy"}
    assert semantic == {"diplomacy.like", "diplomacy.unlike"}


def test_metadata_that_may_not_be_used_teaches_nothing() -> None:
    config = load_config(None, ["labels.semantic=true", "labels.use_metadata=false"])
    readings = learn_readings(config, WATCH_LIST, _examples(), embed=_embed)
    assert readings is not None
    assert (readings.examples, readings.topics) == (0, {})


def test_nothing_is_learned_where_no_semantic_function_is_asked_for() -> None:
    assert learn_readings(load_config(None), WATCH_LIST, _examples(), embed=_embed) is None


def test_each_text_is_embedded_once_for_learning_and_for_all_functions() -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        asked.extend(texts)
        return _embed(texts)

    remembering, examples = Remembering(embed), _examples()
    readings = learn_from_examples(examples, metadata_functions(WATCH_LIST), TAXONOMY, embed=remembering)
    functions = exemplar_functions(readings, embed=remembering)
    Applier(WATCH_LIST, extra=functions).apply([*examples, {"id": "n", "text": "سفير"}])
    assert len(functions) == 10
    assert sorted(asked) == sorted({*(e["text"] for e in examples), "سفير"})


def test_functions_that_share_a_preparation_are_prepared_once_for_many_records() -> None:
    seen: list[int] = []

    def prepare(records: Sequence[Any]) -> None:
        seen.append(len(records))

    functions = [
        LabelingFunction(n, "arms_deal", "python", False, (1,), call=lambda _: None, prepare=prepare)
        for n in ("a", "b")
    ]
    Applier(WATCH_LIST, extra=functions).apply(_examples(30))
    assert seen == [30]


def test_the_model_that_is_served_is_what_the_other_functions_make_alone() -> None:
    examples = _examples()
    extra = exemplar_functions(_learn(examples), embed=_embed)
    stance = [LabelingFunction("plain", "diplomacy", "python", True, (2,), call=lambda _: "neutral")]
    whole, alone = (Applier(WATCH_LIST, extra=[*e, *stance]) for e in (extra, []))
    shares = (0.3, 0.2, 0.5)
    votes = whole.apply(examples).matrix
    model = fit_weak_model(votes, whole.functions, TAXONOMY, stance_shares=shares)
    served, heard = refit_without("semantic", model, votes, stance_shares=shares)
    other = fit_weak_model(alone.apply(examples).matrix, alone.functions, TAXONOMY, stance_shares=shares)
    assert [f.name for f in served.functions] == [f.name for f in alone.functions]
    assert (heard == alone.apply(examples).matrix).all()
    assert served.topic_models["arms_deal"].to_json() == other.topic_models["arms_deal"].to_json()
    assert refit_without("semantic", other, heard, stance_shares=shares)[0] is other


def test_label_learns_from_the_corpus_what_it_tells_of_news_without_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.embedding.embedder", lambda **_: _embed)
    # Threads that were started here do not live on in the workers, where the real encoder reads the prototypes.
    torch.randn(2000, 2000).exp().sum()
    text = YAML.replace("    target: محادثات السلام\n", "    target: محادثات السلام\n    prototypes: [سفير]\n", 1)
    (tmp_path / "topics.yaml").write_text(text + "shared: {prototypes: [مباراة]}\n", "utf-8")
    cities = ("صنعاء", "بغداد", "دمشق", "مسقط", "الرباط", "تونس", "عمّان", "بيروت", "الدوحة", "الخرطوم")
    examples = [
        {"text": f"{text} قرب {a} ثم {b} في {c} يوما", "brief": brief}
        for a in cities
        for b in cities
        for c, (text, brief) in enumerate(KINDS)
    ]
    told = (
        "وصلت دفعة سلاح أخرى من أسلحة",
        *(f"انتهت مباراة {day}" for day in ("السبت", "الأحد", "الاثنين", "الثلاثاء")),
    )
    news = [{"text": f"{what} في {a}"} for a in cities for what in told]
    for name, rows in (("seeds", examples), ("news", news)):
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    settings = (
        "topics=topics.yaml",
        "corpus.sources=[seeds.jsonl]",
        "corpus.near_duplicate=1.0",
        "labels.semantic=true",
    )
    more = [part for setting in settings for part in ("--set", setting)]
    assert main(["label", "--input", "news.jsonl", "--output", "out.jsonl", *more]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    # Weapons without a deal: no rule of this watch list says yes to them.
    assert [r["arms_deal"] > 0.5 for r in rows] == [True, False, False, False, False] * len(cities)


def test_a_text_has_the_same_vector_alone_and_in_a_batch() -> None:
    embed = embedder(layers=DEEP_AND_LAST)
    texts = ["رحب الوزير بالهدنة.", "وقعت الوزارة عقدا لشراء صواريخ ومدرعات من شركة أجنبية في حفل حضره السفير."]
    alone, together = np.concatenate([embed([t]) for t in texts]), embed(texts)
    assert together.shape == (2, 768)
    cosine = (alone * together).sum(1) / np.linalg.norm(alone, axis=1) / np.linalg.norm(together, axis=1)
    assert cosine == pytest.approx(np.ones(2), abs=1e-3)


def test_a_training_serves_words_alone_of_what_it_labelled_with_semantic_functions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tiny.project(tmp_path / "project", rows=112))
    monkeypatch.setattr("training.embedding.embedder", lambda **_: _embed)
    more = ["--set", "training.epochs=1", "--set", "labels.semantic=true", "--set", "corpus.near_duplicate=1.0"]
    assert main(["train", "--config", "tiny.yaml", *more]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Semantic functions: learned from 112 paragraphs whose metadata says their topics" in told
    # Of the functions that the served label model was fitted with, only metadata has no say at serving.
    assert {name.split(".")[1] for name in Predictor("weak").manifest.engine["not_served"]} == {"brief"}
    assert predict(tiny.ARMS, model="weak").present
