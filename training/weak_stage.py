"""The first stage of a training: corpus, votes of the labelling functions, weak labels, and what they are worth."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
from rich.console import Console

from inference.calibration import Calibration
from inference.errors import CorpusError
from inference.gold import GoldRecord, gold_matrix
from inference.metrics import macro_scores
from training import export, runs, tracking
from training.analysis import Analysis, analyse
from training.bootstrap import flat_intervals
from training.calibrate import shift_to_feed
from training.config import Config
from training.corpus import Corpus, load_corpus
from training.embedding import Remembering
from training.evaluation import Scored, score_weak
from training.exemplars import KIND as SEMANTIC
from training.functions import learn_readings, make_applier
from training.labeling import Applier, LabelingFunction, Votes
from training.sampling import hold_out
from training.self_training import Taught, teach, words_alone
from training.tallies import Counts, Disagreements, Uncovered
from training.teacher import Teacher
from training.topics import WatchList
from training.weak import WeakLabels, WeakModel, fit_weak_model, majority_labels, refit_without

log = logging.getLogger(__name__)

MAJORITY, LABEL_MODEL = "majority vote", "label model"
# The share of paragraphs of which only word rules speak from which a teacher is proposed.
_MANY = 0.1


@dataclass(frozen=True)
class Labelled:
    """The corpus with its weak labels, split for training and validation.

    Args:
        corpus: the paragraphs.
        weak_model: the label model that is served: without semantic functions, which need an encoder to vote.
        weak: the label model's labels, the teacher's in their place where there is one.
        reading: what an encoder that consults the label model learns: the same, but for a teacher's own reading.
        train: rows to train on.
        validation: rows held out.
        functions: the labelling functions.
        votes: theirs.
        analysis: of them.
    """

    corpus: Corpus
    weak_model: WeakModel
    weak: WeakLabels
    reading: WeakLabels
    train: np.ndarray
    validation: np.ndarray
    functions: tuple[LabelingFunction, ...]
    votes: np.ndarray
    analysis: Analysis

    def texts(self, part: np.ndarray) -> list[str]:
        """Give the paragraphs of a part."""
        return list(self.corpus.data.select(part)["text"])

    def labels(self, part: np.ndarray) -> WeakLabels:
        """Give the weak labels of a part."""
        return self.weak.of(part)

    def readings(self, part: np.ndarray) -> WeakLabels:
        """Give what an encoder learns of a part."""
        return self.reading.of(part)


def label_stage(
    config: Config,
    watch_list: WatchList,
    gold: list[GoldRecord],
    models: Path,
    console: Console,
    *,
    keep_out: Sequence[GoldRecord] = (),
    teacher: Teacher | None = None,
) -> tuple[Labelled, dict[str, Scored]]:
    """Load the corpus, label it weakly, and score majority vote and label model on gold.

    Args:
        config: the resolved configuration.
        watch_list: the topics and lexical functions.
        gold: labelled by reading; kept out of the corpus.
        models: the models folder; ``weak`` is written into it.
        console: where the corpus' counts go.
        keep_out: more paragraphs labelled by reading that must not come in as weakly labelled ones.
        teacher: labels the paragraphs of which only word rules speak.

    Raises:
        CorpusError: where no function says yes to any paragraph.
    """
    with runs.stage("weak labels"):
        corpus = load_corpus(config.corpus, gold_texts=[r.text for r in (*gold, *keep_out)], seed=config.seed)
        left_out = ", ".join(f"{n} {why}" for why, n in corpus.dropped.items() if n) or "none left out"
        console.print(f"Corpus: {len(corpus.data)} of {corpus.read} paragraphs ({left_out})")
        embed = Remembering()
        readings = learn_readings(config, watch_list, corpus.records(), embed=embed)
        if readings is not None:
            console.print(readings.describe(watch_list.taxonomy))
        applier = make_applier(config, watch_list, skip_broken=False, readings=readings, embed=embed)
        votes = applier.apply(corpus.records())
        _check_votes(votes, applier)
        model = fit_weak_model(votes.matrix, applier.functions, watch_list.taxonomy, stance_shares=config.feed.shares)
        served, heard = refit_without(SEMANTIC, model, votes.matrix, stance_shares=config.feed.shares)
        weak = model.predict(votes.matrix)
        if config.labels.label_model == "majority":
            weak = majority_labels(votes.matrix, applier.functions, watch_list.taxonomy)
        tracking.log_facts(
            {"rows": len(corpus.data), "functions": len(applier.functions), "corpus_sha256": corpus.digest}
        )
        shares = {f"weak.{t}.share": float(weak.topics[:, i].mean()) for i, t in enumerate(watch_list.taxonomy.ids)}
        mlflow.log_metrics(shares)
        plain = Calibration.identity(len(watch_list.taxonomy))
        calibration = shift_to_feed(plain, weak, config.feed.shares)
        export.export_weak(
            models / "weak",
            served,
            watch_list.functions,
            # Its stances are its own, so what corrects them for the feed's shares is as well.
            calibration=shift_to_feed(plain, served.predict(heard), config.feed.shares),
            training=tracking.environment(),
            data_sha256=corpus.digest,
        )
        tracking.log_dataset("corpus", sha256=corpus.digest, rows=len(corpus.data), context="training")
        gold_votes = applier.apply({"id": r.id, "text": r.text} for r in gold).matrix
        scored = _score_weak(applier, model, gold_votes, gold, watch_list, calibration, seed=config.seed)
        log_summary(list(scored.values()))
        analysis = _analyse(applier, votes, model, weak, corpus, gold_votes, gold_matrix(gold, watch_list.taxonomy))
        tracking.log_files({"labelling_functions.json": json.dumps(analysis.to_json(), ensure_ascii=True, indent=1)})
        taught = _teach(weak, votes.matrix, applier.functions, list(corpus.data["text"]), teacher, console)
    order = np.random.default_rng(config.seed).permutation(len(corpus.data))
    train, validation = hold_out(order, config.training.validation)
    labelled = Labelled(
        corpus, served, taught.labels, taught.reading, train, validation, applier.functions, votes.matrix, analysis
    )
    return labelled, scored


def _teach(
    weak: WeakLabels,
    votes: np.ndarray,
    functions: Sequence[LabelingFunction],
    texts: list[str],
    teacher: Teacher | None,
    console: Console,
) -> Taught:
    alone = words_alone(votes, functions)
    if teacher is not None:
        taught = teach(weak, texts, alone, teacher)
        console.print(f"{taught.rows} paragraphs labelled by {teacher.predictor.description}", markup=False)
        tracking.log_facts({"rows_taught": taught.rows})
        return taught
    if _MANY <= alone.mean() < 1:
        console.print(
            f"Of {alone.sum()} paragraphs only word rules speak: a model that stands can label them better "
            "(--set labels.teacher=encoder)",
            markup=False,
        )
    return Taught(weak, weak, 0)


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
    # Gold comes as a user's new text does, without metadata or article: those cannot vote, which is no silence.
    weak = model.predict(votes, skip_kinds=("metadata", "document"))
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


def log_metrics(scored: Scored) -> None:
    """Log a model's metrics on gold with their intervals to the active run."""
    values = tracking.flat_metrics(scored.metrics, scored.key)
    mlflow.log_metrics(values | flat_intervals(scored.intervals, scored.key))


def log_summary(models: Sequence[Scored]) -> None:
    """Log the three macro-F1 of each model to the active run."""
    # The few numbers by which runs are told apart; the evaluation has them all, with intervals.
    scores = {m.key: macro_scores(m.metrics) for m in models}
    mlflow.log_metrics({f"{key}.{part}.macro_f1": f1 for key, own in scores.items() for part, f1 in own.items()})
