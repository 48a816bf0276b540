"""Measures how true the fast model is to its teacher, and how much faster, in one run.

``python benchmarks/fast_model.py --gold F.jsonl [--corpus FILE] [--rows N] [--teacher encoder] [--fast fast]
[--json FILE]`` prints a table and one JSON object: both models' macro-F1 on gold, how far the student is below its
teacher (with a bootstrap interval over gold's paragraphs), how often they decide alike on paragraphs without labels,
and the paragraphs a second of each. How many times a pipeline it is, is for ``benchmarks/predict.py --fast`` to say.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import give, machine  # noqa: E402
from inference.evaluate import score_predictions  # noqa: E402
from inference.gold import gold_matrix, read_gold  # noqa: E402
from inference.metrics import macro_scores  # noqa: E402
from inference.predictor import Predictor  # noqa: E402
from inference.reading import Row, read_rows  # noqa: E402
from inference.results import Prediction  # noqa: E402
from training.bootstrap import compare  # noqa: E402
from training.evaluation import labels_of  # noqa: E402


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
        "machine": machine("numpy", "onnxruntime", "tokenizers"),
        "gold": len(gold),
        "models": {},
    }
    pair = []
    for name, predictor in (("teacher", teacher), ("fast", student)):
        answers, rate = timed(predictor, [r.text for r in gold])
        metrics = score_predictions(answers, gold, taxonomy)
        pair.append(labels_of(answers, taxonomy))
        scores = macro_scores(metrics)
        result["models"][name] = {"base": predictor.manifest.base, "paragraphs_per_second": rate, **scores}
        row = "  ".join(f"{part} {value:.3f}" for part, value in scores.items())
        print(f"{name:<8} {row}  {rate:8.0f} paragraphs/s  {predictor.manifest.base}")
    found = compare(taxonomy, gold=gold_matrix(gold, taxonomy), first=pair[0], second=pair[1])["topics.macro_f1"]
    result["points_below_teacher"] = -100 * found.value
    result["points_below_teacher_95"] = (-100 * found.upper, -100 * found.lower)
    (low, high), below = result["points_below_teacher_95"], result["points_below_teacher"]
    print(f"topics: {below:.1f} points below its teacher (95% interval {low:.1f} to {high:.1f})")
    if options.corpus:
        good = (row.text for row in read_rows(options.corpus) if isinstance(row, Row))
        rows = list(itertools.islice(good, options.rows))
        one, other = (labels_of(p.predict(rows), taxonomy).present for p in (teacher, student))
        result["alike"] = float((one == other).mean())
        print(f"on {len(rows)} paragraphs without labels, {result['alike']:.1%} of the topics' decisions are alike")
    give(result, options.json)


if __name__ == "__main__":
    main()
