"""Compares label models on the same votes: majority vote, Rasd's, crowd-kit's Dawid-Skene and Snorkel's LabelModel.

``python benchmarks/label_models.py [--corpus FILE_OR_FOLDER] [--gold FILE] [--watch-list FILE] [--skip PART ...]``
prints one JSON object and tables, in three parts:

- ``gold``: every model is fitted on the corpus's votes (the seeds', with their metadata) and read on gold, whose
  metadata is unknown. With ``--semantic`` the functions that learn from the corpus' examples vote as well. The stance
  models of the peers are fitted where their own topic model says that the topic is present, and the stances of all are
  corrected for the shares of the feed in the same way.
- ``synthetic``: matrices with known truth, in regimes that label models find hard; means over seeds. All models are
  told the true class shares. Rasd's is told nothing of the functions' accuracies, or, in the row "with guesses", the
  accuracy plus an error of 0.1 (standard deviation), which is what an author's guess may be off.
- ``speed``: time to fit 50,000 rows by 40 functions, on one core.

Peers are wanted by this benchmark only, and are left out, with a word, where they are not installed::

    python -m venv /tmp/peer && /tmp/peer/bin/pip install snorkel crowd-kit pandas numpy pyyaml pydantic
    /tmp/peer/bin/python benchmarks/label_models.py --gold FILE.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import in_a_line, machine, one_core  # noqa: E402

if __name__ == "__main__":
    one_core()

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from benchmarks.label_model_peers import OURS, SNORKEL, Fit, Floats, Hints, Votes, available_models  # noqa: E402
from benchmarks.vote_matrices import REGIMES, Regime, speed_matrix  # noqa: E402
from inference.metrics import evaluate_labels, macro_scores  # noqa: E402
from inference.taxonomy import STANCES, Taxonomy  # noqa: E402
from training.config import FeedConfig  # noqa: E402
from training.labeling import Applier, LabelingFunction, Record, metadata_functions  # noqa: E402
from training.topics import WatchList, load_watch_list  # noqa: E402
from training.weak import WeakLabels, columns_of, fit_weak_model, majority_labels  # noqa: E402

# Gold


def read_records(source: Path) -> list[dict[str, Any]]:
    """Read the records of a JSON Lines file, or of all of a folder's."""
    files = sorted(source.glob("*.jsonl")) if source.is_dir() else [source]
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines() if line.strip()]


def _peer_labels(fit: Fit, train: Votes, votes: Votes, applier: Applier, taxonomy: Taxonomy) -> list[WeakLabels]:
    columns = columns_of(applier.functions, taxonomy)
    parts = [(np.empty((len(v), len(taxonomy))), np.empty((len(v), len(taxonomy), 3))) for v in (train, votes)]
    for i, topic in enumerate(taxonomy.ids):
        own, stance = list(columns[topic].topic), list(columns[topic].stance)
        reader = fit(train[:, own], Hints((0.8, 0.2), 0, *_told(applier, own)))
        present = reader(train[:, own])[:, 1] > 0.5
        stance_reader = fit(train[present][:, stance], Hints(FeedConfig().shares, 2, *_told(applier, stance)))
        for (topics, stances), v in zip(parts, (train, votes), strict=True):
            topics[:, i] = reader(v[:, own])[:, 1]
            stances[:, i] = stance_reader(v[:, stance])
    return [WeakLabels(*p) for p in parts]


def _told(applier: Applier, own: Iterable[int]) -> tuple[list[float], list[tuple[int, ...]]]:
    functions = [applier.functions[j] for j in own]
    return [f.accuracy for f in functions], [f.polarity for f in functions]


def _for_feed(train: WeakLabels, labels: WeakLabels) -> WeakLabels:
    had = (train.stance * train.topics[:, :, None]).sum(0) + 1.0
    stance = labels.stance * (np.asarray(FeedConfig().shares) / (had / had.sum(1, keepdims=True)))
    return WeakLabels(labels.topics, stance / stance.sum(2, keepdims=True))


