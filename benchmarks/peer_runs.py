"""The peers as processes: what each needs, the encoder that they read, their run and the score of their answers."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_scripts.exchange import Job, write_job
from benchmarks.processes import Used, run
from inference.gold import GoldRecord, gold_matrix
from inference.metrics import evaluate_labels, macro_scores
from inference.taxonomy import Taxonomy

FOLDER = Path(__file__).resolve().parent / "peer_scripts"


@dataclass(frozen=True)
class Peer:
    """One alternative.

    Args:
        script: its file in ``benchmarks/peer_scripts``, without ``.py``.
        name: for the table.
        package: what it needs beside Rasd's own packages; empty for nothing.
        effort: epochs of its Trainer, or pairs per text of SetFit; 0 where it has no such knob.
    """

    script: str
    name: str
    package: str
    effort: float = 0.0


PEERS = (
    Peer("snorkel_trainer", "Snorkel + stock Trainer", "snorkel", 3.0),
    Peer("setfit_clean", "SetFit on clean labels", "setfit", 3.0),
    Peer("zero_shot", "zero-shot likeness", ""),
    Peer("tfidf_svm", "TF-IDF + SVM, clean labels", ""),
)


def code_lines(path: Path) -> int:
    """Count the lines of a script that a person has to write: neither blank, nor comment, nor docstring."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            silent.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and n not in silent for n, line in lines)


def save_encoder(folder: Path) -> None:
    """Write the embedded encoder as transformers reads it."""
    from transformers import PreTrainedTokenizerFast

    from training.encoders import load_encoder

    encoder = load_encoder("embedded")
    encoder.model.save_pretrained(folder)
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    pad = encoder.tokenizer.id_to_token(encoder.pad_id)
    PreTrainedTokenizerFast(tokenizer_object=encoder.tokenizer, pad_token=pad, **tokens).save_pretrained(folder)


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Read the records of a folder's JSON Lines files."""
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for f in files for line in f.read_text("utf-8").splitlines() if line.strip()]


def score(taxonomy: Taxonomy, gold: Sequence[GoldRecord], present: Any, stance: Any) -> dict[str, float]:
    """Give the three macro-F1 of answers of shape ``(rows, topics)`` against records."""
    metrics = evaluate_labels(
        taxonomy, gold=gold_matrix(list(gold), taxonomy), present=np.asarray(present, dtype=bool), stance=stance
    )
    return macro_scores(metrics)


def run_peer(peer: Peer, python: str, job: Job, golds: dict[str, list[GoldRecord]], taxonomy: Taxonomy) -> Any:
    """Run one peer and score its answers on every gold.

    Args:
        peer: which.
        python: the interpreter that has its packages.
        job: what it is given; its texts are those of all golds, one after another.
        golds: name to records.
        taxonomy: the topics.
    """
    work = job.answers.parent
    write_job(work / "job.json", job)
    used = run([python, str(FOLDER / f"{peer.script}.py"), str(work / "job.json")], work=work)
    row: dict[str, Any] = {"lines": code_lines(FOLDER / f"{peer.script}.py"), "effort": job.effort, **figures(used)}
    if used.code:
        return {**row, "failed": used.reason}
    answers = json.loads(job.answers.read_text("utf-8"))
    present, stance = np.array(answers["present"], dtype=bool), np.array(answers["stance"])
    start, row["quality"] = 0, {}
    for name, records in golds.items():
        part = slice(start, start + len(records))
        row["quality"][name] = score(taxonomy, records, present[part], stance[part])
        start += len(records)
    return row


def figures(used: Used) -> dict[str, float]:
    """Give what a table shows of what a process took."""
    return {k: v for k, v in asdict(used).items() if k in ("seconds", "cpu_seconds", "peak_mb")}


def has_package(python: str, package: str) -> bool:
    """Say whether an interpreter can find a package."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0
