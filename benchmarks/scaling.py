"""How time and memory of labelling, training and predicting grow with the corpus: 1, 10 and 100 times the seeds.

    python benchmarks/scaling.py --corpus NEWS.jsonl[.gz] [--sizes 0.1 1 10] [--models FOLDER] [--picture FILE.png]

``--sizes 1 10 100`` is the whole measurement. Sizes are in units of the seeds' paragraphs; a size that the corpus does
not have is cut to the corpus, and the table says so: no paragraph is counted twice. Every figure is of a process of its
own, so peak memory is that part's alone; loading the corpus and Python itself is in it. ``start`` is the process that
does nothing else, and is taken off before the slopes are fitted: time grows as rows to the power of the slope.

What would take hours is measured on a part and multiplied, and marked ``~``: the encoder's training by some steps of
the same batches, its predictions on a sample. Prints a table and one JSON object (``--json FILE`` writes it).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.machine import give, in_a_line, machine  # noqa: E402
from benchmarks.processes import run  # noqa: E402
from benchmarks.scaling_parts import count_rows  # noqa: E402

PARTS = ("label", "label model", "train tfidf", "train encoder", "predict tfidf", "predict encoder")
START = "start"
_PART_SCRIPT = Path(__file__).resolve().parent / "scaling_parts.py"


def slope(rows: Sequence[float], values: Sequence[float]) -> float | None:
    """Give the exponent with which values grow with rows, by least squares of their logarithms.

    Args:
        rows: the sizes.
        values: what was measured; what is not above nothing is left out.

    Returns:
        None where fewer than two points are left.
    """
    points = [(r, v) for r, v in zip(rows, values, strict=True) if v > 0]
    if len({r for r, _ in points}) < 2:
        return None
    logs = np.log(np.array(points))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def sizes_in(corpus: int, unit: int, sizes: Sequence[float]) -> list[int]:
    """Give the rows of every size, cut to the corpus, each once."""
    return sorted({min(max(1, round(s * unit)), corpus) for s in sizes})


def measure(part: str, rows: int, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run one part on so many rows in a process of its own.

    Args:
        part: of :data:`PARTS`, or :data:`START`.
        rows: how many.
        options: the command's.
        work: a folder for what it writes.
    """
    answer = work / "answer.json"
    command = [sys.executable, str(_PART_SCRIPT), part, str(rows), str(options.corpus.resolve()), str(answer)]
    command += ["--steps", str(options.steps), "--sample", str(options.sample)]
    if options.models:
        command += ["--models", str(options.models.resolve())]
    used = run(command, work=work)
    if used.code:
        return {"part": part, "rows": rows, "failed": used.reason}
    found = json.loads(answer.read_text("utf-8"))
    return {"part": part, "rows": rows, "peak_mb": used.peak_mb, "process_seconds": used.seconds, **found}


def summarise(figures: Sequence[Mapping[str, Any]], start_mb: float) -> dict[str, Any]:
    """Fit the slopes of each part.

    Args:
        figures: what :func:`measure` gave.
        start_mb: memory of the process that does nothing.
    """
    slopes = {}
    for part in dict.fromkeys(f["part"] for f in figures):
        own = [f for f in figures if f["part"] == part and "failed" not in f]
        rows = [f["rows"] for f in own]
        slopes[part] = {
            "time": slope(rows, [f["seconds"] for f in own]),
            "memory": slope(rows, [f["peak_mb"] - start_mb for f in own]),
        }
    return slopes


def draw(report: Mapping[str, Any], target: Path) -> None:
    """Draw time and memory over rows, both on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), constrained_layout=True)
    for axis, key, label in zip(axes, ("seconds", "peak_mb"), ("seconds", "peak memory, MB"), strict=True):
        for part, slopes in report["slopes"].items():
            own = [f for f in report["figures"] if f["part"] == part and "failed" not in f]
            found = slopes["time" if key == "seconds" else "memory"]
            named = part if found is None else f"{part} (slope {found:.2f})"
            style = "o--" if any(f["estimated"] for f in own) else "o-"
            axis.loglog([f["rows"] for f in own], [f[key] for f in own], style, label=named)
        axis.set(xlabel="paragraphs", ylabel=label)
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle("Broken lines: measured on a part and multiplied")
    figure.savefig(target, dpi=120)
    plt.close(figure)


def print_table(report: Mapping[str, Any]) -> None:
    """Print the figures for people."""
    print(in_a_line(report["machine"]))
    print(f"corpus of {report['corpus_rows']} paragraphs; the seeds are {report['seed_rows']}")
    if report["cut"]:
        print(f"{', '.join(f'{s:g}x' for s in report['cut'])} would be more than the corpus has, and is cut to it")
    print(f"a process that only starts: {report['start_mb']:.0f} MB")
    sizes = sorted({f["rows"] for f in report["figures"]})
    print(f"\n{'':18}" + "".join(f"{f'{n:,} rows':>24}" for n in sizes) + f"{'slope of time, memory':>25}")
    for part, slopes in report["slopes"].items():
        cells = ""
        for n in sizes:
            found = next(f for f in report["figures"] if f["part"] == part and f["rows"] == n)
            if "failed" in found:
                cells += f"{'failed':>24}"
                continue
            seconds = f"{'~' if found['estimated'] else ''}{found['seconds']:,.1f} s"
            cells += f"{seconds:>13}{found['peak_mb']:>8,.0f} MB"
        print(f"{part:18}{cells}" + "".join(f"{'-' if s is None else f'{s:.2f}':>12}" for s in slopes.values()))
    for found in report["figures"]:
        if "failed" in found:
            print(f"{found['part']} on {found['rows']} rows failed: {found['failed']}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="a .jsonl or .jsonl.gz file with a field text")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.1, 1, 10], help="in units of the seeds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", type=Path, help="a models folder; without it nothing is predicted")
    parser.add_argument("--steps", type=int, default=12, help="steps of the encoder's training that are timed")
    parser.add_argument("--sample", type=int, default=400, help="paragraphs that the encoder predicts at most")
    parser.add_argument("--picture", type=Path, help="where to draw the figures")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    corpus = count_rows(options.corpus)
    unit = sum(count_rows(f) for f in sorted((ROOT / "seeds" / "paragraphs").glob("*.jsonl")))
    parts = [p for p in options.parts if options.models or not p.startswith("predict")]
    figures = []
    with tempfile.TemporaryDirectory() as name:
        start = measure(START, 0, options, Path(name))
        for rows in sizes_in(corpus, unit, options.sizes):
            for part in parts:
                figures.append(measure(part, rows, options, Path(name)))
                print(figures[-1], file=sys.stderr, flush=True)
    report = {
        "machine": machine("numpy", "scikit-learn", "torch", "onnxruntime"),
        "corpus_rows": corpus,
        "seed_rows": unit,
        "cut": [s for s in options.sizes if s * unit > corpus],
        "start_mb": start["peak_mb"],
        "figures": figures,
        "slopes": summarise(figures, start["peak_mb"]),
    }
    print_table(report)
    if options.picture:
        draw(report, options.picture)
    give(report, options.json)


if __name__ == "__main__":
    main()
