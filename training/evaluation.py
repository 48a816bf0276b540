"""A model's answers on gold: scored, with intervals, and as records that stand alone without the gold file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import InputError
from inference.gold import GoldRecord, gold_matrix
from inference.metrics import evaluate_labels
from inference.results import Prediction
from inference.taxonomy import STANCES, Taxonomy
from training.bootstrap import Interval, Labels, intervals
from training.weak import WeakLabels

FloatArray = npt.NDArray[np.float64]
FOLDER = "predictions"


@dataclass(frozen=True)
class Scored:
    """One model's answers on gold.

    Args:
        name: the model's name, for people.
        key: its name in metrics and files, such as ``encoder``.
        labels: what it says of every paragraph.
        topics: shape ``(rows, topics)``; probability that the topic is there.
        stance: shape ``(rows, topics, 3)``; stance probabilities.
        metrics: the object of the contract.
        intervals: metric to its bootstrap interval.
        evidence: per paragraph, its spans as the prediction record has them; empty where the model gives none.
    """

    name: str
    key: str
    labels: Labels
    topics: FloatArray
    stance: FloatArray
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Interval]
    evidence: Sequence[Sequence[Mapping[str, Any]]] = field(default_factory=list)


def key_of(name: str) -> str:
    """Give a model's name in metrics and files: ``encoder (AraBERT)`` becomes ``encoder``."""
    return name.split(" (")[0].replace(" ", "_").replace("-", "").lower()


def gold_digest(records: Sequence[GoldRecord]) -> str:
    """Give the sha256 of gold's content: texts and labels in order, whatever file they came from."""
    digest = hashlib.sha256()
    for record in records:
        line = json.dumps([record.text, dict(sorted(record.topics.items()))], ensure_ascii=True)
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()


def labels_of(predictions: Sequence[Prediction], taxonomy: Taxonomy) -> Labels:
    """Give predictions as the metrics read them."""
    present = np.array([[p.topics[t].present for t in taxonomy.ids] for p in predictions], dtype=bool)
    stance = np.array([[STANCES.index(p.topics[t].stance.label) for t in taxonomy.ids] for p in predictions])
    return Labels(present, stance)


def probabilities_of(predictions: Sequence[Prediction], taxonomy: Taxonomy) -> WeakLabels:
    """Give the probabilities of predictions, topics' and stances', as labels that another model can learn."""
    topics = [[p.topics[t].probability for t in taxonomy.ids] for p in predictions]
    stance = [[[p.topics[t].stance.probabilities[s] for s in STANCES] for t in taxonomy.ids] for p in predictions]
    return WeakLabels(np.array(topics), np.array(stance))


def score_model(
    name: str, predictions: Sequence[Prediction], gold: list[GoldRecord], taxonomy: Taxonomy, *, seed: int = 0
) -> Scored:
    """Score a served model's predictions.

    Args:
        name: the model's name, for people.
        predictions: in the order of gold.
        gold: the gold records.
        taxonomy: the topics.
        seed: of the bootstrap.
    """
    said = probabilities_of(predictions, taxonomy)
    evidence = [p.to_json()["evidence"] for p in predictions]
    return _scored(name, labels_of(predictions, taxonomy), said.topics, said.stance, gold, taxonomy, seed, evidence)


def score_weak(name: str, weak: WeakLabels, gold: list[GoldRecord], taxonomy: Taxonomy, *, seed: int = 0) -> Scored:
    """Score weak labels as if a model had given them: a topic is there from one half.

    Args:
        name: for people, such as ``majority vote``.
        weak: labels of gold's paragraphs, in the order of gold.
        gold: the gold records.
        taxonomy: the topics.
        seed: of the bootstrap.
    """
    labels = Labels(weak.topics > 0.5, weak.stance.argmax(-1))
    return _scored(name, labels, weak.topics, weak.stance, gold, taxonomy, seed, [])


def _scored(
    name: str,
    labels: Labels,
    topics: FloatArray,
    stance: FloatArray,
    gold: list[GoldRecord],
    taxonomy: Taxonomy,
    seed: int,
    evidence: Sequence[Sequence[Mapping[str, Any]]],
) -> Scored:
    matrix = gold_matrix(gold, taxonomy)
    metrics = evaluate_labels(taxonomy, gold=matrix, present=labels.present, stance=labels.stance)
    found = intervals(taxonomy, gold=matrix, labels=labels, seed=seed)
    return Scored(name, key_of(name), labels, topics, stance, metrics, found, evidence)


def to_records(scored: Scored, gold: Sequence[GoldRecord], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Give a record per paragraph: its id, text, gold labels, and what the model says, with evidence."""
    rows = []
    for i, record in enumerate(gold):
        topics = {}
        for j, topic in enumerate(taxonomy.ids):
            shares = {s: round(float(scored.stance[i, j, k]), 4) for k, s in enumerate(STANCES)}
            topics[topic] = {
                "probability": round(float(scored.topics[i, j]), 4),
                "present": bool(scored.labels.present[i, j]),
                "stance": {"label": STANCES[int(scored.labels.stance[i, j])], **shares},
            }
        evidence = [dict(e) for e in scored.evidence[i]] if scored.evidence else []
        rows.append(
            {"id": record.id, "text": record.text, "gold": dict(record.topics), "topics": topics, "evidence": evidence}
        )
    return rows


def to_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    """Give records as JSON lines; ASCII, so that a lone surrogate in a text can be written too."""
    return "".join(json.dumps(r, ensure_ascii=True) + "\n" for r in rows)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read what :func:`to_jsonl` wrote.

    Raises:
        InputError: where the file is no such thing; file and line are named.
    """
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            rows.append({k: row[k] for k in ("id", "text", "gold", "topics", "evidence")})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: no record of a prediction ({error})") from None
    return rows


def present_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Give a record's predicted labels in the form of gold: present topic to stance."""
    return {t: v["stance"]["label"] for t, v in record["topics"].items() if v["present"]}
