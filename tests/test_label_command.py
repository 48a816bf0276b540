"""``rasd label`` through the front door: files in, weak labels and the analysis out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as parquet
import pytest

from inference.cli import main
from tests.tiny import ROOT, corpus
from training.voting import EvenSample

WATCH_LIST = """
version: 1
topics:
  - id: arms_deal
    name: {ar: صفقات السلاح, en: Arms deals}
    target: صفقات السلاح
    functions:
      - {name: arms_deal_of_weapons, vote: "yes", accuracy: 0.95, terms: ["(عقد|صفقة) ..3 (صواريخ|أسلحة)"]}
      - {name: arms_no_weapon, vote: "no", accuracy: 0.95, absent: [صواريخ, أسلحة]}
    stance:
      - {name: arms_plain, vote: neutral, absent: [v:أدان, v:رحب]}
      - {name: arms_welcomed, vote: favor, terms: [v:رحب]}
  - id: peace_talks
    name: {ar: محادثات السلام, en: Peace talks}
    target: محادثات السلام
    functions:
      - {name: peace_truce, vote: "yes", accuracy: 0.95, terms: ["وقف إطلاق النار"]}
      - {name: peace_talks_named, vote: "yes", accuracy: 0.95, terms: ["مفاوضات السلام"]}
      - {name: peace_none, vote: "no", accuracy: 0.95, absent: [مفاوضات, وقف]}
    stance:
      - {name: peace_welcomed, vote: favor, terms: [v:رحب]}
  - id: diplomacy
    name: {ar: الدبلوماسية, en: Diplomacy}
    target: العلاقات
    functions:
      - {name: dip_meets, vote: "yes", accuracy: 0.95, terms: [v:استقبل]}
      - {name: dip_telegram, vote: "yes", terms: ["برقية تهنئة"]}
      - {name: dip_none, vote: "no", accuracy: 0.95, absent: [وزير, سفير]}
    stance:
      - {name: dip_plain, vote: neutral, absent: [v:أدان, v:رحب]}
metadata:
  - {name: brief, field: brief}
"""

RULES = """
from training.labeling import labeling_function


@labeling_function("diplomacy", votes=("yes",), accuracy=0.9)
def names_a_minister(record):
    return "yes" if "وزير الخارجية" in record["text"] else None


@labeling_function("diplomacy", votes=("no",))
def of_the_sport_desk(record):
    return "no" if record["desk"] == "رياضة" else None
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "topics.yaml").write_text(WATCH_LIST, "utf-8")
    (tmp_path / "desk_rules.py").write_text(RULES, "utf-8")
    _write(tmp_path / "news.jsonl", [{**r, "desk": "سياسة"} for r in corpus(60)])
    monkeypatch.chdir(tmp_path)
    # Several batches, so that several workers have a share.
    monkeypatch.setattr("training.voting.BATCH", 8)
    monkeypatch.setattr("training.label.BATCH", 16)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "desk_rules", raising=False)
    return tmp_path


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


def _label(*more: str, input: str = "news.jsonl", output: str = "labels.jsonl") -> int:
    return main(["label", "--input", input, "--output", output, *more])


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_paragraph_gets_its_labels_in_the_order_of_the_file(project: Path) -> None:
    assert _label() == 0
    rows = _read(project / "labels.jsonl")
    assert [r["id"] for r in rows] == [f"t{i}" for i in range(60)]
    assert [r["arms_deal"] > 0.5 for r in rows[:4]] == [True, False, False, False]
    assert [r["peace_talks"] > 0.5 for r in rows[:4]] == [False, True, False, False]
    assert sum(rows[0][f"arms_deal.{s}"] for s in ("favor", "against", "neutral")) == pytest.approx(1, abs=1e-5)


def test_parquet_and_json_lines_say_the_same(project: Path) -> None:
    assert _label() == _label(output="labels.parquet") == 0
    table = parquet.read_table(project / "labels.parquet").to_pylist()
    lines = _read(project / "labels.jsonl")
    assert [r["text"] for r in table] == [r["text"] for r in lines]
    shares = [[v for v in row.values() if isinstance(v, float)] for row in (*table, *lines)]
    assert np.array(shares[:60]) == pytest.approx(np.array(shares[60:]), abs=1e-5)


def test_bad_rows_are_told_and_kept_aside_and_the_others_labelled(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project / "news.jsonl").open("ab") as file:
        file.write(b'{"text": "\xff\xfe"}\n{"title": "no text"}\n')
    assert _label() == 0
    assert "(2 bad rows left out: labels.jsonl.errors.jsonl)" in " ".join(capsys.readouterr().out.split())
    assert [r["place"] for r in _read(project / "labels.jsonl.errors.jsonl")] == [
        "news.jsonl, line 61",
        "news.jsonl, line 62",
    ]
    assert len(_read(project / "labels.jsonl")) == 60


