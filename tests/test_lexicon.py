"""What the lexical rules mean."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from inference.errors import ConfigError
from inference.lexicon import ABSTAIN, LexicalFunction, Matcher, tokenise
from tests import tiny
from training.topics import load_watch_list


def function(*terms: str, vote: str = "yes", **settings: Any) -> LexicalFunction:
    return LexicalFunction(name="f", topic="t", vote=vote, terms=terms, **settings)


def words_matched(text: str, *terms: str, **settings: Any) -> list[str]:
    tokens = tokenise(text)
    matches = Matcher([function(*terms, **settings)]).match(tokens)
    return [text[slice(*tokens.span(m.first, m.last))] for m in matches]


def fires(text: str, *terms: str, **settings: Any) -> bool:
    matcher = Matcher([function(*terms, **settings)])
    assert (matcher.votes([text])[0, 0] != ABSTAIN) == bool(matcher.match(tokenise(text)))
    return bool(matcher.match(tokenise(text)))


def test_a_match_points_into_the_original_text() -> None:
    assert words_matched("أُعلِنَت الصَّفْقَـــة أمس", "صفقة") == ["الصَّفْقَـــة"]


def test_words_are_found_whatever_encoding_they_are_in() -> None:
    assert fires("ﺻﻔﻘﺔ ﺍﻟﺴﻼﺡ", "صفقة السلاح")
    assert fires("صفقه کبیره", "صفقة كبيرة")


@pytest.mark.parametrize(
    ("text", "term"),
    [("وبالصفقة", "صفقة"), ("والاستراتيجياتهما", "استراتيجية"), ("والتسليح", "تسلي*"), ("F16", "=f16")],
)
def test_long_and_foreign_words_and_prefixes_are_found_in_batches_too(text: str, term: str) -> None:
    assert fires(text, term)


def test_a_phrase_of_adjacent_words_lets_nothing_between() -> None:
    assert fires("قدّموا حلاً سياسياً للأزمة", "حل سياسي")
    assert not fires("قدّموا حلاً عاجلاً سياسياً", "حل سياسي")


@pytest.mark.parametrize(("between", "expected"), [("", True), ("كبيرة جدا و", True), ("ا ب ج د", False)])
def test_two_dots_let_up_to_three_words_between(between: str, expected: bool) -> None:
    assert fires(f"صفقة {between} سلاح", "صفقة .. سلاح") is expected


def test_dots_with_a_number_let_that_many_words_between() -> None:
    assert fires("صفقة ا ب ج د ه سلاح", "صفقة ..5 سلاح")
    assert not fires("صفقة ا ب ج د ه سلاح", "صفقة ..4 سلاح")


def test_a_phrase_is_found_though_the_nearest_word_leads_nowhere() -> None:
    assert words_matched("صفقة سلاح قديم سلاح جديد", "صفقة .. سلاح جديد") == ["صفقة سلاح قديم سلاح جديد"]


def test_a_phrase_does_not_reach_over_a_sentence_end() -> None:
    assert not fires("انتهت الصفقة. سلاح الجو يحلق", "صفقة سلاح")
    assert not fires("انتهت الصفقة؛ سلاح الجو يحلق", "صفقة سلاح")


def test_alternatives_in_brackets_are_either_word() -> None:
    matcher = Matcher([function("(بيع|شراء) (سلاح|ذخيرة)")])
    texts = ["بيع سلاح", "بيع ذخيرة", "شراء سلاح", "شراء ذخيرة", "شراء بيع"]
    assert matcher.votes(texts)[:, 0].tolist() == [1, 1, 1, 1, ABSTAIN]


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("قرار (مجلس الأمن|الجامعة)", "قرار مجلس الأمن", True),
        ("قرار (مجلس الأمن|الجامعة)", "قرار الجامعة", True),
        ("قرار (مجلس الأمن|الجامعة)", "قرار مجلس الجامعة", False),
        ("وقف (إطلاق|) النار", "وقف النار", True),
        ("وقف (إطلاق|) النار", "وقف إطلاق النار", True),
        ("وقف (..1|إطلاق) النار", "وقف هذه النار", True),
        ("=(ال|)صفقة", "الصفقة", True),
    ],
)
def test_an_alternative_may_be_several_words_or_none_or_a_gap(term: str, text: str, expected: bool) -> None:
    assert fires(text, term) is expected


def test_phrases_packed_together_match_only_what_was_written() -> None:
    matcher = Matcher([function("بيع سلاح", "شراء ذخيرة", "بيع ذخيرة")])
    assert matcher.votes(["شراء سلاح", "بيع ذخيرة"])[:, 0].tolist() == [ABSTAIN, 1]


def test_texts_asked_one_by_one_vote_as_they_do_together() -> None:
    matcher = Matcher(load_watch_list(tiny.ROOT / "configs" / "topics.yaml").functions)
    texts = [*(str(row["text"]) for row in tiny.corpus(8)), "", "NATO 2026", tiny.TALKS * 3]
    assert (matcher.votes(texts, one_by_one=True) == matcher.votes(texts)).all()


def test_the_shortest_match_from_a_word_is_given() -> None:
    assert words_matched("صفقة سلاح وسلاح", "صفقة ..3 سلاح", "صفقة سلاح وسلاح") == ["صفقة سلاح"]


def test_near_needs_its_word_within_reach() -> None:
    assert fires("باعت الدولة أمس سلاحا", "سلاح", near=("v:باع",), within=3)
    assert not fires("باعت الدولة أمس سلاحا", "سلاح", near=("v:باع",), within=2)


def test_near_looks_both_ways() -> None:
    assert fires("سلاح باعته الدولة", "سلاح", near=("v:باع",), within=1)


def test_near_stays_in_the_sentence() -> None:
    assert not fires("باعت. السلاح وصل", "سلاح", near=("v:باع",), within=3)
    assert fires("باعت 3.5 أطنان سلاح", "سلاح", near=("v:باع",), within=5)


def test_a_term_does_not_vouch_for_itself() -> None:
    assert not fires("وصل السلاح", "سلاح", near=("سلاح",))
    assert fires("سلاح ثم سلاح", "سلاح", near=("سلاح",))
    assert not fires("سفير فرنسا", "سفير", near=("سفير فرنسا",))


def test_a_full_stop_after_one_letter_ends_no_sentence() -> None:
    assert fires("استقبل د. محمد السفير", "v:استقبل", near=("سفير",))


def test_a_sentence_may_end_before_a_closing_quote() -> None:
    assert not fires("قال «باعت.» السلاح وصل", "سلاح", near=("v:باع",))


def test_unless_takes_the_match_away_anywhere_in_the_text() -> None:
    assert not fires("الهدف الأول. ثم تحدث عن السلاح", "سلاح", unless=("هدف",))


def test_unless_within_reaches_only_so_far() -> None:
    assert fires("هدف ا ب ج سلاح", "سلاح", unless=("هدف",), unless_within=3)
    assert not fires("هدف ا ب سلاح", "سلاح", unless=("هدف",), unless_within=3)


def test_unless_within_takes_away_a_match_inside_its_own_phrase() -> None:
    assert not fires("ضبط سلاح أبيض", "سلاح", unless=("سلاح أبيض",), unless_within=2)


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("لم يرفض العرض", True),
        ("لا يمكن أن يرفض", False),
        ("نفى الوزير أمس أنه رفض", True),
        ("نفى. رفض", False),
        ("رفض العرض", False),
    ],
)
def test_negation_is_skipped_or_asked_for(text: str, negated: bool) -> None:
    assert fires(text, "v:رفض", negation="skip") is not negated
    assert fires(text, "v:رفض", negation="only") is negated
    assert fires(text, "v:رفض")


def test_at_least_counts_matches() -> None:
    assert not fires("سلاح", "سلاح", at_least=2)
    assert fires("سلاح وسلاح", "سلاح", at_least=2)


def test_matches_that_share_words_count_as_one() -> None:
    assert not fires("زيادة الأجور", "زيادة الأجور", "أجور", at_least=2)
    assert fires("زيادة الأجور والأجور", "زيادة الأجور", "أجور", at_least=2)


def test_absent_votes_where_nothing_is_found() -> None:
    matcher = Matcher([LexicalFunction(name="f", topic="t", vote="no", absent=("سلاح", "صفقة كبيرة"))])
    texts = ["طقس معتدل", "سلاح", "صفقة كبيرة", "صفقة صغيرة", "", "!!"]
    assert matcher.votes(texts)[:, 0].tolist() == [0, ABSTAIN, ABSTAIN, 0, ABSTAIN, ABSTAIN]


def test_single_letters_and_digits_are_words_too() -> None:
    assert fires("مقاتلات F-16 و(5+1)", "F 16")
    assert fires("مجموعة 5+1", "5 1")


def test_votes_are_the_values_of_the_functions_votes() -> None:
    functions = [function("سلاح", vote=v) for v in ("no", "yes", "favor", "against", "neutral")]
    assert Matcher(functions).votes(["سلاح"]).tolist() == [[0, 1, 0, 1, 2]]


def test_no_texts_give_no_rows() -> None:
    votes = Matcher([function("سلاح")]).votes([])
    assert votes.shape == (0, 1)
    assert votes.dtype == np.int8


def test_a_text_s_votes_do_not_depend_on_its_neighbours() -> None:
    matcher = Matcher([function("صفقة .. سلاح"), function("سلاح", near=("صفقة",))])
    assert (matcher.votes(["صفقة", "سلاح", "", "صفقة"]) == ABSTAIN).all()


def test_many_texts_are_worked_through_in_batches() -> None:
    texts = ["سلاح", "طقس", ""] * 3000
    assert Matcher([function("سلاح")]).votes(texts)[:, 0].tolist() == [1, ABSTAIN, ABSTAIN] * 3000


def test_a_used_matcher_pickles() -> None:
    matcher = Matcher([function("صفقة .. سلاح")])
    matcher.votes(["صفقة سلاح"])
    again = pickle.loads(pickle.dumps(matcher))
    assert again.votes(["صفقة سلاح", "سلاح"])[:, 0].tolist() == [1, ABSTAIN]


@pytest.mark.parametrize("term", ["", "..", "صفقة !"])
def test_a_term_without_words_is_refused_with_its_function(term: str) -> None:
    with pytest.raises(ConfigError, match="'f'"):
        Matcher([function(term)])
