"""Measures how true the fast model is to its teacher, and how much faster, in one run.

``python benchmarks/fast_model.py --gold F.jsonl [--corpus FILE] [--rows N] [--teacher encoder] [--fast fast]
[--json FILE]`` prints a table and one JSON object: both models' macro-F1 on gold, how far the student is below its
teacher (with a bootstrap interval over gold's paragraphs), how often they decide alike on paragraphs without labels,
and the paragraphs a second of each. How many times a pipeline it is, is for ``benchmarks/predict.py --fast`` to say.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from inference.evaluate import score_predictions  # noqa: E402
from inference.gold import gold_matrix, read_gold  # noqa: E402
from inference.metrics import evaluate_labels  # noqa: E402
from inference.predictor import Predictor  # noqa: E402
from inference.processor import usable_cores  # noqa: E402
from inference.reading import Row, read_rows  # noqa: E402
from inference.results import Prediction  # noqa: E402
from inference.taxonomy import STANCES, Taxonomy  # noqa: E402

DRAWS = 1000


def labels(answers: list[Prediction], taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
    """Give presence and stances, both of shape ``(rows, topics)``."""
    present = np.array([[p.topics[t].present for t in taxonomy.ids] for p in answers])
    stance = np.array([[STANCES.index(p.topics[t].stance.label) for t in taxonomy.ids] for p in answers])
    return present, stance


def interval(gold: np.ndarray, pair: list[tuple[np.ndarray, np.ndarray]], taxonomy: Taxonomy) -> tuple[float, float]:
    """Give the 95% bootstrap interval of the points of topic macro-F1 between two models."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rows = rng.integers(0, len(gold), len(gold))
        one, other = (
            evaluate_labels(taxonomy, gold=gold[rows], present=present[rows], stance=stance[rows])["topics"]["macro_f1"]
            for present, stance in pair
        )
        found.append(100 * (one - other))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def timed(predictor: Predictor, texts: list[str]) -> tuple[list[Prediction], float]:
    """Answer texts, after a few to warm up, and give paragraphs a second."""
    predictor.predict(texts[:8])
    start = time.perf_counter()
    answers = predictor.predict(texts)
    return answers, len(texts) / (time.perf_counter() - start)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, help="paragraphs without labels, to compare decisions on")
    parser.add_argument("--rows", type=int, default=1000, help="how many of them")
    parser.add_argument("--teacher", default="encoder")
    parser.add_argument("--fast", default="fast")
    parser.add_argument("--json", type=Path, help="where the figures go, else to standard output")
    options = parser.parse_args()
    teacher, student = Predictor(options.teacher), Predictor(options.fast)
    taxonomy = teacher.manifest.taxonomy
    gold = read_gold(options.gold, taxonomy)
    result: dict[str, Any] = {
        "cores": usable_cores(),
        "load": os.getloadavg()[0],
        "onnxruntime": importlib.metadata.version("onnxruntime"),
        "gold": len(gold),
        "models": {},
    }
    pair = []
    for name, predictor in (("teacher", teacher), ("fast", student)):
        answers, rate = timed(predictor, [r.text for r in gold])
        metrics = score_predictions(answers, gold, taxonomy)
        pair.append(labels(answers, taxonomy))
        scores = {part: metrics[part]["macro_f1"] for part in ("topics", "stance", "joint")}
        result["models"][name] = {"base": predictor.manifest.base, "paragraphs_per_second": rate, **scores}
        row = "  ".join(f"{part} {value:.3f}" for part, value in scores.items())
        print(f"{name:<8} {row}  {rate:8.0f} paragraphs/s  {predictor.manifest.base}")
    models = result["models"]
    result["points_below_teacher"] = 100 * (models["teacher"]["topics"] - models["fast"]["topics"])
    result["points_below_teacher_95"] = interval(gold_matrix(gold, taxonomy), pair, taxonomy)
    (low, high), below = result["points_below_teacher_95"], result["points_below_teacher"]
    print(f"topics: {below:.1f} points below its teacher (95% interval {low:.1f} to {high:.1f})")
    if options.corpus:
        good = (row.text for row in read_rows(options.corpus) if isinstance(row, Row))
        rows = list(itertools.islice(good, options.rows))
        one, other = (labels(p.predict(rows), taxonomy)[0] for p in (teacher, student))
        result["alike"] = float((one == other).mean())
        print(f"on {len(rows)} paragraphs without labels, {result['alike']:.1%} of the topics' decisions are alike")
    figures = json.dumps(result, ensure_ascii=False)
    if options.json:
        options.json.write_text(figures + "\n", "utf-8")
    else:
        print(figures)


if __name__ == "__main__":
    main()
