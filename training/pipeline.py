"""A training from top to bottom: corpus, weak labels, baseline, encoder, evaluation, registry."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from rich.console import Console

from inference.calibration import Calibration
from inference.errors import CorpusError
from inference.evaluate import score_predictions
from inference.gold import GoldRecord, gold_matrix, read_gold
from inference.lexicon import Matcher
from inference.metrics import evaluate_labels
from inference.predictor import Predictor
from training import export, tracking
from training.batches import build_dataset, predict_logits
from training.calibrate import calibrate, shift_to_feed
from training.config import Config
from training.corpus import Corpus, fields_of, load_corpus
from training.encoders import Encoder, load_encoder
from training.expert import topic_expert
from training.finetune import finetune
from training.labeling import Applier, Votes, python_functions
from training.registry import crown, register_model
from training.table import print_table
from training.tfidf import fit_tfidf
from training.topics import WatchList, load_watch_list
from training.weak import WeakLabels, WeakModel, fit_weak_model, majority_labels

log = logging.getLogger(__name__)

MAJORITY, LABEL_MODEL, TFIDF = "majority vote", "label model", "TF-IDF"


@dataclass(frozen=True)
class Result:
    """What a training leaves.

    Args:
        rows: model name to its metrics on gold, as the closing table shows them.
        champion: ``encoder`` or ``tfidf``.
        run_id: the parent run.
        models: the models folder.
    """

    rows: Mapping[str, Mapping[str, Any]]
    champion: str
    run_id: str
    models: Path


@dataclass(frozen=True)
class _Labelled:
    """The corpus with its weak labels, split for training and validation."""

    corpus: Corpus
    weak_model: WeakModel
    weak: WeakLabels
    train: np.ndarray
    validation: np.ndarray

    def texts(self, part: np.ndarray) -> list[str]:
        return list(self.corpus.data.select(part)["text"])

    def labels(self, part: np.ndarray) -> WeakLabels:
        return WeakLabels(self.weak.topics[part], self.weak.stance[part])


def train(config: Config, *, resume: bool = False, console: Console | None = None) -> Result:
    """Run a training.

    Args:
        config: the resolved configuration.
        resume: go on where an interrupted training stopped.
        console: where the closing table goes.

    Raises:
        RasdError: on anything that a person can mend.
    """
    console = console or Console()
    watch_list = load_watch_list(config.topics)
    encoder = load_encoder(config.encoder.name)
    gold = read_gold(config.corpus.gold, watch_list.taxonomy)
    tracking.open_store(config.output)
    models = Path(config.output.models)
    with tracking.training_run(config, name=f"train {config.encoder.name}") as run:
        mlflow.set_tags({"encoder.asked_for": encoder.name, "encoder.used": encoder.base})
        console.print(f"Encoder: {encoder.base}")
        labelled, weak_rows = _label(config, watch_list, gold, models, console)
        facts = {"run_id": run.info.run_id, "seed": config.seed, **tracking.environment()}
        rows = dict(weak_rows)
        scored, versions = {}, {}
        for kind, name in (("tfidf", TFIDF), ("encoder", f"encoder ({encoder.base})")):
            with tracking.stage(name):
                if kind == "tfidf":
                    _train_tfidf(config, watch_list, labelled, models / kind, facts)
                else:
                    _train_encoder(config, watch_list, encoder, labelled, models, facts, resume=resume)
                rows[name] = scored[kind] = _evaluate(models / kind, gold)
                mlflow.log_metrics(tracking.flat_metrics(scored[kind], kind))
                tags = {"kind": kind, "base": Predictor(models / kind).manifest.base, "run": run.info.run_id}
                versions[kind] = register_model(models / kind, tags=tags)
        champion = max(scored, key=lambda k: scored[k]["joint"]["macro_f1"])
        crown(versions[champion], model=champion, models=models, run_id=run.info.run_id, metrics=scored[champion])
        _log_evaluation(rows, champion)
    title = f"On {config.corpus.gold}: {len(gold)} paragraphs labelled by reading (F1)"
    print_table(rows, watch_list.taxonomy, title=title, console=console)
    console.print(f"Champion: {champion} -> {models / champion}    Run: {run.info.run_id}")
    return Result(rows, champion, run.info.run_id, models)


def _label(
    config: Config, watch_list: WatchList, gold: list[GoldRecord], models: Path, console: Console
) -> tuple[_Labelled, dict[str, Mapping[str, Any]]]:
    with tracking.stage("weak labels"):
        corpus = load_corpus(config.corpus, gold_texts=[r.text for r in gold])
        left_out = ", ".join(f"{n} {why}" for why, n in corpus.dropped.items() if n) or "none left out"
        console.print(f"Corpus: {len(corpus.data)} of {corpus.read} paragraphs ({left_out})")
        applier = Applier(
            watch_list,
            use_metadata=config.labels.use_metadata,
            extra=python_functions(config.labels.functions),
            skip_broken=config.labels.skip_broken,
        )
        votes = applier.apply({**fields_of(r), **r} for r in corpus.data)
        _check_votes(votes, applier)
        model = fit_weak_model(votes.matrix, applier.functions, watch_list.taxonomy)
        weak = model.predict(votes.matrix)
        if config.labels.label_model == "majority":
            weak = majority_labels(votes.matrix, applier.functions, watch_list.taxonomy)
        mlflow.log_params(
            {"rows": len(corpus.data), "functions": len(applier.functions), "corpus_sha256": corpus.digest}
        )
        shares = {f"weak.{t}.share": float(weak.topics[:, i].mean()) for i, t in enumerate(watch_list.taxonomy.ids)}
        mlflow.log_metrics(shares)
        calibration = shift_to_feed(Calibration.identity(len(watch_list.taxonomy)), weak, config.feed.shares)
        export.export_weak(
            models / "weak",
            model,
            watch_list.functions,
            calibration=calibration,
            training=tracking.environment(),
            data_sha256=corpus.digest,
        )
        rows = _weak_rows(applier, model, gold, watch_list, calibration)
        for name, metrics in rows.items():
            mlflow.log_metrics(tracking.flat_metrics(metrics, name.replace(" ", "_")))
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(corpus.data))
    held_out = max(1, round(len(order) * config.training.validation))
    return _Labelled(corpus, model, weak, np.sort(order[held_out:]), np.sort(order[:held_out])), rows


def _check_votes(votes: Votes, applier: Applier) -> None:
    for broken in votes.broken:
        log.warning("labelling function %s left out: %s on %s", broken.name, broken.cause, broken.row)
    said_yes = [j for j, f in enumerate(applier.functions) if not f.is_stance and (votes.matrix[:, j] == 1).any()]
    if not said_yes:
        raise CorpusError(
            "no labelling function says yes to any paragraph of the corpus, so there is nothing to learn from; "
            "check that the corpus is about the topics, or add words to configs/topics.yaml"
        )


def _weak_rows(
    applier: Applier,
    model: WeakModel,
    gold: list[GoldRecord],
    watch_list: WatchList,
    calibration: Calibration,
) -> dict[str, Mapping[str, Any]]:
    # Gold has no metadata, as a user's new text has none: its functions cannot vote, and that is no silence.
    votes = applier.apply({"id": r.id, "text": r.text} for r in gold).matrix
    matrix = gold_matrix(gold, watch_list.taxonomy)
    weak = model.predict(votes, skip_kinds=("metadata",))
    shifted = calibration.stance_probabilities(np.log(np.clip(weak.stance, 1e-9, 1.0)))
    labels = {
        MAJORITY: majority_labels(votes, applier.functions, watch_list.taxonomy),
        LABEL_MODEL: WeakLabels(weak.topics, shifted),
    }
    return {
        name: evaluate_labels(
            watch_list.taxonomy, gold=matrix, present=weak.topics > 0.5, stance=weak.stance.argmax(-1)
        )
        for name, weak in labels.items()
    }


def _train_tfidf(
    config: Config, watch_list: WatchList, data: _Labelled, target: Path, facts: Mapping[str, Any]
) -> None:
    model = fit_tfidf(data.texts(data.train), data.labels(data.train), seed=config.seed)
    topics, stance = model.logits(data.texts(data.validation))
    calibration = calibrate(topics, stance, data.labels(data.validation))
    calibration = shift_to_feed(calibration, data.labels(data.train), config.feed.shares)
    export.export_tfidf(
        target,
        model,
        taxonomy=watch_list.taxonomy,
        calibration=calibration,
        training=facts,
        data_sha256=data.corpus.digest,
    )


def _train_encoder(
    config: Config,
    watch_list: WatchList,
    encoder: Encoder,
    data: _Labelled,
    models: Path,
    facts: Mapping[str, Any],
    *,
    resume: bool,
) -> None:
    window = config.encoder.max_tokens
    matcher = Matcher(watch_list.functions)
    train_set, held_out = (
        build_dataset(encoder, data.texts(part), matcher, weak=data.labels(part), max_tokens=window)
        for part in (data.train, data.validation)
    )
    work = models / ".checkpoints"
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    model = finetune(
        encoder,
        train_set,
        held_out,
        labels=data.labels(data.train),
        config=config,
        work=work,
        callbacks=[tracking.MetricsCallback()],
        resume=resume,
    )
    model.consult(topic_expert(data.weak_model), share=config.training.expert_share)
    topics, stance = predict_logits(model, held_out, pad_id=encoder.pad_id)
    calibration = calibrate(topics, stance, data.labels(data.validation))
    calibration = shift_to_feed(calibration, data.labels(data.train), config.feed.shares)
    export.export_encoder(
        models / "encoder",
        model,
        encoder,
        functions=watch_list.functions,
        taxonomy=watch_list.taxonomy,
        calibration=calibration,
        max_tokens=window,
        training=facts,
        data_sha256=data.corpus.digest,
    )
    shutil.rmtree(work, ignore_errors=True)


def _evaluate(folder: Path, gold: list[GoldRecord]) -> dict[str, Any]:
    predictor = Predictor(folder)
    return score_predictions(predictor.predict([r.text for r in gold]), gold, predictor.manifest.taxonomy)


def _log_evaluation(rows: Mapping[str, Mapping[str, Any]], champion: str) -> None:
    with tracking.stage("evaluation"):
        mlflow.set_tag("champion", champion)
        for name, metrics in rows.items():
            prefix = name.split(" (")[0].replace(" ", "_").replace("-", "").lower()
            mlflow.log_metrics(tracking.flat_metrics(metrics, prefix))
        tracking.log_text_artifact(json.dumps(rows, ensure_ascii=False, indent=1), "metrics.json")
