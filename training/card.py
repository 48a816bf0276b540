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
- Licence: {_LICENCES.get(manifest.kind, "MIT")}

## Topics
{topics}

## Training data
Weak labels (labelling functions and a label model) over paragraphs that were invented for the purpose; no paragraph
was labelled by hand. sha256 of the corpus: `{manifest.data_sha256}`.

## Metrics on gold
{_metrics(manifest.training.get("metrics"))}

## Limits
Modern Standard Arabic news. Dialect, tweets and other languages were not trained on. A stance is the attitude of the
paragraph's principal voice, not the newspaper's. Probabilities are calibrated on weak labels, not on people's.
"""


def body(card: str) -> str:
    """Give a card without the YAML at its head, which is for a hub, and without its first heading, the name."""
    parts = card.split("---\n", 2)
    text = parts[2].lstrip() if len(parts) == 3 and not parts[0] else card
    return text.partition("\n")[2].lstrip() if text.startswith("# ") else text


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return "See the training run in MLflow."
    rows = ["| metric | value |", "|---|---|"]
    for part in ("topics", "stance", "joint"):
        rows.append(f"| {part} macro-F1 | {metrics[part]['macro_f1']:.3f} |")
    rows += [f"| {topic} F1 | {m['f1']:.3f} |" for topic, m in metrics["topics"]["per_topic"].items()]
    return "\n".join([*rows, "", f"n = {metrics['n']} paragraphs."])
