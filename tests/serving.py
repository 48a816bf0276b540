"""Model folders of every kind for tests of serving, made in seconds and without a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from inference import Predictor
from inference.calibration import Calibration
from inference.folder import FIRST, SECOND
from tests import tiny
from training.cascade import write_cascade
from training.encoders import Encoder, load_encoder
from training.export import export_encoder, export_tfidf, export_weak
from training.labeling import Applier
from training.model import JointModel
from training.quantise import GoldCheck
from training.tfidf import fit_tfidf
from training.topics import load_watch_list
from training.weak import WeakLabels, fit_weak_model

WATCH_LIST = load_watch_list(tiny.ROOT / "configs" / "topics.yaml")
TOPICS = len(WATCH_LIST.taxonomy)


def weak_labels(rows: int) -> WeakLabels:
    """Labels that say of a text of ``tiny.corpus`` what it is about."""
    topics = np.zeros((rows, TOPICS))
    for i in range(rows):
        if i % 4 < 3:
            topics[i, i % 4] = 1.0
    return WeakLabels(topics, np.full((rows, TOPICS, 3), 1 / 3))


def weak_folder(target: Path) -> Path:
    """A model folder of kind ``weak`` with the shipped labelling functions."""
    applier = Applier(WATCH_LIST, use_metadata=False)
    votes = applier.apply(tiny.corpus(24)).matrix
    model = fit_weak_model(votes, applier.functions, WATCH_LIST.taxonomy)
    return export_weak(
        target,
        model,
        WATCH_LIST.functions,
        calibration=Calibration.identity(TOPICS),
        training={},
        data_sha256="",
    )


def tfidf_folder(target: Path) -> Path:
    """A model folder of kind ``tfidf``."""
    model = fit_tfidf([str(r["text"]) for r in tiny.corpus(40)], weak_labels(40))
    return export_tfidf(
        target,
        model,
        taxonomy=WATCH_LIST.taxonomy,
        calibration=Calibration.identity(TOPICS),
        training={},
        data_sha256="",
    )


def joint_model(folder: Path, *, seed: int = 1) -> tuple[JointModel, Encoder]:
    """A tiny encoder with random heads and a word or two to say for every topic."""
    encoder = load_encoder(str(tiny.bert_folder(folder)))
    torch.manual_seed(seed)
    model = JointModel(encoder.model, topics=TOPICS, functions=len(WATCH_LIST.functions))
    for part in (model.query, model.topic_weight, model.stance_weight, model.topic_votes):
        torch.nn.init.normal_(part, std=0.3)
    return model, encoder


def gold_check(rows: int = 8) -> GoldCheck:
    """Texts with what is right of them."""
    return GoldCheck(
        [str(r["text"]) for r in tiny.corpus(rows)], np.where(weak_labels(rows).topics > 0.5, 0, -1).astype(np.int64)
    )


def encoder_folder(
    target: Path, work: Path, *, check: GoldCheck | None = None, seed: int = 1, shift: float = 0.0
) -> Path:
    """A model folder of kind ``encoder``, window 48 tokens; in int8 where there is something to check that on."""
    model, encoder = joint_model(work / "tiny-bert", seed=seed)
    return export_encoder(
        target,
        model,
        encoder,
        functions=WATCH_LIST.functions,
        taxonomy=WATCH_LIST.taxonomy,
        calibration=replace(Calibration.identity(TOPICS), topic_shift=np.full(TOPICS, shift)),
        max_tokens=48,
        training={},
        data_sha256="",
        check=check,
    )


def cascade_folder(target: Path, work: Path) -> Path:
    """A model folder of kind ``cascade``, in which every second text or so reaches the second encoder."""
    fast = encoder_folder(work / "parts" / FIRST, work / "fast-base", seed=2, shift=-2.0)
    encoder = encoder_folder(work / "parts" / SECOND, work / "encoder-base")
    texts = [str(r["text"]) for r in tiny.corpus(16)]
    said = np.array([[t.probability for t in p.topics.values()] for p in Predictor(fast).predict(texts)])
    answers = WeakLabels((said >= np.quantile(said, 0.8, axis=0)).astype(float), weak_labels(16).stance)
    return write_cascade(target, texts, answers, fast=fast, encoder=encoder, keep=1.0, training={}).folder


def folder(kind: str, target: Path, work: Path) -> Path:
    """A model folder of a kind."""
    if kind == "cascade":
        return cascade_folder(target, work)
    if kind == "encoder":
        return encoder_folder(target, work, check=gold_check())
    return (weak_folder if kind == "weak" else tfidf_folder)(target)
