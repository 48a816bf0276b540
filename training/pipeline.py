"""A training from top to bottom: corpus, weak labels, baseline, encoder, evaluation, registry."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from rich.console import Console

from inference.calibration import Calibration
from inference.errors import CorpusError
from inference.gold import GoldRecord, gold_matrix, read_gold
from inference.lexicon import Matcher
from inference.predictor import Predictor
from training import export, registry, tracking
from training.analysis import Analysis, Counts, Disagreements, Uncovered, analyse
from training.batches import build_dataset, predict_logits
from training.bootstrap import flat_intervals
from training.calibrate import calibrate, shift_to_feed
from training.config import Config
from training.contest import Decision, contend, version_tags
from training.corpus import Corpus, fields_of, load_corpus
from training.encoders import Encoder, load_encoder
from training.evaluation import Scored, gold_digest, score_model, score_weak
from training.expert import topic_expert
from training.finetune import finetune
from training.gallery import Findings, describe, log_findings
from training.labeling import Applier, LabelingFunction, Votes
from training.table import print_table
from training.tfidf import fit_tfidf
from training.topics import WatchList, load_watch_list
from training.voting import make_applier
from training.weak import WeakLabels, WeakModel, fit_weak_model, majority_labels

log = logging.getLogger(__name__)

MAJORITY, LABEL_MODEL, TFIDF = "majority vote", "label model", "TF-IDF"
_RUN_FILE = "run"


@dataclass(frozen=True)
class Result:
    """What a training leaves.

    Args:
        rows: model name to its metrics on gold, as the closing table shows them.
        best: ``encoder`` or ``tfidf``: the best model of this training.
        decision: whether it became champion, and why.
        run_id: the parent run.
        models: the models folder.
    """

    rows: Mapping[str, Mapping[str, Any]]
    best: str
    decision: Decision
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
    functions: tuple[LabelingFunction, ...]
    votes: np.ndarray
    analysis: Analysis

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
    for run_id in tracking.mark_killed(config.output):
        console.print(f"Run {run_id} was killed; marked so")
    models = Path(config.output.models)
    registry.keep_champion(models)
    work = models / ".checkpoints"
    name = f"train {config.encoder.name}"
    with tracking.training_run(config, name=name, resume=work / _RUN_FILE if resume else None) as run:
        _remember(run.info.run_id, work, resume=resume)
        mlflow.set_tags({"encoder.asked_for": encoder.name, "encoder.used": encoder.base})
        console.print(f"Encoder: {encoder.base}")
        digest = gold_digest(gold)
        labelled, scored = _label(config, watch_list, gold, models, console)
        tracking.log_dataset("gold", sha256=digest, rows=len(gold), context="evaluation")
        facts = {"run_id": run.info.run_id, "seed": config.seed, **tracking.environment()}
        versions, calibrations, fitted = {}, {}, _Fitted(np.empty(0, dtype=np.int64), [])
        for kind, name in (("tfidf", TFIDF), ("encoder", f"encoder ({encoder.label})")):
            with tracking.stage(name):
                if kind == "tfidf":
                    _train_tfidf(config, watch_list, labelled, models / kind, facts)
                else:
                    fitted = _train_encoder(config, watch_list, encoder, labelled, models, facts, resume=resume)
                predictor = Predictor(models / kind)
                answers = predictor.predict([r.text for r in gold])
                scored[kind] = score_model(name, answers, gold, watch_list.taxonomy, seed=config.seed)
                _log_summary([scored[kind]])
                base, calibrations[kind] = predictor.manifest.base, predictor.manifest.calibration
                tags = version_tags(scored[kind], kind=kind, base=base, run_id=run.info.run_id, gold_sha256=digest)
                versions[kind] = registry.register_model(models / kind, tags=tags)
        best = max(versions, key=lambda k: float(scored[k].metrics["joint"]["macro_f1"]))
        decision = contend(
            versions[best],
            scored[best],
            kind=best,
            models=models,
            run_id=run.info.run_id,
            gold=gold,
            taxonomy=watch_list.taxonomy,
            seed=config.seed,
        )
        _log_evaluation(scored, decision)
        findings = Findings(
            watch_list.taxonomy,
            gold,
            list(scored.values()),
            list(scored).index(best),
            calibrations[best],
            labelled.functions,
            labelled.votes,
            labelled.analysis,
            fitted.lengths,
            config.encoder.max_tokens,
            fitted.history,
        )
        log_findings(findings, title=f"Rasd: {run.info.run_name}", facts=_facts(run, encoder, labelled, gold, decision))
        shutil.rmtree(work, ignore_errors=True)
    rows = {m.name: m.metrics for m in scored.values()}
    title = (
        f"On {config.corpus.gold}: {len(gold)} paragraphs labelled by reading "
        "(F1; topics, stance and joint are macro averages)"
    )
    print_table(rows, watch_list.taxonomy, title=title, console=console)
    console.print(f"Best here: {best}, version {versions[best]}; {decision.reason}", markup=False)
    console.print(f"Champion: version {decision.champion}    Run: {run.info.run_id}")
    return Result(rows, best, decision, run.info.run_id, models)


@dataclass(frozen=True)
class _Fitted:
    """What the fine-tuning leaves for the pictures: tokens of the training paragraphs, the Trainer's log."""

    lengths: np.ndarray
    history: list[dict[str, float]]


