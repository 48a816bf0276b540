"""Puts Rasd under fault and prints what it did: a table, and one JSON object.

``python benchmarks/faults.py [--python PATH ...] [--json FILE]``

Every fault is a test that breaks something for real (a small disk that fills up, a locked database, a killed process)
and asserts what is left; this runs them, the twenty kills of a training among them, and says of each what held. Those
over Ray need the extra ``ray``. Each ``--python`` is another interpreter with Rasd's libraries (``pip install numpy
onnxruntime tokenizers scikit-learn skops``): it has to give the answers of this one, to the byte, from the same model
folders.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.machine import give, machine  # noqa: E402

SUITES = {
    "tests/test_faults.py": "",
    "tests/test_resume.py": "",
    "tests/test_bulk.py": "killed or stopped or interrupted or changed or journal or full or another",
    "tests/test_label_command.py": "killed or interrupted or raises or bad_rows",
    "tests/test_predict_properties.py": "missing or altered or manifest",
    "tests/test_reading.py": "cannot_be_read or breaks_off or damaged",
    "tests/test_ray.py": "",
}
KINDS = ("weak", "tfidf", "encoder")
PREDICT = """
import sys
from inference.cli import main
folder, source, target = sys.argv[1:]
for kind in ("weak", "tfidf", "encoder"):
    done = main(["predict", "--model", f"{folder}/{kind}", "--input", source, "--output", f"{target}/{kind}.jsonl"])
    if done:
        sys.exit(done)
"""


@dataclass(frozen=True)
class Verdict:
    """What one fault did.

    Args:
        fault: what was broken, and what has to hold.
        verdict: ``held``, ``broke`` or ``not run``.
        why: where it did not hold or was not run.
        seconds: how long it took.
    """

    fault: str
    verdict: str
    why: str
    seconds: float


def run_suite(path: str, chosen: str, work: Path) -> list[Verdict]:
    """Run the faults of one file of tests."""
    report = work / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not browser", f"--junitxml={report}", path]
    subprocess.run([*command, *(["-k", chosen] if chosen else [])], cwd=ROOT, capture_output=True, check=False)
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        failed = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        told = failed if failed is not None else skipped
        verdict = "broke" if failed is not None else "not run" if skipped is not None else "held"
        name = (case.get("name") or case.get("classname") or path).removeprefix("test_").replace("_", " ")
        why = "" if told is None else (told.get("message") or "").partition("\n")[0]
        found.append(Verdict(name, verdict, why, float(case.get("time") or 0)))
    return found


def run_pythons(pythons: list[str], work: Path) -> list[Verdict]:
    """Predict with other interpreters, and hold their files against this one's."""
    from tests import serving, tiny

    for kind in KINDS:
        (work / f"work-{kind}").mkdir()
        serving.folder(kind, work / "models" / kind, work / f"work-{kind}")
    rows = (json.dumps(r, ensure_ascii=False) + "\n" for r in tiny.corpus(200))
    (work / "in.jsonl").write_text("".join(rows), "utf-8")
    files, found = [], []
    for number, python in enumerate([sys.executable, *pythons]):
        target = work / str(number)
        target.mkdir()
        command = [python, "-c", PREDICT, work / "models", work / "in.jsonl", target]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        files.append([(target / f"{k}.jsonl").read_bytes() if not done.returncode else b"" for k in KINDS])
        asked = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        why = done.stderr.strip().rpartition("\n")[2] if done.returncode else ""
        same = not done.returncode and files[number] == files[0]
        found.append(Verdict(f"the same answers from {asked.stdout.strip()}", "held" if same else "broke", why, 0.0))
    return found


def main() -> int:
    """Run every fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="another interpreter")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON object here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rasd-faults-") as name:
        found = [v for path, chosen in SUITES.items() for v in run_suite(path, chosen, Path(name))]
        found += run_pythons(options.python, Path(name))
    table = Table("fault, and what has to hold", "verdict", "s")
    for v in found:
        table.add_row(escape(v.fault + (f" ({v.why})" if v.why else "")), v.verdict, f"{v.seconds:.1f}")
    Console(width=150).print(table)
    counts = Counter(v.verdict for v in found)
    named = machine("numpy", "onnxruntime", "scikit-learn", "mlflow")
    give({"faults": [asdict(v) for v in found], "counts": counts, "machine": named}, options.json)
    return 1 if counts["broke"] else 0


if __name__ == "__main__":
    sys.exit(main())
