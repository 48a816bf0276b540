"""Words and pairs of words are found as a plain look-up of every n-gram would find them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.word_terms import WordTerms

words = st.lists(st.sampled_from(["ab", "cd", "ef", "gh"]), max_size=6)


def plain(terms: list[str], text: list[str]) -> list[tuple[int, int]]:
    grams = [(w, i) for i, w in enumerate(text)]
    grams += [(f"{a} {b}", i) for i, (a, b) in enumerate(itertools.pairwise(text))]
    return sorted((i, terms.index(gram)) for gram, i in grams if gram in terms)


@given(
    terms=st.lists(st.lists(st.sampled_from(["ab", "cd", "ef"]), min_size=1, max_size=2).map(" ".join), unique=True),
    texts=st.lists(words, max_size=5),
)
def test_what_is_found_is_what_a_plain_look_up_finds(terms: list[str], texts: list[list[str]]) -> None:
    found = WordTerms(terms).find(texts)
    assert len(found) == len(texts)
    for text, (numbers, places) in zip(texts, found, strict=True):
        assert sorted(zip(places.tolist(), numbers.tolist(), strict=True)) == plain(terms, text)


def test_no_pair_reaches_from_one_text_into_the_next() -> None:
    found = WordTerms(["ab cd"]).find([["ab"], [], ["cd", "ab"], ["cd"]])
    assert [numbers.tolist() for numbers, _ in found] == [[], [], [], []]


def test_a_term_of_three_words_is_refused() -> None:
    with pytest.raises(ValueError, match="more than two words"):
        WordTerms(["ab cd ef"])
