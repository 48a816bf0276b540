"""What more paragraphs, and the brief's vote, bring: trainings on parts of the seeds, scored on any gold.

    python benchmarks/learning_curve.py --gold seeds/gold.jsonl [--gold OTHER.jsonl] [--shares 0.25 0.5 1]

Each row is a whole `rasd train` of its own in a temporary folder; the last one leaves the brief's vote out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import machine
from inference.metrics import macro_scores

MODELS = ("weak", "tfidf", "encoder")


def names_of(golds: list[str]) -> dict[str, str]:
    """Give each gold's name in the report: its file's, or where two files share one, its path."""
    files = Counter(Path(gold).name for gold in golds)
    return {gold: Path(gold).name if files[Path(gold).name] == 1 else gold for gold in golds}


def train_and_score(settings: list[str], golds: list[str], folder: Path) -> dict[str, Any]:
    """Run one training and give the metrics of its models on every gold."""
    own = [f"output.models={folder / 'models'}", f"output.tracking_uri=sqlite:///{folder / 'mlflow.db'}"]
    command = [sys.executable, "-m", "inference.cli", "train"]
    for setting in [*settings, *own]:
        command += ["--set", setting]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    result: dict[str, Any] = {"settings": settings, "minutes": (time.perf_counter() - started) / 60}
    for gold, name in names_of(golds).items():
        for model in MODELS:
            command = [sys.executable, "-m", "inference.cli", "evaluate", "--json", "--gold", gold]
            done = subprocess.run(
                [*command, "--model", str(folder / "models" / model)], check=True, capture_output=True, text=True
            )
            metrics = json.loads(done.stdout)
            scores = {part: round(value, 3) for part, value in macro_scores(metrics).items()}
            result[f"{model} on {name}"] = scores
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gold", action="append", required=True)
    parser.add_argument("--shares", type=float, nargs="*", default=[0.25, 0.5, 1.0])
    parser.add_argument("--without-brief", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    runs = [[f"corpus.share={share}"] for share in options.shares]
    if options.without_brief:
        runs.append(["labels.use_metadata=false"])
    print(json.dumps({"machine": machine("torch", "transformers", "scikit-learn")}), flush=True)
    for settings in runs:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(train_and_score(settings, options.gold, Path(folder)), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
