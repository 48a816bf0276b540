"""How far a model's figures fall where the same gold is written otherwise: diacritics, hamza, scanner noise, and so on.

    python benchmarks/robustness.py --model encoder [--model tfidf ...] [--gold seeds/gold.jsonl ...] [--seeds 3]
        [--unmended]

Prints a table and one JSON object (``--json FILE`` writes it). A change that depends on chance is drawn ``--seeds``
times and averaged. The fall is the plain text's macro-F1 less the changed text's; up to 0.02 is what is aimed for.
``--unmended`` has an encoder read every word as it stands, to see what :mod:`inference.mending` is worth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.machine import give, in_a_line, machine  # noqa: E402
from benchmarks.perturbations import PERTURBATIONS, perturb  # noqa: E402
from inference.evaluate import score_predictions  # noqa: E402
from inference.gold import GoldRecord, read_gold  # noqa: E402
from inference.metrics import PARTS, macro_scores  # noqa: E402
from inference.predictor import Predictor  # noqa: E402

LARGEST_FALL = 0.02


def score(predictor: Predictor, texts: Sequence[str], gold: list[GoldRecord]) -> dict[str, float]:
    """Give the three macro-F1 of a model on texts, against the records that they were made of."""
    metrics = score_predictions(predictor.predict(list(texts)), gold, predictor.manifest.taxonomy)
    return macro_scores(metrics)


def mean_scores(drawn: Sequence[dict[str, float]]) -> dict[str, float]:
    """Average the figures of several draws."""
    return {part: float(np.mean([d[part] for d in drawn])) for part in PARTS}


def falls(plain: dict[str, float], changed: dict[str, float]) -> dict[str, float]:
    """Give what each figure lost; less than nothing is a gain."""
    return {part: plain[part] - changed[part] for part in PARTS}


def measure(predictor: Predictor, gold: list[GoldRecord], *, seeds: int) -> dict[str, Any]:
    """Score the plain gold and every perturbation of it.

    Args:
        predictor: the model.
        gold: the records.
        seeds: draws of each change that depends on chance.
    """
    texts = [r.text for r in gold]
    plain = score(predictor, texts, gold)
    report: dict[str, Any] = {"rows": len(gold), "plain": plain, "changed": {}}
    for name in PERTURBATIONS:
        versions = [perturb(name, texts, seed=seed) for seed in range(seeds)]
        # What does not depend on chance comes out the same each time and is scored once.
        distinct = versions[:1] if all(v == versions[0] for v in versions) else versions
        found = mean_scores([score(predictor, v, gold) for v in distinct])
        share = float(np.mean([a != b for a, b in zip(texts, versions[0], strict=True)]))
        report["changed"][name] = {**found, "fall": falls(plain, found), "share_changed": share, "draws": len(distinct)}
    return report


def print_table(report: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(in_a_line(report["machine"]))
    for run in report["runs"]:
        print(f"\n{run['model']} on {run['gold']} ({run['rows']} paragraphs): macro-F1, and the fall")
        print(f"{'':22}{'topics':>16}{'stance':>16}{'joint':>16}{'changed':>9}")
        print(f"{'plain':22}" + "".join(f"{run['plain'][p]:>8.3f}{'':8}" for p in PARTS))
        for name, found in run["changed"].items():
            cells = "".join(f"{found[p]:>8.3f}{-found['fall'][p]:>+8.3f}" for p in PARTS)
            mark = " <- more than aimed for" if found["fall"]["topics"] > LARGEST_FALL else ""
            print(f"{name:22}{cells}{found['share_changed']:>9.0%}{mark}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="a model's name, folder or MLflow URI; encoder if not given")
    parser.add_argument("--gold", action="append", type=Path, help="a gold file; seeds/gold.jsonl if not given")
    parser.add_argument("--seeds", type=int, default=3, help="draws of each change that depends on chance")
    parser.add_argument("--unmended", action="store_true", help="read what looks scanned as it stands")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    report: dict[str, Any] = {
        "machine": machine("numpy", "onnxruntime", "tokenizers"),
        "unmended": options.unmended,
        "runs": [],
    }
    for model in options.model or ["encoder"]:
        predictor = Predictor(model, mend=not options.unmended)
        for path in options.gold or [ROOT / "seeds" / "gold.jsonl"]:
            found = measure(predictor, read_gold(path, predictor.manifest.taxonomy), seeds=options.seeds)
            report["runs"].append({"model": predictor.description, "gold": path.name, **found})
    print_table(report)
    give(report, options.json)


if __name__ == "__main__":
    main()
