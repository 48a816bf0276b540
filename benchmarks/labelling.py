"""Measures how many paragraphs a second Rasd's lexical labelling functions vote on, on one core.

``python benchmarks/labelling.py --corpus FILE.jsonl[.gz] [--rows N] [--watch-list FILE] [--peer] [--peer-rows N]``
prints one JSON object and a short table.

With ``--peer``, Snorkel's ``PandasLFApplier`` runs the same functions over a sample of the rows. Each is a Snorkel
labelling function of its own, as Snorkel has them; it decides with Rasd's matcher for single texts, restricted to that
one function, so that rules and votes are the same, and a memoised preprocessor folds and splits each row once. What is
compared is therefore the applying of functions one by one to rows, against all functions at once to batches. Snorkel
is wanted by this benchmark only::

    python -m venv /tmp/peer && /tmp/peer/bin/pip install snorkel pandas numpy pyyaml pydantic
    /tmp/peer/bin/python benchmarks/labelling.py --corpus FILE.jsonl.gz --peer
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import in_a_line, machine, one_core  # noqa: E402

if __name__ == "__main__":
    one_core()

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from inference import lexicon  # noqa: E402
from inference.folding import fold_batch  # noqa: E402
from inference.lexicon import ABSTAIN, LexicalFunction, Match, Matcher, Tokens, tokenise  # noqa: E402
from inference.matching import batch_votes  # noqa: E402
from training.topics import load_watch_list  # noqa: E402

Votes = npt.NDArray[np.int8]


def read_texts(path: Path, rows: int) -> list[str]:
    """Read the texts of a JSON Lines file.

    Args:
        path: the file; ``.gz`` is unpacked.
        rows: how many rows to read, from the start.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in itertools.islice(lines, rows)]


class Stopwatch:
    """Adds up the processor time that is spent inside a function.

    Args:
        call: the function.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        start = time.process_time()
        try:
            return self.call(*args, **kwargs)
        finally:
            self.seconds += time.process_time() - start


def measure_rasd(functions: Sequence[LexicalFunction], texts: list[str]) -> tuple[dict[str, float], Votes]:
    """Run Rasd's matcher twice over the texts, first knowing none of their words.

    Returns:
        the figures, and the votes.
    """
    start = time.process_time()
    matcher = Matcher(functions)
    build = time.process_time() - start
    # The tables of Unicode are made once for a process and are no part of the labelling of a corpus.
    matcher.votes(["-"])
    start = time.process_time()
    matcher.votes(texts)
    cold = time.process_time() - start
    start = time.process_time()
    votes = matcher.votes(texts)
    warm = time.process_time() - start
    fold, match = Stopwatch(fold_batch), Stopwatch(batch_votes)
    with mock.patch.object(lexicon, "fold_batch", fold), mock.patch.object(lexicon, "batch_votes", match):
        start = time.process_time()
        matcher.votes(texts)
        total = time.process_time() - start
    figures = {
        "build_seconds": build,
        "paragraphs_per_second": len(texts) / cold,
        "paragraphs_per_second_warm": len(texts) / warm,
        "share_normalisation": fold.seconds / total,
        "share_matching": match.seconds / total,
        "share_rest": 1 - (fold.seconds + match.seconds) / total,
    }
    return figures, votes


def measure_snorkel(functions: Sequence[LexicalFunction], texts: list[str]) -> tuple[dict[str, float], Votes]:
    """Run the same functions as Snorkel labelling functions.

    Returns:
        the figures, and the votes.
    """
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    from snorkel.labeling import LabelingFunction, PandasLFApplier  # type: ignore[import-not-found, unused-ignore]
    from snorkel.preprocess import preprocessor  # type: ignore[import-not-found, unused-ignore]

    @preprocessor(memoize=True)  # type: ignore[untyped-decorator, unused-ignore]
    def with_tokens(row: Any) -> Any:
        row.tokens = tokenise(row.text)
        return row

    def vote(row: Any, match: Callable[[Tokens], list[Match]], value: int) -> int:
        return value if match(row.tokens) else ABSTAIN

    peers = [
        LabelingFunction(
            name=f.name, f=vote, pre=[with_tokens], resources={"match": Matcher([f]).match, "value": f.vote_value}
        )
        for f in functions
    ]
    frame = pd.DataFrame({"text": texts})
    start = time.process_time()
    votes = PandasLFApplier(peers).apply(frame, progress_bar=False)
    seconds = time.process_time() - start
    return {"paragraphs_per_second": len(texts) / seconds}, votes.astype(np.int8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--corpus", type=Path, required=True, help="JSON Lines with a text field, .gz or not")
    parser.add_argument("--rows", type=int, default=100_000, help="rows to read")
    parser.add_argument("--watch-list", type=Path, default=ROOT / "configs" / "topics.yaml")
    parser.add_argument("--peer", action="store_true", help="measure Snorkel too")
    parser.add_argument("--peer-rows", type=int, default=1000, help="rows for Snorkel, drawn evenly")
    options = parser.parse_args(arguments)
    texts = read_texts(options.corpus, options.rows)
    functions = load_watch_list(options.watch_list).functions
    report: dict[str, Any] = {
        "machine": machine("numpy", "snorkel", "pandas"),
        "rows": len(texts),
        "functions": len(functions),
    }
    report["words_per_paragraph"] = sum(len(t.split()) for t in texts) / len(texts)
    report["rasd"], votes = measure_rasd(functions, texts)
    if options.peer:
        rows = np.linspace(0, len(texts) - 1, min(options.peer_rows, len(texts))).astype(int)
        report["snorkel"], theirs = measure_snorkel(functions, [texts[i] for i in rows])
        if not np.array_equal(votes[rows], theirs):
            sys.exit("the votes differ: what follows would compare two different things")
        report["snorkel"]["rows"] = len(rows)
        report["ratio"] = report["rasd"]["paragraphs_per_second"] / report["snorkel"]["paragraphs_per_second"]
    print(json.dumps(report, indent=1))
    print_table(report)


def print_table(report: dict[str, Any]) -> None:
    """Print the figures for people."""
    rasd = report["rasd"]
    print(f"\n{in_a_line(report['machine'])}")
    print(f"{report['functions']} functions, {report['rows']} paragraphs, processor time of one core\n")
    print(f"{'Rasd, words not met before':32}{rasd['paragraphs_per_second']:>10,.0f} paragraphs/s")
    print(f"{'Rasd, words met before':32}{rasd['paragraphs_per_second_warm']:>10,.0f} paragraphs/s")
    for share in ("normalisation", "matching", "rest"):
        print(f"{'  of which ' + share:32}{rasd['share_' + share]:>10.0%}")
    if "snorkel" in report:
        name = f"Snorkel {report['machine']['packages']['snorkel']}"
        print(f"{name + ', same functions':32}{report['snorkel']['paragraphs_per_second']:>10,.0f} paragraphs/s")
        print(f"{'ratio':32}{report['ratio']:>10,.0f}")


if __name__ == "__main__":
    main()
