"""Whole processes that answer one text: their time from start to end, and their peak memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = "وقّعت وزارة الدفاع عقداً لشراء صواريخ ومدرعات من الشركة، ويبدأ تسليم الأسلحة في الربيع المقبل."
MEASURED = """
import os, subprocess, sys, time
start = time.perf_counter()
running = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(running.pid, 0)
print(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(status != 0)
"""
PIPELINE_SCRIPT = """
import sys
from transformers import pipeline
print(pipeline("text-classification", model=sys.argv[1])(sys.argv[2], truncation=True, max_length=256))
"""


def process(command: list[str]) -> dict[str, float]:
    """Run a process and give its seconds, those that it kept a processor busy, and its peak memory."""
    # A process that a large one starts counts the large one's memory as its peak; a small one stands between.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, busy, kilobytes = map(float, done.stdout.split())
    return {"seconds": seconds, "cpu_seconds": busy, "peak_mb": kilobytes / 1024}


def start_up(folder: Path, checkpoint: Path, runs: int) -> dict[str, dict[str, float]]:
    """Time processes that answer one text, taking turns; the best of some runs each.

    Args:
        folder: a model folder.
        checkpoint: what the pipeline loads.
        runs: how many runs each.
    """
    commands = {
        "rasd": [sys.executable, "-m", "inference.cli", "predict", "--model", str(folder), TEXT],
        "pipeline": [sys.executable, "-c", PIPELINE_SCRIPT, str(checkpoint), TEXT],
    }
    taken = [{name: process(command) for name, command in commands.items()} for _ in range(runs)]
    return {name: min((one[name] for one in taken), key=lambda r: r["seconds"]) for name in commands}
