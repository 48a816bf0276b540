"""The seeds keep what seeds/README.md promises."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.seed_diversity import diversity, words_of
from training.articles import split_page
from training.corpus import paragraph_id
from training.dedup import NearDuplicates

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
TOPICS = ("arms_deal", "peace_talks", "diplomacy")
STANCES = ("favor", "against", "neutral")

# Measured with benchmarks/seed_diversity.py: the mean of samples of as many words of real news paragraphs.
REAL_DISTINCT_4GRAMS = 0.984
REAL_VOCABULARY_GROWTH = 1.561


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def paragraphs() -> list[dict[str, object]]:
    return [row for file in sorted((SEEDS / "paragraphs").glob("*.jsonl")) for row in read(file)]


@pytest.fixture(scope="module")
def gold() -> list[dict[str, object]]:
    return read(SEEDS / "gold.jsonl")


def test_there_are_at_least_4000_with_their_fields_and_their_own_ids(paragraphs: list[dict[str, object]]) -> None:
    assert len(paragraphs) >= 4000
    assert all({"id", "text", "article", "setting", "brief"} <= set(p) for p in paragraphs)
    assert len({p["id"] for p in paragraphs}) == len(paragraphs)


def test_each_is_20_to_110_words_long(paragraphs: list[dict[str, object]]) -> None:
    lengths = [len(str(p["text"]).split()) for p in paragraphs]
    assert min(lengths) >= 20
    assert max(lengths) <= 110


def test_nearly_half_carry_no_topic_and_the_rest_are_mixed_as_promised(paragraphs: list[dict[str, object]]) -> None:
    briefs = [dict(p["brief"]) for p in paragraphs]  # type: ignore[call-overload]
    some = [b for b in briefs if b]
    assert 0.43 <= 1 - len(some) / len(briefs) <= 0.5
    shares = {t: sum(t in b for b in some) / len(some) for t in TOPICS}
    assert shares["arms_deal"] == pytest.approx(0.31, abs=0.04)
    assert shares["peace_talks"] == pytest.approx(0.40, abs=0.06)
    assert shares["diplomacy"] == pytest.approx(0.50, abs=0.06)
    assert sum(len(b) > 1 for b in some) / len(some) >= 0.2


def test_every_stance_is_well_shown_in_each_topic_and_neutral_most_as_in_real_news(
    paragraphs: list[dict[str, object]],
) -> None:
    counts = Counter((t, s) for p in paragraphs for t, s in dict(p["brief"]).items())  # type: ignore[call-overload]
    for topic in TOPICS:
        shares = {s: counts[topic, s] / sum(counts[topic, x] for x in STANCES) for s in STANCES}
        assert shares["favor"] == pytest.approx(0.31, abs=0.03)
        assert shares["against"] == pytest.approx(0.30, abs=0.03)
        assert shares["neutral"] == pytest.approx(0.39, abs=0.03)


def test_settings_and_registers_are_many(paragraphs: list[dict[str, object]]) -> None:
    assert len({p["setting"] for p in paragraphs}) >= 40
    assert len({p["register"] for p in paragraphs}) >= 10


def test_no_run_of_eight_words_is_shared_by_two(
    paragraphs: list[dict[str, object]], gold: list[dict[str, object]]
) -> None:
    owner: dict[tuple[str, ...], str] = {}
    shared = []
    for row in [*paragraphs, *gold]:
        words = words_of(str(row["text"]))
        for i in range(len(words) - 7):
            run = tuple(words[i : i + 8])
            if owner.setdefault(run, str(row["id"])) != row["id"]:
                shared.append((owner[run], row["id"], " ".join(run)))
    assert shared == []


def test_no_two_are_near_duplicates(paragraphs: list[dict[str, object]], gold: list[dict[str, object]]) -> None:
    seen = NearDuplicates(threshold=0.5)
    found = []
    for row in [*paragraphs, *gold]:
        if (other := seen.find(str(row["text"]))) is not None:
            found.append((other, row["id"]))
        seen.add(str(row["id"]), str(row["text"]))
    assert found == []


def test_they_are_as_varied_as_real_news(paragraphs: list[dict[str, object]]) -> None:
    import random

    words = [words_of(str(p["text"])) for p in paragraphs]
    random.Random(0).shuffle(words)
    measured = diversity(words)
    assert measured["distinct_4grams"] == pytest.approx(REAL_DISTINCT_4GRAMS, rel=0.05)
    assert measured["vocabulary_growth"] == pytest.approx(REAL_VOCABULARY_GROWTH, rel=0.05)


def test_gold_holds_every_body_paragraph_of_the_articles_and_300_more(gold: list[dict[str, object]]) -> None:
    page = next((SEEDS / "articles").glob("*.txt")).read_text("utf-8")
    bodies = {paragraph_id(p.text) for article in split_page(page) for p in article.paragraphs}
    ids = {g["id"] for g in gold}
    assert len(bodies) == 32
    assert bodies <= ids
    assert len(ids - bodies) >= 300


def test_gold_is_labelled_with_known_topics_and_stances(gold: list[dict[str, object]]) -> None:
    labels = Counter((t, s) for g in gold for t, s in dict(g["topics"]).items())  # type: ignore[call-overload]
    assert {t for t, _ in labels} == set(TOPICS)
    assert all(labels[t, s] >= 15 for t in TOPICS for s in STANCES)


def test_gold_is_written_in_settings_of_its_own(
    paragraphs: list[dict[str, object]], gold: list[dict[str, object]]
) -> None:
    political = {p["setting"] for p in paragraphs if p["brief"]}
    assert {g["setting"] for g in gold if "setting" in g and g["topics"]}.isdisjoint(political)


def test_a_third_of_gold_is_the_clean_split(gold: list[dict[str, object]]) -> None:
    splits = Counter(g["split"] for g in gold)
    assert set(splits) == {"clean", "test"}
    assert splits["clean"] / len(gold) == pytest.approx(1 / 3, abs=0.03)
