"""Distils a served encoder into one of fewer layers, on paragraphs that need no labels (Hinton et al., 2015).

The teacher reads the corpus and whatever else the user brings; its probabilities are what the student learns, by the
same fine-tuning, the same votes beside the tokens and the same export as the teacher's own. The student begins as the
lowest layers of the pretrained encoder, which keep most of what a shortened one can know (Sajjad et al., 2023). Its
embeddings learn too: where few layers are left to tell what a word means, much of what there is to learn lies in them.
In the end both stand together as a cascade (:mod:`training.cascade`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from rich.console import Console
from torch import nn

from inference.errors import ConfigError
from inference.gold import GoldRecord, read_gold
from inference.metrics import macro_scores
from inference.predictor import Predictor, resolve_model
from training import export, runs, tracking
from training.batches import build_dataset, predict_logits
from training.calibrate import calibrate
from training.cascade import NAME as CASCADE
from training.cascade import Cascade, write_cascade
from training.config import Config
from training.corpus import digest_rows, load_corpus, paragraph_id
from training.encoders import Encoder, load_encoder
from training.evaluation import Scored, score_model
from training.finetune import finetune
from training.quantise import GoldCheck
from training.sampling import hold_out
from training.store import models_lock
from training.table import print_table
from training.teacher import Teacher
from training.weak import WeakLabels
from training.weak_stage import log_summary

NAME = "fast"
MOST_LOSS = 1.5


@dataclass(frozen=True)
class Distilled:
    """What a distillation leaves.

    Args:
        folder: the student's model folder.
        loss: points of topic macro-F1 on gold that the student is below its teacher.
        cascade: the student before its teacher.
        run_id: the run.
    """

    folder: Path
    loss: float
    cascade: Cascade
    run_id: str


def distill(
    config: Config, *, teacher: str = "encoder", sources: Sequence[str] = (), console: Console | None = None
) -> Distilled:
    """Distil a model folder of kind ``encoder`` into ``models/fast``, and put both together as ``models/cascade``.

    Args:
        config: the resolved configuration.
        teacher: which model, see :func:`inference.predictor.resolve_model`.
        sources: more files or folders of paragraphs, beside the configured ones; labels in them are not read.
        console: where the closing table goes.

    Raises:
        RasdError: on anything that a person can mend.
    """
    models, console = Path(config.output.models), console or Console()
    # A training that started meanwhile would take the half-made folder for what a kill had left, and sweep it out.
    with models_lock(models, console.print):
        return _distill(config, models, teacher=teacher, sources=sources, console=console)


def _distill(config: Config, models: Path, *, teacher: str, sources: Sequence[str], console: Console) -> Distilled:
    # A name means the model of the folder that is written to, which `--set output.models` may have moved.
    predictor = Predictor(resolve_model(teacher, models=models))
    guide = _teacher(predictor, teacher)
    encoder = load_encoder(str(predictor.manifest.engine["asked_for"]))
    layers = shorten(encoder.model, config.distill.layers)
    gold = read_gold(config.corpus.gold, predictor.manifest.taxonomy)
    runs.open_store(config.output)
    with runs.training_run(config, name=f"distill {teacher}", token=uuid.uuid4().hex) as run:
        mlflow.set_tags({"teacher": predictor.description, "teacher.folder": str(predictor.folder)})
        texts = _paragraphs(config, sources, gold)
        console.print(f"{predictor.description} teaches {config.distill.layers} layers on {len(texts)} paragraphs")
        facts = {
            "run_id": run.info.run_id,
            "seed": config.seed,
            "distilled_from": guide.describe(),
            **tracking.environment(),
        }
        base = f"{encoder.base}; the lowest {config.distill.layers} of {layers} layers, distilled"
        held_out = _teach(config, guide, replace(encoder, base=base), texts, gold, models, facts)
        cascade = write_cascade(
            models / CASCADE,
            *held_out,
            fast=models / NAME,
            encoder=predictor.folder,
            keep=config.distill.keep,
            training=facts,
        )
        folders = {"teacher": predictor.folder, NAME: models / NAME, CASCADE: cascade.folder}
        scored = [_score(name, Predictor(folder), gold, config.seed) for name, folder in folders.items()]
        log_summary(scored)
        rows = {m.name: m.metrics for m in scored}
        topics = {name: macro_scores(metrics)["topics"] for name, metrics in rows.items()}
        below = {name: 100 * (topics["teacher"] - topics[name]) for name in (NAME, CASCADE)}
        mlflow.log_metrics({f"{name}.points_below_teacher": points for name, points in below.items()})
        mlflow.log_metrics({f"{CASCADE}.{name}": value for name, value in cascade.to_json().items()})
    title = f"On {config.corpus.gold}: {len(gold)} paragraphs labelled by reading (F1)"
    print_table(rows, predictor.manifest.taxonomy, title=title, console=console)
    far = below[NAME] > MOST_LOSS
    hint = f": more than {MOST_LOSS}; bring more paragraphs with --input, or more layers" if far else ""
    console.print(f"{models / NAME} is {_verdict(below[NAME])}{hint}", markup=False)
    console.print(f"{cascade.folder} is {_verdict(below[CASCADE])}; {cascade.describe()}", markup=False)
    return Distilled(models / NAME, below[NAME], cascade, run.info.run_id)


def _verdict(below: float) -> str:
    return f"{below:.1f} points of topic macro-F1 below its teacher" if below > 0 else "not below its teacher"


def shorten(model: Any, layers: int) -> int:
    """Keep the lowest layers of a BERT-like encoder.

    Args:
        model: the transformer; it is changed.
        layers: how many stay.

    Returns:
        how many it had.

    Raises:
        ConfigError: where it has no such layers, or not more of them.
    """
    stack = getattr(getattr(model, "encoder", None), "layer", None)
    if not isinstance(stack, nn.ModuleList):
        raise ConfigError(f"{type(model).__name__} has no layers that could be left out; distil a BERT-like encoder")
    before = len(stack)
    if layers >= before:
        raise ConfigError(f"distill.layers: {layers} of the teacher's {before} layers are no fewer; ask for fewer")
    del stack[layers:]
    model.config.num_hidden_layers = layers
    return before


def _teacher(predictor: Predictor, asked: str) -> Teacher:
    manifest = predictor.manifest
    if manifest.kind != "encoder":
        raise ConfigError(f"{asked} is of kind {manifest.kind}, which is fast already; distil an encoder")
    if "distilled_from" in manifest.training:
        raise ConfigError(f"{asked} is distilled itself; distil its teacher, with fewer layers")
    return Teacher.of(predictor, asked=asked)


def _paragraphs(config: Config, sources: Sequence[str], gold: Sequence[GoldRecord]) -> list[str]:
    """Give the corpus' paragraphs, then as many of the others as are wanted, drawn at random."""
    gold_texts = [r.text for r in gold]
    texts = list(load_corpus(config.corpus, gold_texts=gold_texts, seed=config.seed).data["text"])
    more = (*config.distill.sources, *sources)
    if more:
        extra = load_corpus(
            config.corpus.model_copy(update={"sources": more, "share": 1.0}), gold_texts=gold_texts, seed=config.seed
        ).data["text"][:]
        drawn = np.random.default_rng(config.seed).permutation(len(extra))[: max(config.distill.most - len(texts), 0)]
        texts += [extra[i] for i in sorted(drawn)]
    return texts