def compare_on_gold(
    models: Mapping[str, Fit], corpus: Path, gold: Path, watch_list: Path, *, semantic: bool = False
) -> dict[str, Any]:
    """Fit every model on the corpus and score it on gold.

    Args:
        models: name to fit.
        corpus: JSON Lines, with metadata or without.
        gold: JSON Lines with ``text`` and ``topics``.
        watch_list: the functions.
        semantic: whether semantic functions vote beside them.
    """
    words, rows = load_watch_list(watch_list), read_records(corpus)
    taxonomy = words.taxonomy
    applier = Applier(words, extra=_semantic(words, rows) if semantic else ())
    records = read_records(gold)
    truth = np.array(
        [[STANCES.index(r["topics"][t]) if t in r["topics"] else -1 for t in taxonomy.ids] for r in records]
    )
    train = applier.apply(rows).matrix
    votes = applier.apply({"id": r["id"], "text": r["text"]} for r in records).matrix
    whole = fit_weak_model(train, applier.functions, taxonomy, stance_shares=FeedConfig().shares)
    labels = {
        n: _peer_labels(f, train, votes, applier, taxonomy) for n, f in models.items() if not n.startswith("Rasd,")
    }
    labels |= {"Rasd": [whole.predict(train), whole.predict(votes, skip_kinds=("metadata",))]}
    if "majority vote" in labels:
        labels["majority vote"] = [majority_labels(v, applier.functions, taxonomy) for v in (train, votes)]
    report: dict[str, Any] = {"corpus_rows": len(train), "gold_rows": len(votes), "functions": train.shape[1]}
    report["models"] = {n: _score(taxonomy, truth, _for_feed(*pair)) for n, pair in labels.items()}
    return report


def _semantic(words: WatchList, rows: Sequence[Record]) -> list[LabelingFunction]:
    # The peers' environment, where these are not asked for, has no encoder.
    from training.embedding import Remembering
    from training.exemplars import exemplar_functions, learn_from_examples

    embed = Remembering()
    readings = learn_from_examples(rows, metadata_functions(words), words.taxonomy, embed=embed)
    return exemplar_functions(readings, embed=embed)


def _score(taxonomy: Taxonomy, truth: npt.NDArray[np.int64], labels: WeakLabels) -> dict[str, float]:
    scores = evaluate_labels(taxonomy, gold=truth, present=labels.topics > 0.5, stance=labels.stance.argmax(2))
    share = np.clip(labels.topics, 1e-3, 1 - 1e-3)
    loss = -np.where(truth >= 0, np.log(share), np.log(1 - share)).mean()
    return {
        **{f"{part}_f1": value for part, value in macro_scores(scores).items()},
        "log_loss": float(loss),
    }


# Synthetic matrices


def compare_on_synthetic(models: Mapping[str, Fit], regimes: Sequence[Regime], seeds: int) -> dict[str, Any]:
    """Score every model in every regime: macro-F1 and log loss, means over seeds."""
    report: dict[str, Any] = {}
    for regime in regimes:
        sums: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
        for seed in range(seeds):
            matrix = regime.draw(np.random.default_rng(seed))
            hints = Hints(matrix.shares, matrix.default, matrix.guesses, matrix.polarities)
            for name, fit in models.items():
                sums[name].append(_score_known(fit(matrix.votes, hints)(matrix.votes), matrix.truth))
        report[regime.name] = {
            n: dict(zip(("macro_f1", "log_loss"), np.mean(v, axis=0).tolist(), strict=True)) for n, v in sums.items()
        }
    return report


def _score_known(shares: Floats, truth: npt.NDArray[np.int64]) -> tuple[float, float]:
    chosen = shares.argmax(1)
    parts = []
    for c in range(shares.shape[1]):
        hits = ((chosen == c) & (truth == c)).sum()
        parts.append(2 * hits / max((chosen == c).sum() + (truth == c).sum(), 1))
    loss = -np.log(np.clip(shares[np.arange(len(truth)), truth], 1e-3, 1)).mean()
    return float(np.mean(parts)), float(loss)


# Speed


