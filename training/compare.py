"""``rasd compare``: two runs side by side, from the predictions that each logged; no gold file is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from rich.console import Console
from rich.table import Table

from inference.errors import InputError, RasdError, nearest
from inference.taxonomy import STANCES, Taxonomy, Topic
from training.bootstrap import Difference, Interval, Labels, compare, intervals, to_json
from training.evaluation import FOLDER, present_of, read_records

Record = Mapping[str, Any]
_SHOWN = 10
_EXCERPT = 140


@dataclass(frozen=True)
class ModelComparison:
    """One model in two runs, on the paragraphs that both were scored on.

    Args:
        model: the model's name in metrics, such as ``encoder``.
        n: how many paragraphs both have, with the same gold labels.
        left_out: how many only one of them has.
        first: metric to interval in the first run.
        second: likewise in the second.
        difference: second less first, by paired bootstrap.
        won: paragraphs that only the second run has all right: id, text, gold, first, second.
        lost: those that only the first has.
    """

    model: str
    n: int
    left_out: int
    first: Mapping[str, Interval]
    second: Mapping[str, Interval]
    difference: Mapping[str, Difference]
    won: Sequence[Record]
    lost: Sequence[Record]

    def to_json(self) -> dict[str, Any]:
        """Give the comparison as ``rasd compare --json`` prints it."""
        return {
            "model": self.model,
            "n": self.n,
            "left_out": self.left_out,
            "first": to_json(self.first),
            "second": to_json(self.second),
            "difference": to_json(self.difference),
            "won": list(self.won),
            "lost": list(self.lost),
        }


def run_records(run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Give the predictions on gold that a training logged: model to records.

    Args:
        run_id: the parent run, or one of its children.

    Raises:
        RasdError: where the store has no such run, or the run has no predictions.
    """
    client = MlflowClient()
    try:
        run = client.get_run(run_id)
        parent = run.data.tags.get("mlflow.parentRunId", run_id)
        names = [f.path for f in client.list_artifacts(parent, FOLDER) if f.path.endswith(".jsonl")]
        if names:
            folder = Path(mlflow.artifacts.download_artifacts(run_id=parent, artifact_path=FOLDER))
            return {Path(n).stem: read_records(folder / Path(n).name) for n in names}
    except MlflowException as error:
        raise RasdError(f"run {run_id!r}: not in {mlflow.get_tracking_uri()} ({error.message})") from None
    raise RasdError(f"run {run_id!r}: has no predictions on gold; only a training that came to its end has them")


def compare_records(model: str, first: Sequence[Record], second: Sequence[Record], *, seed: int = 0) -> ModelComparison:
    """Compare two models' records on the paragraphs that both have with the same gold labels.

    Args:
        model: the model's name.
        first: records of the first run.
        second: records of the second.
        seed: of the bootstrap.

    Raises:
        InputError: where they have no paragraph in common.
    """
    at = {_key(r): r for r in second}
    pairs = [(r, at[_key(r)]) for r in first if _key(r) in at]
    if not pairs:
        raise InputError(f"{model}: the two runs were scored on different gold; they have no paragraph in common")
    taxonomy = _taxonomy(pairs[0])
    gold = np.array([[_place(a["gold"].get(t)) for t in taxonomy.ids] for a, _ in pairs])
    one, other = (_labels([p[side] for p in pairs], taxonomy) for side in (0, 1))
    right = [(present_of(a) == a["gold"], present_of(b) == b["gold"]) for a, b in pairs]
    told = [
        {"id": a["id"], "text": a["text"], "gold": a["gold"], "first": present_of(a), "second": present_of(b)}
        for a, b in pairs
    ]
    return ModelComparison(
        model,
        len(pairs),
        len({_key(r) for r in first} ^ set(at)),
        intervals(taxonomy, gold=gold, labels=one, seed=seed),
        intervals(taxonomy, gold=gold, labels=other, seed=seed),
        compare(taxonomy, gold=gold, first=one, second=other, seed=seed),
        [t for t, (a, b) in zip(told, right, strict=True) if b and not a],
        [t for t, (a, b) in zip(told, right, strict=True) if a and not b],
    )