def _remember(run_id: str, work: Path, *, resume: bool) -> None:
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    (work / _RUN_FILE).write_text(run_id + "\n", "utf-8")


def _facts(
    run: mlflow.ActiveRun, encoder: Encoder, labelled: _Labelled, gold: list[GoldRecord], decision: Decision
) -> dict[str, str]:
    commit = tracking.environment()
    dirty = " (with changes that were not committed)" if commit.get("git_dirty") == "true" else ""
    return {
        "Run": str(run.info.run_id),
        "Encoder": f"{encoder.base} (asked for: {encoder.name})",
        "Corpus": f"{len(labelled.corpus.data)} paragraphs, sha256 {labelled.corpus.digest}",
        "Gold": f"{len(gold)} paragraphs, sha256 {gold_digest(gold)}",
        "Commit": f"{commit['git_commit']}{dirty}" if "git_commit" in commit else "unknown",
        "Champion": f"version {decision.champion}; {decision.reason}",
    }


def _label(
    config: Config, watch_list: WatchList, gold: list[GoldRecord], models: Path, console: Console
) -> tuple[_Labelled, dict[str, Scored]]:
    with tracking.stage("weak labels"):
        corpus = load_corpus(config.corpus, gold_texts=[r.text for r in gold], seed=config.seed)
        left_out = ", ".join(f"{n} {why}" for why, n in corpus.dropped.items() if n) or "none left out"
        console.print(f"Corpus: {len(corpus.data)} of {corpus.read} paragraphs ({left_out})")
        applier = make_applier(config, watch_list, skip_broken=False)
        votes = applier.apply({**fields_of(r), **r} for r in corpus.data)
        _check_votes(votes, applier)
        model = fit_weak_model(votes.matrix, applier.functions, watch_list.taxonomy)
        weak = model.predict(votes.matrix)
        if config.labels.label_model == "majority":
            weak = majority_labels(votes.matrix, applier.functions, watch_list.taxonomy)
        tracking.log_facts(
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
        tracking.log_dataset("corpus", sha256=corpus.digest, rows=len(corpus.data), context="training")
        gold_votes = applier.apply({"id": r.id, "text": r.text} for r in gold).matrix
        scored = _score_weak(applier, model, gold_votes, gold, watch_list, calibration, seed=config.seed)
        _log_summary(list(scored.values()))
        analysis = _analyse(applier, votes, model, weak, corpus, gold_votes, gold_matrix(gold, watch_list.taxonomy))
        tracking.log_files({"labelling_functions.json": json.dumps(analysis.to_json(), ensure_ascii=True, indent=1)})
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(corpus.data))
    held_out = max(1, round(len(order) * config.training.validation))
    train, validation = np.sort(order[held_out:]), np.sort(order[:held_out])
    return _Labelled(corpus, model, weak, train, validation, applier.functions, votes.matrix, analysis), scored


def _check_votes(votes: Votes, applier: Applier) -> None:
    for broken in votes.broken:
        log.warning("labelling function %s left out: %s on %s", broken.name, broken.cause, broken.row)
    said_yes = [j for j, f in enumerate(applier.functions) if not f.is_stance and (votes.matrix[:, j] == 1).any()]
    if not said_yes:
        raise CorpusError(
            "no labelling function says yes to any paragraph of the corpus, so there is nothing to learn from; "
            "check that the corpus is about the topics, or add words to configs/topics.yaml"
        )


