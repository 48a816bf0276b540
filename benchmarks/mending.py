"""How well words that a scanner misread are mended, how often words are that were not misread, and what it costs.

    python benchmarks/mending.py --corpus FILE.jsonl[.gz] [--rows 1000] [--model encoder] [--json FILE]

Letters of real paragraphs are taken for others of their skeleton (`perturbations.misread_dots`, two in a hundred), and
every word is looked up as it was and as it came out. `repaired` are misread words that are read as they were, `wrong`
those that are read as another; `changed` are words that were not misread and are read otherwise. What this is worth to
a model's figures is what `robustness.py` says with and without `--unmended`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.labelling import read_texts  # noqa: E402
from benchmarks.machine import give, in_a_line, machine  # noqa: E402
from benchmarks.perturbations import misread_dots  # noqa: E402
from inference.encoder import EncoderEngine  # noqa: E402
from inference.folder import read_manifest  # noqa: E402
from inference.mending import Mender  # noqa: E402
from inference.predictor import resolve_model  # noqa: E402
from inference.text import View, clean_view  # noqa: E402


def measure(mender: Mender, views: Sequence[View], *, seed: int) -> dict[str, Any]:
    """Mend texts as they are and misread.

    Args:
        mender: what mends.
        views: the clean views of texts.
        seed: of the misreadings.

    Returns:
        shares of the misread words, changes among a thousand words that were not misread, and milliseconds of processor
        time that a text takes: on words not met before, and on words met before.
    """
    costs = [_milliseconds(mender, views) for _ in range(2)]
    words = misread = repaired = wrong = changed = 0
    for place, view in enumerate(views):
        chance = random.Random(f"{seed} {place}")
        for word in view.text.split(" "):
            came_out = misread_dots(word, chance)
            read = mender.mend(clean_view(came_out)).view.text
            if came_out == word:
                words += 1
                changed += read != word
            else:
                misread += 1
                repaired += read == word
                wrong += read not in (word, came_out)
    return {
        "misread": misread,
        "repaired": repaired / max(misread, 1),
        "wrong": wrong / max(misread, 1),
        "changed_in_1000": 1000 * changed / max(words, 1),
        "milliseconds_a_text": {"new words": costs[0], "known words": costs[1]},
    }


def _milliseconds(mender: Mender, views: Sequence[View]) -> float:
    start = time.process_time()
    for view in views:
        mender.mend(view)
    return 1000 * (time.process_time() - start) / max(len(views), 1)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--model", default="encoder", help="an encoder's name, folder or MLflow URI")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    folder = resolve_model(options.model)
    manifest = read_manifest(folder)
    mender = EncoderEngine(folder, manifest).mender if manifest.kind == "encoder" else None
    if mender is None:
        parser.error(f"{folder} has nothing to mend with: no encoder whose tokenizer says how likely words are")
    views = [clean_view(text) for text in read_texts(options.corpus, options.rows)]
    found = measure(mender, views, seed=options.seed)
    report = {"machine": machine("tokenizers"), "rows": len(views), **found}
    print(in_a_line(report["machine"]))
    costs = found["milliseconds_a_text"]
    print(
        f"{found['misread']:,} misread words: {found['repaired']:.1%} repaired, {found['wrong']:.1%} read as others; "
        f"of 1,000 words that were not misread {found['changed_in_1000']:.1f} changed\n"
        f"{costs['new words']:.2f} ms a text on words not met before, {costs['known words']:.2f} on words met before"
    )
    give(report, options.json)


if __name__ == "__main__":
    main()
