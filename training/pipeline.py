"""A training from top to bottom: corpus, weak labels, baseline, encoder, evaluation, registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from rich.console import Console

from inference.folder import sha256_file
from inference.gold import read_gold
from inference.predictor import Predictor
from training import champion, processes, registry, runs, tracking
from training.clean import split_clean
from training.config import Config
from training.contest import Decision, best_of, contend, version_tags
from training.encoders import Encoder, load_encoder
from training.evaluation import Scored, gold_digest, score_model
from training.finetune import follow
from training.gallery import Findings, describe, log_findings
from training.self_training import keep_teacher
from training.stages import Fitted, encoder_stage, tfidf_stage
from training.store import models_lock
from training.table import print_table
from training.topics import load_watch_list
from training.weak_stage import Labelled, label_stage, log_metrics, log_summary
from training.workspace import encoder_digest, open_workspace
from training.worth import add_worth

TFIDF = "TF-IDF"


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


def train(config: Config, *, resume: bool = False, console: Console | None = None) -> Result:
    """Run a training.

    Args:
        config: the resolved configuration.
        resume: go on where an interrupted training stopped.
        console: where the closing table goes.

    Raises:
        RasdError: on anything that a person can mend.
    """
    models, console = Path(config.output.models), console or Console()
    with models_lock(models, console.print):
        result = _train(config, models, resume=resume, console=console)
        processes.leave()
        return result


def take_part(config: Config) -> None:
    """Help the first process of a training with its fine-tuning, as the others that torchrun started do."""
    processes.join()
    follow(load_encoder(config.encoder.name), config)
    processes.leave()


def _train(config: Config, models: Path, *, resume: bool, console: Console) -> Result:
    watch_list = load_watch_list(config.topics)
    encoder = load_encoder(config.encoder.name)
    processes.join()
    whole = read_gold(config.corpus.gold, watch_list.taxonomy)
    clean, gold = split_clean(whole, epochs=config.training.clean_epochs)
    runs.open_store(config.output)
    for run_id in runs.mark_killed():
        console.print(f"Run {run_id} was killed; marked so")
    digest, environment = gold_digest(gold), tracking.environment()
    facts = {
        **tracking.flat(config.model_dump()),
        "gold": digest,
        "encoder weights": encoder_digest(encoder),
        "watch list": sha256_file(Path(config.topics)),
    }
    space = open_workspace(models, facts, resume=resume)
    if resume and not space.resumed:
        console.print("No interrupted training is here: this one starts from the beginning")
    teacher = keep_teacher(config.labels.teacher, models, space, watch_list.taxonomy)
    champion.keep(models)
    name = f"train {config.encoder.name}"
    with runs.training_run(config, name=name, token=space.token) as run:
        mlflow.set_tags({"encoder.asked_for": encoder.name, "encoder.used": encoder.base})
        console.print(f"Encoder: {encoder.base}")
        labelled, scored = label_stage(config, watch_list, gold, models, console, keep_out=clean, teacher=teacher)
        tracking.log_dataset("gold", sha256=digest, rows=len(gold), context="evaluation")
        made = {"run_id": run.info.run_id, "seed": config.seed, "clean": len(clean), **environment}
        if teacher is not None:
            made["taught_by"] = teacher.describe()
        versions, calibrations, fitted = {}, {}, Fitted(np.empty(0, dtype=np.int64), [])
        for kind, name in (("tfidf", TFIDF), ("encoder", f"encoder ({encoder.label})")):
            with runs.stage(name):
                if kind == "tfidf":
                    tfidf_stage(config, watch_list, labelled, models / kind, made)
                else:
                    fitted = encoder_stage(
                        config, watch_list, encoder, labelled, models, made, space=space, gold=gold, clean=clean
                    )
                predictor = Predictor(models / kind)
                if precision := predictor.manifest.engine.get("precision"):
                    reason = predictor.manifest.engine["precision_reason"]
                    console.print(f"The encoder is served in {precision} ({reason})", markup=False)
                answers = predictor.predict([r.text for r in gold])
                scored[kind] = score_model(name, answers, gold, watch_list.taxonomy, seed=config.seed)
                add_worth(models, kind, scored[kind])
                log_summary([scored[kind]])
                base, calibrations[kind] = predictor.manifest.base, predictor.manifest.calibration
                tags = version_tags(scored[kind], kind=kind, base=base, run_id=run.info.run_id, gold_sha256=digest)
                versions[kind] = registry.register_model(models / kind, tags=tags)
        best = best_of(scored, list(versions), gold=gold, taxonomy=watch_list.taxonomy, seed=config.seed)
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
        told = _facts(run, encoder, labelled, f"{len(gold)} paragraphs, sha256 {digest}", environment, decision)
        log_findings(findings, title=f"Rasd: {run.info.run_name}", facts=told)
    space.close()
    rows = {m.name: m.metrics for m in scored.values()}
    title = (
        f"On {config.corpus.gold}: {len(gold)} paragraphs labelled by reading "
        "(F1; topics, stance and joint are macro averages)"
    )
    print_table(rows, watch_list.taxonomy, title=title, console=console)
    console.print(f"Best here: {best}, version {versions[best]}; {decision.reason}", markup=False)
    console.print(f"Champion: version {decision.champion}    Run: {run.info.run_id}")
    return Result(rows, best, decision, run.info.run_id, models)


def _facts(
    run: mlflow.ActiveRun,
    encoder: Encoder,
    labelled: Labelled,
    gold: str,
    commit: Mapping[str, str],
    decision: Decision,
) -> dict[str, str]:
    dirty = " (with changes that were not committed)" if commit.get("git_dirty") == "true" else ""
    return {
        "Run": str(run.info.run_id),
        "Encoder": f"{encoder.base} (asked for: {encoder.name})",
        "Corpus": f"{len(labelled.corpus.data)} paragraphs, sha256 {labelled.corpus.digest}",
        "Gold": gold,
        "Commit": f"{commit['git_commit']}{dirty}" if "git_commit" in commit else "unknown",
        "Champion": f"version {decision.champion}; {decision.reason}",
    }


def _log_evaluation(scored: Mapping[str, Scored], decision: Decision) -> None:
    models = list(scored.values())
    with runs.stage("evaluation"):
        mlflow.set_tag("champion", f"version {decision.champion}")
        for one in models:
            log_metrics(one)
        rows = {m.name: m.metrics for m in models}
        tracking.log_files({"metrics.json": json.dumps(rows, ensure_ascii=False, indent=1)})
    log_summary(models)
    mlflow.set_tags({"decision": decision.reason, "mlflow.note.content": describe(models, decision.reason)})