def compare_runs(first: str, second: str, *, model: str | None = None, seed: int = 0) -> list[ModelComparison]:
    """Compare the models that two runs have in common.

    Args:
        first: a run's id.
        second: another's.
        model: only this one, such as ``encoder``.
        seed: of the bootstrap.

    Raises:
        RasdError: where a run or the model cannot be had.
    """
    one, other = run_records(first), run_records(second)
    common = [m for m in one if m in other]
    if model is not None and model not in common:
        raise InputError(f"model {model!r}: not in both runs{nearest(model, common)}")
    return [compare_records(m, one[m], other[m], seed=seed) for m in ([model] if model else common)]


def show(comparisons: Sequence[ModelComparison], *, console: Console, detail: str | None = None) -> None:
    """Print a comparison for a person to read.

    Args:
        comparisons: from :func:`compare_runs`.
        console: where to.
        detail: the model whose paragraphs are listed; the only one, or ``encoder``, where None.
    """
    table = Table("model", "metric", "A", "B", "B - A", "", title_justify="left")
    for found in comparisons:
        for metric in ("topics.macro_f1", "stance.macro_f1", "joint.macro_f1"):
            gain = found.difference[metric]
            table.add_row(
                found.model,
                metric.replace(".macro_f1", " macro-F1"),
                _cell(found.first[metric]),
                _cell(found.second[metric]),
                f"{gain.value:+.3f} ({gain.lower:+.2f} to {gain.upper:+.2f})",
                "better" if gain.lower > 0 else "worse" if gain.upper < 0 else "noise",
            )
    console.print(table)
    wanted = detail or ("encoder" if len(comparisons) > 1 else comparisons[0].model)
    for found in comparisons:
        if found.left_out:
            console.print(f"{found.model}: {found.left_out} paragraphs left out; only one of the runs has them")
        if found.model == wanted:
            for heading, rows in (("won by B", found.won), ("lost by B", found.lost)):
                console.print(f"{found.model}, {heading}: {len(rows)} of {found.n} paragraphs")
                for row in rows[:_SHOWN]:
                    _show_paragraph(row, console)
                if len(rows) > _SHOWN:
                    console.print(f"  ... and {len(rows) - _SHOWN} more; --json gives them all")


def _show_paragraph(row: Record, console: Console) -> None:
    text = " ".join(str(row["text"]).split())
    text = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
    # Text of the data must not be read as rich's markup.
    console.print(f"  {row['id']}: {text}", markup=False, highlight=False)
    labels = "   ".join(f"{k} {_words(row[n])}" for k, n in (("gold", "gold"), ("A", "first"), ("B", "second")))
    console.print(f"    {labels}", markup=False, highlight=False)


def _words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{t} {s}" for t, s in sorted(labels.items())) or "none"


def _cell(v: Interval) -> str:
    return f"{v.value:.3f} ({v.lower:.2f} to {v.upper:.2f})"


def _key(record: Record) -> tuple[str, tuple[tuple[str, str], ...]]:
    return str(record["text"]), tuple(sorted(record["gold"].items()))


def _taxonomy(pair: tuple[Record, Record]) -> Taxonomy:
    # Topics that only one of the runs knew cannot be compared.
    names = [t for t in pair[0]["topics"] if t in pair[1]["topics"]]
    return Taxonomy(tuple(Topic(t, t, t, t) for t in names))


def _place(stance: str | None) -> int:
    return -1 if stance is None else STANCES.index(stance)


def _labels(records: Sequence[Record], taxonomy: Taxonomy) -> Labels:
    present = np.array([[r["topics"][t]["present"] for t in taxonomy.ids] for r in records], dtype=bool)
    stance = np.array([[STANCES.index(r["topics"][t]["stance"]["label"]) for t in taxonomy.ids] for r in records])
    return Labels(present, stance)
