"""Two runs side by side: metrics with intervals, paragraphs won and lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from rich.console import Console

from inference.cli import main
from inference.errors import InputError, RasdError
from training.compare import compare_records, run_records, show
from training.store import use_store


def record(name: str, gold: dict[str, str], said: dict[str, str], text: str = "") -> dict[str, Any]:
    topics = {
        t: {"probability": 0.9, "present": t in said, "stance": {"label": said.get(t, "neutral")}}
        for t in ("arms_deal", "diplomacy")
    }
    text = text or f"أعلن الوزير في {name} توقيع الصفقة."
    return {"id": name, "text": text, "gold": gold, "topics": topics, "evidence": []}


ARMS, BOTH = {"arms_deal": "favor"}, {"arms_deal": "favor", "diplomacy": "neutral"}
FIRST = [
    record("a", ARMS, ARMS),
    record("b", BOTH, ARMS),
    record("c", {}, {}),
    record("d", ARMS, {"arms_deal": "against"}),
]
SECOND = [record("a", ARMS, {}), record("b", BOTH, BOTH), record("c", {}, {}), record("d", ARMS, ARMS)]


def test_a_paragraph_is_won_where_only_the_second_has_all_its_labels_right() -> None:
    found = compare_records("encoder", FIRST, SECOND)
    assert [r["id"] for r in found.won] == ["b", "d"]
    assert [r["id"] for r in found.lost] == ["a"]
    assert found.won[0]["first"] == ARMS
    assert found.won[0]["second"] == BOTH


def test_the_difference_is_that_of_the_two_values() -> None:
    found = compare_records("encoder", FIRST, SECOND)
    for metric, gain in found.difference.items():
        assert gain.value == pytest.approx(found.second[metric].value - found.first[metric].value)
        assert gain.lower <= gain.upper


def test_the_order_of_the_paragraphs_does_not_matter() -> None:
    assert compare_records("m", FIRST, SECOND).difference == compare_records("m", FIRST, SECOND[::-1]).difference


def test_paragraphs_that_only_one_has_or_that_were_labelled_anew_are_left_out_and_counted() -> None:
    relabelled = [record("a", {}, {}), *SECOND[1:], record("e", {}, {})]
    found = compare_records("encoder", FIRST, relabelled)
    assert (found.n, found.left_out) == (3, 3)


def test_runs_on_different_gold_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="no paragraph in common"):
        compare_records("encoder", FIRST, [record("z", {}, {})])


def test_brackets_in_a_text_are_shown_as_they_are() -> None:
    odd = "[bold]صفقة[/bold] [link=http://x]سلاح[/link]"
    console = Console(record=True, width=120, file=io.StringIO())
    show([compare_records("m", [record("a", ARMS, {}, odd)], [record("a", ARMS, ARMS, odd)])], console=console)
    assert odd in console.export_text()


@pytest.fixture
def run_id(here: Path) -> str:
    use_store()
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    return str(next(r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags))


def test_a_run_against_itself_wins_and_loses_nothing(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run_id, run_id, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["model"] for r in rows} == {"encoder", "tfidf", "label_model", "majority_vote"}
    assert all(not r["won"] and not r["lost"] and r["n"] == 4 for r in rows)
    assert all(v["lower"] == v["upper"] == 0 for r in rows for v in r["difference"].values())


def test_it_is_printed_for_people_too(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run_id, run_id, "--model", "tfidf"]) == 0
    assert "won by B: 0 of 4 paragraphs" in capsys.readouterr().out


def test_a_child_stands_for_its_training(run_id: str) -> None:
    runs = mlflow.search_runs(experiment_names=["rasd"], output_format="list")
    child = next(r.info.run_id for r in runs if r.data.tags.get("mlflow.parentRunId") == run_id)
    assert run_records(child) == run_records(run_id)


def test_an_unknown_run_is_named(here: Path) -> None:
    use_store()
    with pytest.raises(RasdError, match="run '0123': not in sqlite"):
        run_records("0123")


def test_an_unknown_model_is_answered_with_the_nearest(run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", run_id, run_id, "--model", "encodr"]) == 2
    assert "did you mean 'encoder'?" in capsys.readouterr().err
