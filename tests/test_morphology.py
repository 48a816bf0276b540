"""Which forms of a word are recognised, and which are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ConfigError
from inference.morphology import NOUN_PROCLITICS, VERB_PROCLITICS, Analyser, Word
from inference.text import fold
from tests.plain_matcher import is_form


def recognises(written: str, token: str) -> bool:
    return Analyser([Word.parse(written)]).analyse(fold(token)) == (0,)


@pytest.mark.parametrize(
    ("written", "token"),
    [
        ("صفقة", "وصفقتها"),
        ("صفقة", "بصفقتين"),
        ("صفقة", "الصفقات"),
        ("صفقة", "للصفقة"),
        ("سلاح", "سلاحًا"),
        ("معارض", "ومعارضو"),
        ("معارض", "المعارضين"),
        ("v:رفض", "رفضت"),
        ("v:رفض", "ويرفض"),
        ("v:رفض", "سيرفضون"),
        ("v:رفض", "فسترفضه"),
        ("v:لتقي", "يلتقي"),
    ],
)
def test_a_word_is_recognised_in_its_forms(written: str, token: str) -> None:
    assert recognises(written, token)


@pytest.mark.parametrize("token", ["التقى", "التقت", "التقوا", "التقاه", "التقته"])
def test_a_verb_may_drop_its_weak_last_letter(token: str) -> None:
    assert recognises("v:التقى", token)


@pytest.mark.parametrize(
    ("written", "token"), [("سلاح", "صلاح"), ("سلاح", "سلا"), ("v:رفض", "الرفض"), ("=سلم", "السلم"), ("بد", "البدو")]
)
def test_other_words_are_not_recognised(written: str, token: str) -> None:
    assert not recognises(written, token)


@pytest.mark.parametrize("token", ["سلاح", "السلاح", "بالسلاح", "للسلاح", "وسلاحهم"])
def test_a_noun_written_with_the_article_is_found_without_it_too(token: str) -> None:
    assert recognises("السلاح", token)


@pytest.mark.parametrize("token", ["التزام", "الالتزام", "بالالتزام", "والتزامه"])
def test_a_noun_that_only_looks_as_if_it_had_the_article_keeps_its_letters(token: str) -> None:
    assert recognises("التزام", token)


@pytest.mark.parametrize(("written", "token"), [("إلقاء", "لقاء"), ("آليات", "يأتي"), ("ألمانيا", "مانيا")])
def test_a_hamza_tells_that_there_is_no_article(written: str, token: str) -> None:
    assert not recognises(written, token)


def test_a_short_noun_with_the_article_keeps_it() -> None:
    assert recognises("الحل", "للحل")
    assert recognises("الحل", "بالحل")
    assert not recognises("الآن", "إن")


def test_a_prefix_stands_for_whatever_follows() -> None:
    assert recognises("تسلي*", "والتسليح")
    assert not recognises("تسلي*", "تسل")


@pytest.mark.parametrize("written", ["F", "f", "5", "٥"])
def test_a_single_letter_or_digit_stands_for_itself(written: str) -> None:
    assert recognises(written, written)
    assert not recognises(written, written * 2)


def test_a_token_may_be_a_form_of_several_words_given_in_order() -> None:
    words = [Word.parse(w) for w in ("v:سلم", "سلم", "=سلم", "سلاح", "سل*")]
    assert Analyser(words).analyse("سلم") == (0, 1, 2, 4)


@pytest.mark.parametrize("written", ["", "v:", "=", "*", "ــ", "َ", "سلاح أبيض", "a-b", "_"])
def test_what_is_not_one_word_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="not one word"):
        Word.parse(written)


STEMS = (
    "صفقة",
    "سلاح",
    "السلاح",
    "الحل",
    "التزام",
    "v:رفض",
    "v:دعا",
    "v:التقي",
    "v:مد",
    "=سلم",
    "تسلي*",
    "التسلي*",
    "5",
)
heads = st.sampled_from(sorted(NOUN_PROCLITICS | VERB_PROCLITICS))
endings = st.text("اتهيونمكا", max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STEMS), heads, st.integers(0, 1), endings)
def test_forms_agree_with_taking_the_token_apart_in_every_way(written: str, head: str, drop: int, ending: str) -> None:
    stem = Word.parse(written).form
    token = head + stem[: len(stem) - drop] + ending or "ا"
    assert [w for w in STEMS if recognises(w, token)] == [w for w in STEMS if is_form(token, w)]
