"""What a run shows of itself: its pictures, its report and its predictions on gold, as artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.calibration import Calibration
from inference.gold import GoldRecord, gold_matrix
from inference.taxonomy import Taxonomy
from training import function_pictures, pictures, tracking
from training.analysis import Analysis
from training.evaluation import FOLDER, Scored, to_jsonl, to_records
from training.labeling import LabelingFunction
from training.report import COLUMNS, Picture, build_report

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Findings:
    """What was learned in a run.

    Args:
        taxonomy: the topics.
        gold: the gold records.
        models: every model on gold.
        best: place in ``models`` of the one that the pictures are of.
        calibration: that of the best model.
        functions: the labelling functions.
        votes: shape ``(rows, functions)``; their votes on the corpus.
        analysis: of the labelling functions.
        lengths: shape ``(rows,)``; tokens of the training paragraphs.
        window: tokens that the encoder reads at once.
        history: what the Trainer logged.
    """

    taxonomy: Taxonomy
    gold: list[GoldRecord]
    models: Sequence[Scored]
    best: int
    calibration: Calibration
    functions: Sequence[LabelingFunction]
    votes: npt.NDArray[np.int8]
    analysis: Analysis
    lengths: npt.NDArray[np.int64]
    window: int
    history: Sequence[Mapping[str, Any]] = field(default_factory=list)


def log_findings(findings: Findings, *, title: str, facts: Mapping[str, str]) -> None:
    """Log pictures, predictions and ``report.html`` to the active run.

    Args:
        findings: what was learned.
        title: the report's heading.
        facts: what the report says of the run.
    """
    drawn = draw(findings)
    records = [to_records(m, findings.gold, findings.taxonomy) for m in findings.models]
    report = build_report(
        title=title,
        facts=facts,
        taxonomy=findings.taxonomy,
        models=findings.models,
        records=records,
        pictures=drawn,
        analysis=findings.analysis,
        selected=findings.best,
    )
    files: dict[str, str | bytes] = {f"pictures/{p.file}": p.png for p in drawn}
    files |= {f"{FOLDER}/{m.key}.jsonl": to_jsonl(r) for m, r in zip(findings.models, records, strict=True)}
    tracking.log_files({**files, "report.html": report})


def draw(findings: Findings) -> list[Picture]:
    """Draw every picture of a run."""
    taxonomy, best = findings.taxonomy, findings.models[findings.best]
    gold = gold_matrix(findings.gold, taxonomy)
    comparison = pictures.model_comparison(
        {m.name: m.intervals for m in findings.models}, {k: f"{v}, macro-F1" for k, v in COLUMNS.items()}
    )
    worth = "; ".join(f"{m.name}: joint macro-F1 {m.metrics['joint']['macro_f1']:.2f}" for m in findings.models)
    found = [
        Picture("models.png", "The models on gold, with 95 % bootstrap intervals", worth, comparison),
        Picture(
            "stance_confusion.png",
            f"Stance, gold against predicted, per topic: {best.name}",
            "A table per topic; the numbers are in the comparison and the paragraphs below.",
            pictures.stance_confusion(taxonomy, gold=gold, present=best.labels.present, stance=best.labels.stance),
        ),
        Picture(
            "precision_recall.png",
            "Precision and recall at every threshold, per topic",
            "A curve per model and topic; the dotted line is the topic's share of gold.",
            pictures.precision_recall(taxonomy, gold=gold >= 0, models={m.name: m.topics for m in findings.models}),
        ),
        Picture(
            "reliability.png",
            f"Reliability before and after calibration, per topic: {best.name}",
            "How often a topic is there over the probability that the model gave; the diagonal would be perfect.",
            pictures.reliability(
                taxonomy, gold=gold >= 0, before=_uncalibrated(best.topics, findings.calibration), after=best.topics
            ),
        ),
    ]
    if any("loss" in h for h in findings.history):
        text = "Loss in training and validation, and the learning rate, over the epochs."
        found.append(Picture("learning_curve.png", "Learning curve", text, pictures.learning_curve(findings.history)))
    if len(findings.lengths):
        drawn = pictures.token_lengths(findings.lengths, window=findings.window)
        text = f"The median is {np.median(findings.lengths):.0f} tokens; the window holds {findings.window}."
        found.append(Picture("token_lengths.png", "Tokens of the training paragraphs", text, drawn))
    return found + _of_functions(findings)


def _of_functions(findings: Findings) -> list[Picture]:
    reports = findings.analysis.functions
    names = [f.name for f in findings.functions]
    coverage = function_pictures.function_coverage(
        names,
        coverage=np.array([r.coverage for r in reports]),
        estimated=np.array([r.estimated_accuracy for r in reports]),
        gold=[r.gold_accuracy for r in reports],
    )
    groups = [f"{f.topic}/{f.is_stance}" for f in findings.functions]
    conflicts = function_pictures.function_conflicts(names, votes=findings.votes, groups=groups)
    return [
        Picture(
            "function_coverage.png",
            "Labelling functions: coverage and accuracy",
            "The numbers are in the table of the labelling functions.",
            coverage,
        ),
        Picture(
            "function_conflicts.png",
            "Labelling functions: conflicts",
            "On how many paragraphs two functions contradict each other; the table has each function's share.",
            conflicts,
        ),
    ]


def _uncalibrated(probability: FloatArray, calibration: Calibration) -> FloatArray:
    p = np.clip(probability, 1e-9, 1 - 1e-9)
    logits = (np.log(p / (1 - p)) - calibration.topic_shift) / calibration.topic_scale
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))


def describe(models: Sequence[Scored], decision: str) -> str:
    """Give the run's description, in Markdown, as MLflow shows it on the run's page."""
    head = "| model | topics | stance | joint |\n|---|---|---|---|\n"
    rows = "".join(
        f"| {m.name} | "
        + " | ".join(f"{v.value:.3f} ({v.lower:.2f} to {v.upper:.2f})" for v in (m.intervals[c] for c in COLUMNS))
        + " |\n"
        for m in models
    )
    # MLflow folds a long description: what to open comes first.
    return (
        "The pictures, the labelling functions and every paragraph of gold: **Artifacts, `report.html`**.\n\n"
        f"Macro-F1 on {models[0].metrics['n']} gold paragraphs, with 95 % bootstrap intervals:\n\n{head}{rows}\n"
        f"{decision}"
    )
