"""One part of ``benchmarks/scaling.py`` on so many rows of a corpus: a process whose time and memory are measured."""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WATCH_LIST = ROOT / "configs" / "topics.yaml"


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Read the records of a JSON Lines file, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def count_rows(path: Path) -> int:
    """Count the records of a JSON Lines file."""
    return sum(1 for _ in records(path))


def read(path: Path, rows: int) -> list[dict[str, Any]]:
    """Read rows that lie evenly over the file, as what stands together is alike."""
    step = max(count_rows(path) / max(rows, 1), 1.0)
    wanted = {int(i * step) for i in range(rows)}
    return [r for i, r in enumerate(itertools.islice(records(path), int(rows * step) + 1)) if i in wanted]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds that a call takes, and what it gives."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def label(rows: list[dict[str, Any]]) -> tuple[float, Any]:
    """Run the labelling functions."""
    from training.labeling import Applier
    from training.topics import load_watch_list

    applier = Applier(load_watch_list(WATCH_LIST))
    return timed(lambda: applier.apply(rows).matrix)


def label_model(rows: list[dict[str, Any]]) -> tuple[float, Any]:
    """Fit the label model on the votes and read its weak labels."""
    from training.labeling import Applier
    from training.topics import load_watch_list
    from training.weak import fit_weak_model

    watch_list = load_watch_list(WATCH_LIST)
    applier = Applier(watch_list)
    votes = applier.apply(rows).matrix
    return timed(lambda: fit_weak_model(votes, applier.functions, watch_list.taxonomy).predict(votes))


def train_tfidf(rows: list[dict[str, Any]]) -> tuple[float, Any]:
    """Fit the baseline on the weak labels."""
    from training.tfidf import fit_tfidf

    _, weak = label_model(rows)
    texts = [r["text"] for r in rows]
    return timed(lambda: fit_tfidf(texts, weak))


def train_encoder(rows: list[dict[str, Any]], steps: int) -> tuple[float, Any]:
    """Time some steps of the encoder's training by the shipped settings, and give the time of all of them.

    The part is trained twice, over one and over two epochs: what they differ by is the steps alone, without the
    loading, the first reading of the corpus and the last writing.
    """
    import numpy as np

    from inference.lexicon import Matcher
    from training.batches import build_dataset
    from training.config import load_config
    from training.encoders import load_encoder
    from training.finetune import finetune
    from training.topics import load_watch_list

    config = load_config(ROOT / "configs" / "default.yaml")
    _, weak = label_model(rows)
    wanted = steps * config.training.batch_size
    used = np.arange(len(rows))[:: max(1, len(rows) // wanted)][:wanted]
    part, weak = [rows[i] for i in used], weak.of(used)
    matcher = Matcher(load_watch_list(WATCH_LIST).functions)
    taken = []
    for epochs in (1, 2):
        encoder = load_encoder("embedded")
        texts = [r["text"] for r in part]
        data = build_dataset(encoder, texts, matcher, weak=weak, max_tokens=config.encoder.max_tokens)
        own = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
        held_out = data.select(range(2))
        with tempfile.TemporaryDirectory() as work:
            taken.append(
                timed(lambda: finetune(encoder, data, held_out, labels=weak, config=own, work=Path(work)))[0]  # noqa: B023
            )
    if taken[1] <= taken[0]:
        raise RuntimeError("two epochs took no longer than one: something else ran; measure on a quiet machine")
    return (taken[1] - taken[0]) / len(part) * len(rows) * config.training.epochs, None


def predict(rows: list[dict[str, Any]], folder: Path, most: int | None) -> tuple[float, Any]:
    """Predict the rows, or a sample of them whose time is multiplied."""
    from inference.predictor import Predictor

    predictor = Predictor(folder)
    texts = [r["text"] for r in rows]
    sample = texts if most is None else texts[:: max(1, len(texts) // most)][:most]
    seconds, _ = timed(lambda: predictor.predict(sample))
    return seconds * len(texts) / len(sample), None


def main() -> None:
    """Run one part and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part")
    parser.add_argument("rows", type=int)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--sample", type=int, default=400)
    options = parser.parse_args()
    rows = read(options.corpus, options.rows) if options.rows else []
    estimated = False
    if options.part == "label":
        seconds = label(rows)[0]
    elif options.part == "label model":
        seconds = label_model(rows)[0]
    elif options.part == "train tfidf":
        seconds = train_tfidf(rows)[0]
    elif options.part == "train encoder":
        seconds, estimated = train_encoder(rows, options.steps)[0], True
    elif options.part == "predict tfidf":
        seconds = predict(rows, options.models / "tfidf", None)[0]
    elif options.part == "predict encoder":
        seconds, estimated = predict(rows, options.models / "encoder", options.sample)[0], len(rows) > options.sample
    else:
        seconds = 0.0
    options.answer.write_text(json.dumps({"seconds": seconds, "estimated": estimated}), "utf-8")


if __name__ == "__main__":
    main()
