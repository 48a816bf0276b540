"""The files between ``benchmarks/peers.py`` and a peer: what it may read, and the answers that it gives.

This is the harness' part, which no user would write; the lines of a peer are counted without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STANCES = ("favor", "against", "neutral")


@dataclass(frozen=True)
class Job:
    """What a peer is given.

    Args:
        train: the corpus' records, unlabelled: ``text`` and metadata.
        clean: labelled records: ``text`` and ``topics``, a mapping of topic to stance.
        texts: what is to be predicted.
        topics: topic id to its Arabic target phrase.
        encoder: folder of the encoder as transformers reads it.
        watch_list: the labelling functions.
        effort: epochs of a Trainer, or pairs drawn per text for SetFit.
        answers: where the answers go.
    """

    train: list[dict[str, Any]]
    clean: list[dict[str, Any]]
    texts: list[str]
    topics: dict[str, str]
    encoder: str
    watch_list: str
    effort: float
    answers: Path


def write_job(path: Path, job: Job) -> None:
    """Write a job for a peer to read."""
    path.write_text(json.dumps({**vars(job), "answers": str(job.answers)}, ensure_ascii=False), "utf-8")


def read_job() -> Job:
    """Read the job that the peer's only argument names."""
    data = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    return Job(**{**data, "answers": Path(data["answers"])})


def write_answers(job: Job, present: Sequence[Sequence[bool]], stance: Sequence[Sequence[int]]) -> None:
    """Write what a peer says of each text and topic, in their order.

    Args:
        job: the job.
        present: shape ``(texts, topics)``.
        stance: shape ``(texts, topics)``; the stance's place in :data:`STANCES`, also where the topic is absent.
    """
    answers = {"present": [[bool(v) for v in row] for row in present], "stance": [[int(v) for v in r] for r in stance]}
    job.answers.write_text(json.dumps(answers), "utf-8")
