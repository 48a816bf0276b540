"""The model card that lies in every model folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.folder import Manifest

_LICENCES = {"encoder": "MIT for the heads and fine-tuning; the base encoder keeps its own licence"}


def model_card(manifest: Manifest) -> str:
    """Write the card.

    Args:
        manifest: the model's manifest.
    """
    topics = "\n".join(f"- `{t.id}`: {t.name_en} ({t.name_ar})" for t in manifest.taxonomy.topics)
    return f"""---
language: ar
license: mit
tags: [arabic, topic-classification, stance-detection, weak-supervision]
---
# {manifest.name}

Reads a paragraph of Arabic news; says which of the watched topics it is about and which stance (favor, against,
neutral) it takes towards each.

- Kind: {manifest.kind}
- Base: **{manifest.base}**
- Licence: {_LICENCES.get(manifest.kind, "MIT")}{_precision(manifest)}

## Topics
{topics}

## Training data
{_data(manifest)} sha256 of the corpus: `{manifest.data_sha256}`.

## Metrics on gold
{_metrics(manifest.training.get("metrics"))}

## Limits
Modern Standard Arabic news. Dialect, tweets and other languages were not trained on. A stance is the attitude of the
paragraph's principal voice, not the newspaper's. Probabilities are calibrated on weak labels, not on people's.
"""


def _data(manifest: Manifest) -> str:
    if teacher := manifest.training.get("distilled_from"):
        return (
            f"Distilled from {teacher['base']} (manifest sha256 `{teacher['manifest_sha256']}`):\n"
            "it learnt that model's answers on paragraphs without labels."
        )
    return (
        "Weak labels (labelling functions and a label model) over paragraphs that were invented for the purpose; no\n"
        "paragraph was labelled by hand."
    )


def _precision(manifest: Manifest) -> str:
    if "precision" not in manifest.engine:
        return ""
    return f"\n- Precision: {manifest.engine['precision']} (on gold: {manifest.engine['precision_reason']})"


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return "See the training run in MLflow."
    rows = ["| metric | value |", "|---|---|"]
    for part in ("topics", "stance", "joint"):
        rows.append(f"| {part} macro-F1 | {metrics[part]['macro_f1']:.3f} |")
    rows += [f"| {topic} F1 | {m['f1']:.3f} |" for topic, m in metrics["topics"]["per_topic"].items()]
    return "\n".join([*rows, "", f"n = {metrics['n']} paragraphs."])