def compare_speed(models: Mapping[str, Fit], rows: int, functions: int, repeats: int) -> dict[str, Any]:
    """Time the fit on one matrix: the best of some repeats, in seconds of the clock and of the processor."""
    matrix = speed_matrix(np.random.default_rng(0), rows, functions)
    hints = Hints(matrix.shares, matrix.default, matrix.guesses, matrix.polarities)
    report: dict[str, Any] = {"rows": rows, "functions": functions, "models": {}}
    for name, fit in models.items():
        if name == "majority vote":
            continue
        # The first fit on a few rows pays for imports.
        fit(matrix.votes[:500], hints)
        times = []
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            reader = fit(matrix.votes, hints)
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        f1, loss = _score_known(reader(matrix.votes), matrix.truth)
        best = np.min(times, axis=0).tolist()
        report["models"][name] = {"wall_seconds": best[0], "cpu_seconds": best[1], "macro_f1": f1, "log_loss": loss}
    if SNORKEL in report["models"]:
        report["ratio_to_snorkel"] = (
            report["models"][SNORKEL]["cpu_seconds"] / report["models"][OURS]["cpu_seconds"] if OURS in models else None
        )
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--corpus", type=Path, default=ROOT / "seeds" / "paragraphs", help="JSON Lines file or folder")
    parser.add_argument("--gold", type=Path, default=ROOT / "seeds" / "gold.jsonl", help="JSON Lines with topics")
    parser.add_argument("--watch-list", type=Path, default=ROOT / "configs" / "topics.yaml")
    parser.add_argument("--semantic", action="store_true", help="semantic functions vote too (needs the encoder)")
    parser.add_argument("--skip", nargs="*", choices=("gold", "synthetic", "speed"), default=[], help="parts left out")
    parser.add_argument("--seeds", type=int, default=3, help="matrices drawn per synthetic regime")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the speed matrix")
    parser.add_argument("--functions", type=int, default=40, help="functions of the speed matrix")
    parser.add_argument("--repeats", type=int, default=3, help="fits per model, of which the fastest counts")
    options = parser.parse_args(arguments)
    models = available_models()
    report: dict[str, Any] = {"machine": machine("numpy", "snorkel", "crowd-kit", "torch")}
    if "gold" not in options.skip:
        report["gold"] = compare_on_gold(
            models, options.corpus, options.gold, options.watch_list, semantic=options.semantic
        )
    if "synthetic" not in options.skip:
        report["synthetic"] = compare_on_synthetic(models, REGIMES, options.seeds)
    if "speed" not in options.skip:
        report["speed"] = compare_speed(models, options.rows, options.functions, options.repeats)
    print(json.dumps(report, indent=1))
    print_tables(report)


def print_tables(report: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(f"\n{in_a_line(report['machine'])}; one core is used")
    if gold := report.get("gold"):
        print(
            f"\nFitted on {gold['corpus_rows']} rows of {gold['functions']} functions, on {gold['gold_rows']} of gold"
        )
        print(f"{'':24}{'topics F1':>11}{'stance F1':>11}{'joint F1':>11}{'log loss':>11}")
        for name, m in gold["models"].items():
            print(
                f"{name:24}{m['topics_f1']:>11.3f}{m['stance_f1']:>11.3f}{m['joint_f1']:>11.3f}{m['log_loss']:>11.3f}"
            )
    if synthetic := report.get("synthetic"):
        print("\nKnown truth: macro-F1 (log loss)")
        names = list(next(iter(synthetic.values())))
        for name in names:
            row = "".join(f"{r[name]['macro_f1']:>8.3f} ({r[name]['log_loss']:.2f})" for r in synthetic.values())
            print(f"{name:24}{row}")
        print(f"{'':24}" + "".join(f"{regime[:14]:>15}" for regime in synthetic))
    if speed := report.get("speed"):
        print(f"\nFit of {speed['rows']:,} x {speed['functions']}")
        print(f"{'':24}{'wall s':>9}{'CPU s':>9}{'macro-F1':>10}{'log loss':>10}")
        for name, m in speed["models"].items():
            print(
                f"{name:24}{m['wall_seconds']:>9.3f}{m['cpu_seconds']:>9.3f}{m['macro_f1']:>10.3f}{m['log_loss']:>10.3f}"
            )
        if ratio := speed.get("ratio_to_snorkel"):
            print(f"Rasd fits {ratio:.0f} times faster than Snorkel (CPU time)")


if __name__ == "__main__":
    main()