def _teach(
    config: Config,
    teacher: Teacher,
    encoder: Encoder,
    texts: list[str],
    gold: Sequence[GoldRecord],
    models: Path,
    facts: dict[str, Any],
) -> tuple[list[str], WeakLabels]:
    """Write the student's folder; give the paragraphs that were held out of its learning, and the teacher's answers."""
    manifest = teacher.predictor.manifest
    window = int(manifest.engine["max_tokens"])
    answers = teacher.answers(texts)
    labels = teacher.reading(texts, answers)
    order = np.random.default_rng(config.seed).permutation(len(texts))
    parts = hold_out(order, config.training.validation)
    train_set, validation = (
        build_dataset(encoder, [texts[i] for i in part], teacher.matcher, weak=labels.of(part), max_tokens=window)
        for part in parts
    )
    d = config.distill
    learning = {"epochs": d.epochs, "learning_rate": d.learning_rate, "freeze_layers": 0}
    student = config.model_copy(update={"training": config.training.model_copy(update=learning)})
    work = models / ".distilling"
    shutil.rmtree(work, ignore_errors=True)
    model = finetune(encoder, train_set, validation, labels=labels.of(parts[0]), config=student, work=work).model.cpu()
    shutil.rmtree(work, ignore_errors=True)
    model.consult(teacher.expert, share=teacher.share)
    topics, stance = predict_logits(model, validation, pad_id=encoder.pad_id)
    # The student gives the teacher's probabilities, so the teacher's decisions are made where the teacher makes them.
    taught = manifest.calibration
    calibration = replace(
        calibrate(topics, stance, answers.of(parts[1])),
        thresholds=taught.thresholds,
        abstain_margin=taught.abstain_margin,
    )
    held_out = [texts[i] for i in parts[1]]
    export.export_encoder(
        models / NAME,
        model,
        encoder,
        name="Rasd fast encoder",
        functions=teacher.matcher.functions,
        taxonomy=manifest.taxonomy,
        calibration=calibration,
        max_tokens=window,
        training=facts,
        data_sha256=digest_rows([(paragraph_id(t), t) for t in texts]),
        check=GoldCheck.of(gold, manifest.taxonomy),
        examples=held_out,
        # Words not met before would take a sixth of its time.
        mends=False,
        # Reading finely would take a tenth.
        coarse=True,
    )
    return held_out, answers.of(parts[1])


def _score(name: str, predictor: Predictor, gold: list[GoldRecord], seed: int) -> Scored:
    answers = predictor.predict([r.text for r in gold])
    return score_model(name, answers, gold, predictor.manifest.taxonomy, seed=seed)
