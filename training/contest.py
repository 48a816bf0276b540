"""Who is champion: a new model takes the title only if it is better on the same gold by more than noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow

from inference.errors import RasdError
from inference.gold import GoldRecord, gold_matrix
from inference.predictor import Predictor
from inference.taxonomy import Taxonomy
from training import registry
from training.bootstrap import DECIDING, Difference, compare
from training.evaluation import Scored, labels_of
from training.store import store_lock


@dataclass(frozen=True)
class Decision:
    """What became of a new model.

    Args:
        promoted: whether it is champion now.
        champion: the version that is champion now.
        reason: why, for people.
        difference: new less old in the deciding metric; None where nothing could be compared.
    """

    promoted: bool
    champion: str
    reason: str
    difference: Difference | None = None


def contend(
    version: str,
    scored: Scored,
    *,
    kind: str,
    models: Path,
    run_id: str,
    gold: list[GoldRecord],
    taxonomy: Taxonomy,
    seed: int = 0,
) -> Decision:
    """Let a new version contend for the title; afterwards it has one of the two aliases.

    The champion is scored afresh on this gold, so it does not matter which gold it won its title on.

    Args:
        version: the new registered version; its folder is ``models/KIND``.
        scored: its answers on gold.
        kind: ``encoder`` or ``tfidf``.
        models: the models folder.
        run_id: the training run.
        gold: the gold records.
        taxonomy: the topics.
        seed: of the bootstrap.
    """
    # Of two trainings that end together the second contends with the first, and not both with the champion before.
    with store_lock(mlflow.get_tracking_uri()):
        present = registry.aliases().get(registry.CHAMPION)
        decision = _decide(version, scored, present, models=models, gold=gold, taxonomy=taxonomy, seed=seed)
        # A store behind a server has no lock: who took the title meanwhile is contended with too.
        while decision.promoted and (now := registry.aliases().get(registry.CHAMPION)) != present:
            present = now
            decision = _decide(version, scored, present, models=models, gold=gold, taxonomy=taxonomy, seed=seed)
        if decision.promoted:
            registry.crown(version, models=models, model=kind, folder=kind, run_id=run_id, metrics=scored.metrics)
        else:
            registry.challenge(version)
            registry.follow(models)
    return decision


def best_of(
    scored: Mapping[str, Scored], kinds: Sequence[str], *, gold: list[GoldRecord], taxonomy: Taxonomy, seed: int = 0
) -> str:
    """Name the best of a training's models: a later kind must be beaten by more than noise by an earlier one.

    Gold is often near of kin to the corpus, which flatters the baseline that learns its words by heart: within noise
    the model that reads more than words goes first.

    Args:
        scored: each kind's answers on gold.
        kinds: the kinds, the simplest first.
        gold: the gold records.
        taxonomy: the topics.
        seed: of the bootstrap.
    """
    matrix = gold_matrix(gold, taxonomy)
    best = kinds[-1]
    for kind in reversed(kinds[:-1]):
        found = compare(taxonomy, gold=matrix, first=scored[best].labels, second=scored[kind].labels, seed=seed)
        if found[DECIDING].beyond_noise:
            best = kind
    return best


def version_tags(scored: Scored, *, kind: str, base: str, run_id: str, gold_sha256: str) -> dict[str, str]:
    """Give the tags of a registered version: what it is, and what it is worth."""
    worth = scored.intervals[DECIDING]
    return {
        "kind": kind,
        "base": base,
        "run": run_id,
        "gold.sha256": gold_sha256,
        DECIDING: f"{worth.value:.4f}",
        f"{DECIDING}.interval": f"{worth.lower:.4f} to {worth.upper:.4f}",
        "metrics": json.dumps(scored.metrics),
    }


def _decide(
    version: str,
    scored: Scored,
    present: str | None,
    *,
    models: Path,
    gold: list[GoldRecord],
    taxonomy: Taxonomy,
    seed: int,
) -> Decision:
    if present is None:
        return Decision(True, version, "the first champion")
    try:
        predictor = Predictor(registry.champion_folder(models, present))
    except RasdError as error:
        return Decision(True, version, f"the champion, version {present}, cannot be loaded any more: {error}")
    if predictor.manifest.taxonomy.ids != taxonomy.ids:
        return Decision(True, version, f"the champion, version {present}, was trained for another watch list")
    old = labels_of(predictor.predict([r.text for r in gold]), taxonomy)
    matrix = gold_matrix(gold, taxonomy)
    found = compare(taxonomy, gold=matrix, first=old, second=scored.labels, seed=seed)[DECIDING]
    words = (
        f"joint macro-F1 {found.value:+.3f} against the champion, version {present} "
        f"(95 % interval {found.lower:+.3f} to {found.upper:+.3f})"
    )
    if found.beyond_noise:
        return Decision(True, version, f"better by more than noise: {words}", found)
    return Decision(False, present, f"not better by more than noise: {words}", found)
