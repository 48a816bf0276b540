"""Rasd beside what a user would pick instead, on the same data, one run each, each in a process of its own.

    python benchmarks/peers.py [--gold FILE.jsonl ...] [--models FOLDER] [--peer-python PYTHON] [--only NAME ...]

Every peer is a script in ``benchmarks/peer_scripts``: Snorkel with a stock Trainer (the same labelling functions and
corpus), SetFit on the clean labels, zero-shot by likeness to label descriptions, TF-IDF with an SVM on the clean
labels. The encoder is the embedded one for all. Clean labels are gold's records with ``split: clean``; what is scored
is the rest of gold, and every ``--gold`` file. Rasd is ``rasd train`` in a folder of its own, or the models of
``--models``, which are scored only. Prints a table and one JSON object (``--json FILE`` writes it).

Snorkel and SetFit are wanted by this benchmark only::

    python -m venv /tmp/peers && /tmp/peers/bin/pip install -r requirements.lock setfit snorkel
    python benchmarks/peers.py --peer-python /tmp/peers/bin/python
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import give, in_a_line, machine  # noqa: E402
from benchmarks.peer_runs import PEERS, figures, has_package, read_records, run_peer, save_encoder  # noqa: E402
from benchmarks.peer_scripts.exchange import Job  # noqa: E402
from benchmarks.processes import run  # noqa: E402
from inference.evaluate import score_predictions  # noqa: E402
from inference.gold import GoldRecord, read_gold  # noqa: E402
from inference.metrics import PARTS, macro_scores  # noqa: E402
from inference.predictor import Predictor  # noqa: E402
from training.topics import load_watch_list  # noqa: E402

RASD = "rasd"


def run_rasd(models: Path | None, golds: dict[str, list[GoldRecord]], work: Path) -> dict[str, Any]:
    """Train Rasd, or take models that stand, and score them on every gold.

    Args:
        models: a models folder; None trains one.
        golds: name to records.
        work: an empty folder.
    """
    rows: dict[str, Any] = {}
    taken: dict[str, Any] = {"trained": models is None}
    if models is None:
        models = work / "models"
        settings = [f"output.models={models}", f"output.tracking_uri=sqlite:///{work / 'mlflow.db'}"]
        for name in ("seeds", "configs"):
            (work / name).symlink_to(ROOT / name)
        command = [sys.executable, "-m", "inference.cli", "train", *(p for s in settings for p in ("--set", s))]
        used = run(command, work=work)
        if used.code:
            return {"Rasd": {"failed": used.reason, "lines": 1, **figures(used)}}
        taken |= figures(used)
    for kind in ("encoder", "tfidf", "weak"):
        predictor = Predictor(models / kind)
        quality = {}
        for name, records in golds.items():
            metrics = score_predictions(
                predictor.predict([r.text for r in records]), records, predictor.manifest.taxonomy
            )
            quality[name] = macro_scores(metrics)
        # One command trains all three, so its time and memory stand for each of them.
        rows[f"Rasd, {kind}"] = {"lines": 1, **taken, "quality": quality}
    return rows


def print_table(report: dict[str, Any]) -> None:
    """Print the figures for people."""
    print(in_a_line(report["machine"]))
    print(
        f"corpus {report['corpus_rows']} paragraphs, {report['clean_rows']} clean labels; macro-F1: topics stance joint"
    )
    names = list(report["gold_rows"])
    heads = "".join(f"{f'{name} ({rows})'[-26:]:>27}" for name, rows in report["gold_rows"].items())
    print(f"{'':28}{heads}{'seconds':>10}{'MB':>8}{'lines':>7}")
    for name, row in report["rows"].items():
        if "failed" in row:
            print(f"{name:28}failed: {row['failed']}")
            continue
        cells = "".join(f"{'':3}" + "".join(f"{row['quality'][n][p]:>8.3f}" for p in PARTS) for n in names)
        seconds = f"{row['seconds']:>10.0f}{row['peak_mb']:>8.0f}" if "seconds" in row else f"{'given':>10}{'':8}"
        print(f"{name:28}{cells}{seconds}{row['lines']:>7}")
    for name in report["left_out"]:
        print(f"{name} is left out: its package is not installed in --peer-python")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gold", action="append", type=Path, default=[], help="a gold file beside the seeds' own")
    parser.add_argument("--models", type=Path, help="a models folder of `rasd train`, in place of a training")
    parser.add_argument("--peer-python", default=sys.executable, help="the Python that has snorkel and setfit")
    parser.add_argument("--only", nargs="*", choices=[*(p.script for p in PEERS), RASD], help="run these alone")
    parser.add_argument("--rows", type=int, help="so many paragraphs of the corpus, for a quick look at the peers")
    parser.add_argument("--effort", type=float, help="epochs of the Trainer and pairs per text of SetFit")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args(arguments)
    watch_list_file, gold_file = ROOT / "configs" / "topics.yaml", ROOT / "seeds" / "gold.jsonl"
    taxonomy = load_watch_list(watch_list_file).taxonomy
    own = read_gold(gold_file, taxonomy)
    clean = [r for r in own if r.split == "clean"]
    golds = {gold_file.name: [r for r in own if r.split != "clean"]}
    golds |= {path.name: read_gold(path, taxonomy) for path in options.gold}
    train = read_records(ROOT / "seeds" / "paragraphs")[: options.rows]
    report: dict[str, Any] = {
        "machine": machine("torch", "transformers", "scikit-learn", "numpy"),
        "corpus_rows": len(train),
        "clean_rows": len(clean),
        "gold_rows": {n: len(g) for n, g in golds.items()},
        "rows": {},
        "left_out": [],
    }
    chosen = options.only or [*(p.script for p in PEERS), RASD]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_encoder(folder / "encoder")
        for peer in (p for p in PEERS if p.script in chosen):
            if peer.package and not has_package(options.peer_python, peer.package):
                report["left_out"].append(peer.name)
                continue
            work = folder / peer.script
            work.mkdir()
            effort = options.effort if options.effort is not None and peer.effort else peer.effort
            job = Job(
                train=train,
                clean=[{"text": r.text, "topics": dict(r.topics)} for r in clean],
                texts=[r.text for records in golds.values() for r in records],
                topics={t.id: t.target for t in taxonomy.topics},
                encoder=str(folder / "encoder"),
                watch_list=str(watch_list_file),
                effort=effort,
                answers=work / "answers.json",
            )
            report["rows"][peer.name] = run_peer(peer, options.peer_python, job, golds, taxonomy)
            print(f"{peer.name}: {report['rows'][peer.name]}", file=sys.stderr, flush=True)
        if RASD in chosen:
            (folder / RASD).mkdir()
            report["rows"] |= run_rasd(options.models, golds, folder / RASD)
    print_table(report)
    give(report, options.json)


if __name__ == "__main__":
    main()