def test_json_prints_one_object_on_standard_output(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _label("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["bad_rows"], report["broken"]) == (60, 0, [])
    functions = {f["name"]: f for f in report["functions"]}
    assert functions["dip_meets"]["votes"] == {"yes": 15}
    assert functions["dip_meets"]["coverage"] == 0.25
    assert set(report["topics"]) == {"arms_deal", "peace_talks", "diplomacy"}
    assert report["suggestions"][1] == "vote together, so one of them is enough: peace_truce, peace_talks_named"
    assert report["suggestions"][0] == "never vote, so mend their terms or drop them: dip_telegram"


def test_gold_scores_the_functions(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(project / "gold.jsonl", [{"text": r["text"], "topics": r["brief"]} for r in corpus(8)])
    assert _label("--json", "--gold", "gold.jsonl") == 0
    functions = {f["name"]: f for f in json.loads(capsys.readouterr().out)["functions"]}
    assert (functions["dip_meets"]["gold_accuracy"], functions["dip_meets"]["gold_votes"]) == (1.0, 2)
    assert functions["dip_telegram"]["gold_accuracy"] is None


def test_python_functions_of_the_projects_folder_vote_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _label("--json", "--set", "labels.functions=[desk_rules]") == 0
    functions = {f["name"]: f for f in json.loads(capsys.readouterr().out)["functions"]}
    assert functions["names_a_minister"]["votes"] == {"yes": 15}


def _break_late(project: Path) -> None:
    rows = [{**r, "desk": "سياسة"} for r in corpus(60)]
    for row in rows[37:]:
        del row["desk"]
    _write(project / "news.jsonl", rows)


def test_a_function_that_raises_stops_the_run_and_leaves_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _break_late(project)
    before = sorted(project.iterdir())
    assert _label("--set", "labels.functions=[desk_rules]") == 2
    error = capsys.readouterr().err
    assert "'of_the_sport_desk' failed on paragraph 't37': KeyError: 'desk'" in error
    assert [p for p in sorted(project.iterdir()) if p.name != "__pycache__"] == before


def test_a_function_broken_in_one_worker_is_left_out_of_all_and_told_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _label() == 0
    plain = _read(project / "labels.jsonl")
    rows = corpus(60)
    # The function votes on the first batches and raises from the fifth on.
    for i, row in enumerate(rows):
        row |= {"desk": "رياضة"} if i < 37 else {}
    _write(project / "news.jsonl", rows)
    capsys.readouterr()
    (project / "desk_rules.py").write_text(RULES[: RULES.index("@")] + RULES[RULES.rindex("@") :], "utf-8")
    assert _label("--json", "--skip-broken", "--set", "labels.functions=[desk_rules]") == 0
    report = json.loads(capsys.readouterr().out)
    assert [(b["name"], b["row"], b["cause"]) for b in report["broken"]] == [
        ("of_the_sport_desk", "t37", "KeyError: 'desk'")
    ]
    assert "of_the_sport_desk" not in {f["name"] for f in report["functions"]}
    assert _read(project / "labels.jsonl") == plain


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_interrupted_run_leaves_no_file_and_the_old_one_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    target = project / f"labels.{suffix}"
    target.write_text("of yesterday", "utf-8")
    before = sorted(project.iterdir())
    calls: list[int] = []

    def interrupted(original: Callable[..., Any]) -> Callable[..., Any]:
        def add(self: Any, *arguments: Any) -> None:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            original(self, *arguments)

        return add

    from training.tallies import Disagreements

    monkeypatch.setattr(Disagreements, "add", interrupted(Disagreements.add))
    assert _label(output=target.name) == 130
    assert target.read_text("utf-8") == "of yesterday"
    assert sorted(project.iterdir()) == before


def test_a_run_that_is_killed_leaves_the_old_file_and_the_next_run_clears_up(project: Path) -> None:
    _write(project / "news.jsonl", corpus(12_000))
    target = project / "labels.jsonl"
    target.write_text("of yesterday", "utf-8")
    command = [sys.executable, "-m", "inference.cli", "label", "--input", "news.jsonl", "--output", target.name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not list(project.glob(".labels.jsonl-*/votes.parquet")):
        time.sleep(0.01)
    workers = psutil.Process(run.pid).children()
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert workers
    assert psutil.wait_procs(workers, timeout=20)[1] == [], "workers end with the process that started them"
    assert target.read_text("utf-8") == "of yesterday"
    assert len(list(project.glob(".labels.jsonl-*"))) == 1
    _write(project / "news.jsonl", corpus(60))
    assert _label() == 0
    assert len(_read(target)) == 60
    assert list(project.glob(".labels.jsonl-*")) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [("labels.csv", ".parquet or .jsonl"), ("nowhere/labels.jsonl", "no folder 'nowhere'"), ("d.jsonl", "is a folder")],
)
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    project: Path, capsys: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    (project / "d.jsonl").mkdir()
    assert _label(output=output) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_a_readable_paragraph_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "news.jsonl").write_text('{"title": "بلا نص"}\n', "utf-8")
    assert _label() == 2
    assert "no paragraph in it that can be read" in capsys.readouterr().err


def test_a_fault_in_gold_comes_to_light_before_the_corpus_is_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(project / "gold.jsonl", [{"text": "خبر", "topics": {"diplomcy": "favor"}}])
    assert _label("--gold", "gold.jsonl", input="no-such-file.jsonl") == 2
    assert "did you mean 'diplomacy'" in capsys.readouterr().err


def test_the_majority_vote_labels_where_the_configuration_says_so(project: Path) -> None:
    assert _label("--set", "labels.label_model=majority") == 0
    assert {round(r["peace_talks"], 3) for r in _read(project / "labels.jsonl")} == {0.0, 1.0}


def test_the_even_sample_takes_from_everywhere_and_stays_small() -> None:
    sample = EvenSample(50)
    for start in range(0, 10_000, 7):
        sample.add(np.arange(start, min(start + 7, 10_000)).reshape(-1, 1).astype(np.int64))  # type: ignore[arg-type]
    kept = sample.whole().ravel()
    assert 50 <= len(kept) <= 100
    assert np.unique(np.diff(kept)).tolist() == [kept[1] - kept[0]]
    assert kept[-1] > 9_800
