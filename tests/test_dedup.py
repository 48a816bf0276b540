"""Near-duplicates: what counts as one story, and what may not be trained on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.dedup import NearDuplicates, drop_duplicates, minhash, shingles

STORY = "أعلن وزير الخارجية الروسي أن المحادثات مع الوفد الكوري بدأت صباح اليوم في موسكو وستستمر ثلاثة أيام"
OTHER = "فاز المنتخب الوطني على ضيفه بهدفين دون مقابل في المباراة التي أقيمت مساء أمس على ملعب العاصمة"
WORDS = st.lists(st.sampled_from(["ا", "ب", "ت", "ث", "ج", "ح", "خ", "د"]), max_size=12).map(" ".join)


def _dropped(*texts: str, threshold: float = 0.7, **options: object) -> tuple[list[bool], list[bool]]:
    repeats, resembles = drop_duplicates(texts, threshold=threshold, **options)  # type: ignore[arg-type]
    return repeats.tolist(), resembles.tolist()


def test_shingles_are_the_folded_word_trigrams() -> None:
    assert shingles("أعلنَ الوزيرُ، أنَّ الهدنة بدأت") == {"اعلن الوزير ان", "الوزير ان الهدنه", "ان الهدنه بدات"}


@pytest.mark.parametrize(
    ("text", "expected"), [("خبر عاجل", {"خبر عاجل"}), ("أ ب ج", {"ا ب ج"}), ("...", set()), ("", set())]
)
def test_a_text_too_short_for_trigrams_is_its_own_shingle(text: str, expected: set[str]) -> None:
    assert shingles(text) == expected


def test_of_two_equal_texts_the_first_is_kept() -> None:
    assert _dropped(STORY, OTHER, STORY)[0] == [False, False, True]


def test_spelling_marks_and_punctuation_make_no_other_story() -> None:
    respelled = (
        "«أعـلن وزيرُ الخارجيّة الروسى ان المحادثات - مع الوفد الكورى - بدأت صباح اليوم فى موسكو، وستستمر ثلاثة أيام!»"
    )
    assert _dropped(STORY, respelled)[0] == [False, True]


def test_the_likeness_from_which_two_are_one_is_the_threshold_itself() -> None:
    # Words 1 to 10 have 8 trigrams; with two more words there are 10, of which 8 are shared: a likeness of 0.8.
    short, long = " ".join(STORY.split()[:10]), " ".join(STORY.split()[:12])
    assert _dropped(short, long, threshold=0.8)[0] == [False, True]
    assert _dropped(short, long, threshold=0.81)[0] == [False, False]


def test_a_dropped_text_drags_nothing_after_it() -> None:
    # Of 10 words each: the second and third share 8 with their neighbour (likeness 0.6), and 6 two texts on (0.33).
    words = STORY.split()
    assert _dropped(*(" ".join(words[i : i + 10]) for i in (0, 2, 4)), threshold=0.6)[0] == [False, True, False]


def test_nothing_that_resembles_gold_is_trained_on() -> None:
    half = " ".join(STORY.split()[:12])
    assert _dropped(OTHER, half, against=[STORY], against_threshold=0.5)[1] == [False, True]


def test_resembling_gold_and_repeating_are_told_apart() -> None:
    assert _dropped(STORY, STORY, OTHER, OTHER, against=[STORY]) == (
        [False, True, False, True],
        [True, True, False, False],
    )


def test_the_index_names_the_text_that_was_seen() -> None:
    seen = NearDuplicates(threshold=0.7)
    seen.add("خبر-1", STORY)
    seen.add("خبر-2", OTHER)
    assert (seen.find(STORY + " أخرى"), seen.find(OTHER), seen.find("نص لا يشبه شيئا مما سبق أبدا")) == (
        "خبر-1",
        "خبر-2",
        None,
    )


def test_a_key_keeps_the_text_that_it_was_first_given() -> None:
    seen = NearDuplicates(threshold=0.7)
    seen.add("خبر", STORY)
    seen.add("خبر", OTHER)
    assert (seen.find(STORY), seen.find(OTHER)) == ("خبر", None)


def test_no_texts_give_no_decisions() -> None:
    assert _dropped() == ([], [])


def test_signatures_are_the_same_in_every_process() -> None:
    # Python's own string hash differs from run to run; a corpus must not.
    assert minhash("خبر عاجل").hashvalues[:3].tolist() == [3539051469, 194376646, 709319700]


@pytest.mark.parametrize(("threshold", "shared", "length"), [(0.5, 12, 17), (0.7, 16, 19)])
def test_pairs_right_at_the_threshold_are_not_lost_in_the_index(threshold: float, shared: int, length: int) -> None:
    # A start of k words shared by two texts of n is k - 2 common trigrams of 2 (n - 2) - (k - 2): here 10/20, 14/20.
    texts = []
    for pair in range(100):
        start = [f"كلمة{pair}س{i}" for i in range(shared)]
        texts += [" ".join(start + [f"{side}{pair}س{i}" for i in range(length - shared)]) for side in "بج"]
    assert _dropped(*texts, threshold=threshold)[0] == [False, True] * 100


@settings(max_examples=30)
@given(texts=st.lists(WORDS, max_size=8))
def test_every_dropped_text_truly_resembles_an_earlier_kept_one(texts: list[str]) -> None:
    repeats, _ = _dropped(*texts, threshold=0.6)
    for i, repeat in enumerate(repeats):
        own = shingles(texts[i])
        likeness = [
            len(own & kept) / len(own | kept) if own or kept else 1.0
            for kept in (shingles(texts[j]) for j in range(i) if not repeats[j])
        ]
        assert not repeat or max(likeness) >= 0.6
        assert repeat or not any(other == 1.0 for other in likeness)