def _score_weak(
    applier: Applier,
    model: WeakModel,
    votes: np.ndarray,
    gold: list[GoldRecord],
    watch_list: WatchList,
    calibration: Calibration,
    *,
    seed: int,
) -> dict[str, Scored]:
    # Gold has no metadata, as a user's new text has none: its functions cannot vote, and that is no silence.
    weak = model.predict(votes, skip_kinds=("metadata",))
    shifted = calibration.stance_probabilities(np.log(np.clip(weak.stance, 1e-9, 1.0)))
    labels = {
        MAJORITY: majority_labels(votes, applier.functions, watch_list.taxonomy),
        LABEL_MODEL: WeakLabels(weak.topics, shifted),
    }
    return {name: score_weak(name, weak, gold, watch_list.taxonomy, seed=seed) for name, weak in labels.items()}


def _analyse(
    applier: Applier,
    votes: Votes,
    model: WeakModel,
    weak: WeakLabels,
    corpus: Corpus,
    gold_votes: np.ndarray,
    gold: np.ndarray,
) -> Analysis:
    taxonomy = model.taxonomy
    counts = Counts(applier.functions, taxonomy)
    counts.add(votes.matrix)
    disagreements, uncovered = Disagreements(applier.functions, taxonomy), Uncovered()
    disagreements.add(list(corpus.data["id"]), votes.matrix, weak)
    yes = [j for j, f in enumerate(applier.functions) if not f.is_stance and 1 in f.polarity]
    uncovered.add(list(corpus.data["text"]), (votes.matrix[:, yes] == 1).any(1), weak.topics.max(1))
    topics = {t: {"share_present": float((weak.topics[:, i] > 0.5).mean())} for i, t in enumerate(taxonomy.ids)}
    return analyse(
        counts,
        model,
        topics=topics,
        disagreements=disagreements,
        uncovered=uncovered,
        gold_votes=gold_votes,
        gold=gold,
    )


def _calibrate(config: Config, data: _Labelled, topics: np.ndarray, stance: np.ndarray) -> Calibration:
    fitted = calibrate(topics, stance, data.labels(data.validation))
    return shift_to_feed(fitted, data.labels(data.train), config.feed.shares)


def _train_tfidf(
    config: Config, watch_list: WatchList, data: _Labelled, target: Path, facts: Mapping[str, Any]
) -> None:
    model = fit_tfidf(data.texts(data.train), data.labels(data.train), seed=config.seed)
    topics, stance = model.logits(data.texts(data.validation))
    calibration = _calibrate(config, data, topics, stance)
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
) -> _Fitted:
    window = config.encoder.max_tokens
    matcher = Matcher(watch_list.functions)
    train_set, held_out = (
        build_dataset(encoder, data.texts(part), matcher, weak=data.labels(part), max_tokens=window)
        for part in (data.train, data.validation)
    )
    progress = tracking.MetricsCallback()
    model = finetune(
        encoder,
        train_set,
        held_out,
        labels=data.labels(data.train),
        config=config,
        work=models / ".checkpoints",
        callbacks=[progress],
        resume=resume,
    )
    model.consult(topic_expert(data.weak_model), share=config.training.expert_share)
    topics, stance = predict_logits(model, held_out, pad_id=encoder.pad_id)
    calibration = _calibrate(config, data, topics, stance)
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
    return _Fitted(np.asarray(train_set["length"][:], dtype=np.int64), progress.history)


def _log_metrics(scored: Scored) -> None:
    values = tracking.flat_metrics(scored.metrics, scored.key)
    mlflow.log_metrics(values | flat_intervals(scored.intervals, scored.key))


def _log_summary(models: Sequence[Scored]) -> None:
    # The few numbers by which runs are told apart; the evaluation has them all, with intervals.
    parts = ("topics", "stance", "joint")
    mlflow.log_metrics({f"{m.key}.{p}.macro_f1": float(m.metrics[p]["macro_f1"]) for m in models for p in parts})


def _log_evaluation(scored: Mapping[str, Scored], decision: Decision) -> None:
    models = list(scored.values())
    with tracking.stage("evaluation"):
        mlflow.set_tag("champion", f"version {decision.champion}")
        for one in models:
            _log_metrics(one)
        rows = {m.name: m.metrics for m in models}
        tracking.log_files({"metrics.json": json.dumps(rows, ensure_ascii=False, indent=1)})
    _log_summary(models)
    mlflow.set_tags({"decision": decision.reason, "mlflow.note.content": describe(models, decision.reason)})
