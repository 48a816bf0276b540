"""Measures how true the fast model and the cascade are to the encoder, and how much faster, in one run.

``python benchmarks/fast_model.py --gold F.jsonl [--corpus FILE] [--rows N] [--teacher encoder] [--fast fast cascade]
[--json FILE]`` prints a table and one JSON object: each model's macro-F1 on gold, how far it is below the teacher (with
a bootstrap interval over gold's paragraphs), how often both decide alike on paragraphs without labels and how much of
what the teacher finds there it finds too, and the paragraphs a second of each on gold and on those. How many times a
pipeline it is, is for ``benchmarks/predict.py --fast --cascade`` to say.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import give, machine  # noqa: E402
from inference.evaluate import score_predictions  # noqa: E402
from inference.gold import GoldRecord, gold_matrix, read_gold  # noqa: E402
from inference.metrics import PARTS, macro_scores  # noqa: E402
from inference.predictor import Predictor  # noqa: E402
from inference.reading import Row, read_rows  # noqa: E402
from inference.results import Prediction  # noqa: E402
from inference.taxonomy import Taxonomy  # noqa: E402
from training.bootstrap import compare  # noqa: E402
from training.evaluation import labels_of  # noqa: E402


@dataclass(frozen=True)
class Timed:
    """Answers, and paragraphs a second."""

    answers: list[Prediction]
    rate: float

    @classmethod
    def of(cls, predictor: Predictor, texts: list[str]) -> Timed:
        """Answer texts, after a few to warm up."""
        predictor.predict(texts[:8])
        start = time.perf_counter()
        answers = predictor.predict(texts)
        return cls(answers, len(texts) / (time.perf_counter() - start))


@dataclass(frozen=True)
class Read:
    """What a model says of gold, and of paragraphs without labels where there are any."""

    base: str
    on_gold: Timed
    on_rows: Timed | None

    @classmethod
    def of(cls, predictor: Predictor, gold: list[GoldRecord], rows: list[str]) -> Read:
        """Read both."""
        on_gold = Timed.of(predictor, [r.text for r in gold])
        return cls(predictor.manifest.base, on_gold, Timed.of(predictor, rows) if rows else None)

    def against(self, teacher: Read, gold: list[GoldRecord], taxonomy: Taxonomy) -> dict[str, Any]:
        """Give its scores, and what there is to say of it beside the teacher."""
        found: dict[str, Any] = {"base": self.base, "paragraphs_per_second": self.on_gold.rate}
        found |= macro_scores(score_predictions(self.on_gold.answers, gold, taxonomy))
        first, second = (labels_of(r.on_gold.answers, taxonomy) for r in (teacher, self))
        less = compare(taxonomy, gold=gold_matrix(gold, taxonomy), first=first, second=second)["topics.macro_f1"]
        found["points_below_teacher"] = -100 * less.value
        found["points_below_teacher_95"] = (-100 * less.upper, -100 * less.lower)
        if self.on_rows and teacher.on_rows:
            one, own = (labels_of(r.answers, taxonomy).present for r in (teacher.on_rows, self.on_rows))
            found |= {"alike": float((one == own).mean()), "findings": int(one.sum()), "kept": int((one & own).sum())}
            found["paragraphs_per_second_without_labels"] = self.on_rows.rate
        return found


def tell(found: dict[str, Any]) -> None:
    """Print how a model stands to its teacher."""
    (low, high), below = found["points_below_teacher_95"], found["points_below_teacher"]
    print(f"         topics: {below:.1f} points below its teacher (95% interval {low:.1f} to {high:.1f})")
    if "alike" in found:
        print(f"         {found['alike']:.2%} of the decisions without labels are alike;", end=" ")
        print(f"{found['kept']} of the teacher's {found['findings']} findings are its own too")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, help="paragraphs without labels, to compare decisions on")
    parser.add_argument("--rows", type=int, default=1000, help="how many of them")
    parser.add_argument("--teacher", default="encoder")
    parser.add_argument("--fast", nargs="+", default=["fast"], help="names or folders of what is held against it")
    parser.add_argument("--json", type=Path, help="where the figures go, else to standard output")
    options = parser.parse_args()
    teacher = Predictor(options.teacher)
    taxonomy = teacher.manifest.taxonomy
    gold = read_gold(options.gold, taxonomy)
    result: dict[str, Any] = {
        "machine": machine("numpy", "onnxruntime", "tokenizers"),
        "gold": len(gold),
        "models": {},
    }
    rows: list[str] = []
    if options.corpus:
        good = (row.text for row in read_rows(options.corpus) if isinstance(row, Row))
        rows = list(itertools.islice(good, options.rows))
    first: Read | None = None
    for name in (options.teacher, *options.fast):
        read = Read.of(Predictor(name), gold, rows)
        first = first or read
        result["models"][name] = found = read.against(first, gold, taxonomy)
        print(f"{name:<8} " + "  ".join(f"{part} {found[part]:.3f}" for part in PARTS), f" {read.base}")
        print(f"         {read.on_gold.rate:.0f} paragraphs/s on gold", end="")
        print(f", {read.on_rows.rate:.0f} on {len(rows)} without labels" if read.on_rows else "")
        if read is not first:
            tell(found)
    give(result, options.json)


if __name__ == "__main__":
    main()
