"""The model cards: one in every model folder, and one beside the weights in transformers' own format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inference.folder import Manifest, write_folder
from inference.metrics import macro_scores

FILE = "README.md"
# Kinds that are made of nothing that came with a licence.
_OURS = ("tfidf", "weak")


def model_card(manifest: Manifest, *, use: str = "") -> str:
    """Write the card.

    Args:
        manifest: the model's manifest; ``training`` holds metrics and intervals where it was scored.
        use: a section on how the weights are loaded.
    """
    topics = "\n".join(f"- `{t.id}`: {t.name_en} ({t.name_ar})" for t in manifest.taxonomy.topics)
    return f"""---
language: ar
license: {"mit" if manifest.kind in _OURS else "other"}
tags: [arabic, topic-classification, stance-detection, weak-supervision]
---
# {manifest.name}

Reads a paragraph of Arabic news; says which of the watched topics it is about and which stance (favor, against,
neutral) it takes towards each.

- Kind: {manifest.kind}
- Base: **{manifest.base}**
- Licence: {_licence(manifest)}{_precision(manifest)}
- Training run: `{manifest.training.get("run_id", "unknown")}`
{use}
## Topics
{topics}

## Training data and labels
{_data(manifest)}
sha256 of the corpus: `{manifest.data_sha256}`.

## Metrics on gold
{_metrics(manifest.training.get("metrics"), manifest.training.get("intervals") or {})}

## Limits
Modern Standard Arabic news. Dialect, tweets and other languages were not trained on. A stance is the attitude of the
paragraph's principal voice, not the newspaper's. Probabilities are calibrated on weak labels, not on people's. Where
gold is invented text, as the gold in Rasd's seeds is, the metrics flatter; score the model on your own paragraphs
with `rasd evaluate`.
"""


def write_with_card(target: str | Path, manifest: Manifest, fill: Callable[[Path], None]) -> Path:
    """Write a model folder, and its card in it; see :func:`inference.folder.write_folder`."""

    def whole(folder: Path) -> None:
        fill(folder)
        (folder / FILE).write_text(model_card(manifest), "utf-8")

    return write_folder(target, manifest, whole)


def body(card: str) -> str:
    """Give a card without the YAML at its head, which is for a hub, and without its first heading, the name."""
    parts = card.split("---\n", 2)
    text = parts[2].lstrip() if len(parts) == 3 and not parts[0] else card
    return text.partition("\n")[2].lstrip() if text.startswith("# ") else text


def _by_people(manifest: Manifest) -> str:
    count = manifest.training.get("clean", 0) if manifest.kind == "encoder" else 0
    if not count:
        return "No training paragraph was labelled by hand."
    return (
        f"Afterwards it was trained a little on {count} paragraphs that people labelled; the metrics leave those out."
    )


def _taught(manifest: Manifest) -> str:
    if not (teacher := manifest.training.get("taught_by")):
        return ""
    return (
        f"\nParagraphs of which only words and phrases spoke were labelled by a model before it ({teacher['base']},\n"
        f"manifest sha256 `{teacher['manifest_sha256']}`)."
    )


def _licence(manifest: Manifest) -> str:
    if manifest.kind in _OURS:
        return "MIT"
    own = manifest.engine.get("licence", "see its model card")
    return f"MIT for the heads and the fine-tuning; the base encoder keeps its own: {own}"


def _data(manifest: Manifest) -> str:
    if part := manifest.training.get("cascade"):
        return (
            "Nothing was learned for the cascade itself: a fast model reads every paragraph, and the encoder that\n"
            "taught it those that may carry a topic. Both lie below this folder, each with a card of its own.\n"
            f"On {part['paragraphs']} paragraphs that the fast model did not learn from, {part['kept']:.1%} of the\n"
            f"encoder's {part['findings']} findings reach it, and {part['settled']:.0%} of the paragraphs in which it\n"
            "finds nothing do not."
        )
    if teacher := manifest.training.get("distilled_from"):
        return (
            f"Distilled from {teacher['base']} (manifest sha256 `{teacher['manifest_sha256']}`):\n"
            "it learned that model's answers on paragraphs without labels."
        )
    return (
        "Weak labels: labelling functions (words and phrases of the watch list) vote, a label model weighs the votes,\n"
        f"and the probabilities that it gives are learned from. {_by_people(manifest)}{_taught(manifest)}"
    )


def _precision(manifest: Manifest) -> str:
    if "precision" not in manifest.engine:
        return ""
    return f"\n- Precision: {manifest.engine['precision']} (on gold: {manifest.engine['precision_reason']})"


def _metrics(metrics: Mapping[str, Any] | None, intervals: Mapping[str, Any]) -> str:
    if not metrics:
        return "See the training run in MLflow."
    values = {f"{part}.macro_f1": score for part, score in macro_scores(metrics).items()}
    values |= {f"{topic}.f1": float(m["f1"]) for topic, m in metrics["topics"]["per_topic"].items()}
    rows = ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, value in values.items():
        low, high = intervals.get(name, (None, None))
        told = "" if low is None else f"{low:.3f} to {high:.3f}"
        rows.append(f"| {name} | {value:.3f} | {told} |")
    return "\n".join([*rows, "", f"n = {metrics['n']} paragraphs; bootstrap over paragraphs."])
