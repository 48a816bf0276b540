"""Is the invented corpus as varied as real news? Distinct 4-grams and vocabulary, beside an equally large real sample.

    python benchmarks/seed_diversity.py --pool NEWS.jsonl[.gz] [--gold GOLD.jsonl]

The sample matches the seeds in number of words, paragraph by paragraph of 20 to 110 words, and is drawn five times.
Also says whether any seed paragraph is, or nearly is, one of the pool or of the gold given.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import machine
from inference.text import WORD, fold
from training.dedup import NearDuplicates

SEEDS = Path(__file__).resolve().parent.parent / "seeds" / "paragraphs"


def words_of(text: str) -> list[str]:
    """Give the folded words of a text."""
    return WORD.findall(fold(text))


def diversity(paragraphs: list[list[str]]) -> dict[str, float]:
    """Give the share of distinct 4-grams, the vocabulary, and the exponent of its growth (Heaps' law).

    Args:
        paragraphs: words of each paragraph.
    """
    grams = [tuple(p[i : i + 4]) for p in paragraphs for i in range(len(p) - 3)]
    stream = [w for p in paragraphs for w in p]
    whole, half = len(set(stream)), len(set(stream[: len(stream) // 2]))
    return {
        "words": len(stream),
        "distinct_4grams": len(set(grams)) / max(len(grams), 1),
        "vocabulary": whole,
        "vocabulary_growth": whole / max(half, 1),
    }


def seed_texts() -> list[str]:
    """Give the texts of the training paragraphs."""
    files = sorted(SEEDS.glob("*.jsonl"))
    return [json.loads(line)["text"] for f in files for line in f.read_text("utf-8").splitlines()]


def read(path: str) -> Iterator[str]:
    """Give the texts of a JSON-lines file, gzipped or not."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--gold")
    options = parser.parse_args()
    seeds = [words_of(t) for t in seed_texts()]
    random.Random(0).shuffle(seeds)
    target = sum(map(len, seeds))
    pool = [t for t in read(options.pool) if 20 <= len(t.split()) <= 110]
    drawn = []
    for seed in range(5):
        random.Random(seed).shuffle(pool)
        sample, count = [], 0
        for text in pool:
            if count >= target:
                break
            sample.append(words_of(text))
            count += len(sample[-1])
        drawn.append(diversity(sample))
    index = NearDuplicates(threshold=0.3)
    for i, text in enumerate(seed_texts()):
        index.add(str(i), text)
    random.Random(9).shuffle(pool)
    others = [*pool, *(read(options.gold) if options.gold else ())]
    result = {
        "machine": machine(),
        "seeds": diversity(seeds),
        "real": {k: sum(d[k] for d in drawn) / len(drawn) for k in drawn[0]},
        "overlapping_paragraphs": sum(index.find(t) is not None for t in others),
        "compared_with": len(others),
    }
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
