"""How far a training's figures depend on chance: whole trainings with several seeds, mean and deviation.

    python benchmarks/seed_spread.py --gold seeds/gold.jsonl [--gold OTHER.jsonl] [--seeds 1 2 3 4 5] [--set K=V ...]

Each seed is a whole `rasd train` of its own in a temporary folder, with the settings given; what is scored are the
models that it serves. Other settings beside them (`--set training.clean_epochs=3`, more in `corpus.sources`) say what
a setting brings beyond chance. Prints a line of JSON per training, then the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning_curve import MODELS, train_and_score
from benchmarks.machine import give, in_a_line, machine
from inference.metrics import PARTS


def spread(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Give mean and standard deviation of every model's scores on every gold.

    Args:
        results: one for each training, from :func:`benchmarks.learning_curve.train_and_score`.

    Returns:
        by ``MODEL on GOLD``, then part; the deviation of one training alone is not a number.
    """
    names = [key for key in results[0] if " on " in key]
    return {
        name: {part: _mean_and_deviation([r[name][part] for r in results]) for part in results[0][name]}
        for name in names
    }


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else float("nan")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gold", action="append", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": machine("torch", "transformers", "scikit-learn"), "settings": options.set}
    results = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            results.append(train_and_score([*options.set, f"seed={seed}"], options.gold, Path(folder)))
        print(json.dumps(results[-1], ensure_ascii=False), flush=True)
    found = spread(results)
    print(in_a_line(report["machine"]))
    print(f"{len(results)} seeds, mean and standard deviation of macro-F1: {', '.join(PARTS)}")
    for name in sorted(found, key=lambda n: (n.split(" on ")[1], MODELS.index(n.split(" on ")[0]))):
        print(f"{name:36}" + "".join(f"{m:>9.3f} ± {d:.3f}" for m, d in (found[name][p] for p in PARTS)))
    give(report | {"trainings": results, "spread": found}, options.json)


if __name__ == "__main__":
    main()
