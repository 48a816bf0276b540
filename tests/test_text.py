"""The clean and the folded view of a text, and the way back to the original's characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.text import View, arabic_share, clean, clean_view, fold, folded_view

# Any code point, lone surrogates included, with what Arabic pages are full of made frequent.
_OFTEN = "اأإآٱىيیةهھۀؤئكکلـ ًَُّْٰٕٓٔﷺﻻﻼﷲ٠٣۴9\u200c\u200f\u202b\ufeff\u00a0 \t\n.،؟aÀİẞ😀\U0001ee00\U000e0041\ud800\udcff"
TEXTS = st.text(st.one_of(st.sampled_from(_OFTEN), st.characters(exclude_categories=())), max_size=40)
ViewOf = Callable[[str], View]
VIEWS = pytest.mark.parametrize("view", [clean_view, folded_view])


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("أَعْلَنَ الرَّئِيسُ", "أعلن الرئيس"),
        ("الســـــلام", "السلام"),
        ("رحمٰن", "رحمن"),
        ("قرآن إلى أمس مؤتمر رئيس مدرسة على", "قرآن إلى أمس مؤتمر رئيس مدرسة على"),
        ("ﺍﻟﺴﻼﻡ", "السلام"),
        ("ﷺ", "صلى الله عليه وسلم"),
        ("کشور ایرانی", "كشور ايراني"),
        ("ہندوستان کی", "هندوستان كي"),
        ("خانۀ ملت", "خانه ملت"),
        ("١٢٣ و۴۵۶ و789", "123 و456 و789"),
        ("می\u200cخواهم", "ميخواهم"),
        ("\u202bنص\u202c عربي\u200f", "نص عربي"),
        ("\ufeffخبر", "خبر"),
        (" واحد\u00a0\u2003اثنان\n\tثلاثة ", "واحد اثنان ثلاثة"),
        ("قبل\x00بعد\x1f", "قبلبعد"),
        ("قبل\ud800بعد", "قبل بعد"),
        ("Ｎａｔｏ ½ ﬁ", "Nato 1⁄2 fi"),
        ("𝟗 \U0001ee00\U0001ee01 x\U000e0041", "9 اب x"),
        ("Café Москва 東京 😀", "Café Москва 東京 😀"),
        ("", ""),
        (" \u200f\u064b ـ ", ""),
    ],
)
def test_the_clean_view_is_what_a_reader_would_type(written: str, cleaned: str) -> None:
    assert clean(written) == cleaned


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("أحمد إلى آمن ٱلله", "احمد الي امن الله"),
        ("مدرسة مستشفى", "مدرسه مستشفي"),
        ("مؤمن رئيس", "مومن رييس"),
        ("سماء", "سماء"),
        ("NATO Ünal İstanbul", "nato ünal i̇stanbul"),
    ],
)
def test_the_folded_view_joins_the_spellings_of_a_letter(written: str, folded: str) -> None:
    assert fold(written) == folded


def test_a_hamza_written_as_a_mark_of_its_own_makes_the_same_letter() -> None:
    text = "أكد رئيس مؤتمر الآن إلى مسؤول"
    assert clean(unicodedata.normalize("NFD", text)) == text


def test_a_letter_is_the_same_in_every_presentation_form() -> None:
    forms = [chr(c) for c in range(0xFE8D, 0xFEF5)]
    assert [clean(f) for f in forms] == [unicodedata.normalize("NFKC", f).replace("ـ", "") for f in forms]


def test_a_span_of_a_view_points_at_the_original_with_all_its_marks() -> None:
    text = "  قال: إنَّ الصَّفْقَةَ تمّت"
    view = folded_view(text)
    start = view.text.index("الصفقه")
    a, b = view.span(start, start + len("الصفقه"))
    assert text[a:b] == "الصَّفْقَة"


def test_a_span_inside_a_ligature_gives_the_whole_ligature() -> None:
    text = "النبي ﷺ قال"
    view = clean_view(text)
    start = view.text.index("الله")
    assert text[slice(*view.span(start, start + 4))] == "ﷺ"


def test_an_empty_span_lies_where_its_character_does() -> None:
    view = clean_view("  خبر ")
    assert (view.span(0, 0), view.span(2, 1), view.span(3, 3)) == ((2, 2), (4, 4), (6, 6))


@VIEWS
@given(text=TEXTS)
def test_offsets_stay_in_the_text_and_never_go_back(view: ViewOf, text: str) -> None:
    made = view(text)
    assert made.length == len(text)
    assert made.offsets.shape == (len(made.text),)
    assert (np.diff(made.offsets) >= 0).all()
    assert all(0 <= o < len(text) for o in made.offsets)


@VIEWS
@given(text=TEXTS)
def test_a_view_holds_no_surrogate_no_control_and_single_inner_spaces_only(view: ViewOf, text: str) -> None:
    made = view(text).text
    assert not {unicodedata.category(c) for c in made} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert made == " ".join(made.split())
    made.encode("utf-8")


@VIEWS
@given(text=TEXTS)
def test_every_character_of_a_view_comes_from_the_one_its_offset_names(view: ViewOf, text: str) -> None:
    made = view(text)
    for char, offset in zip(made.text, made.offsets, strict=True):
        # The mark that a hamza or madda may be written as stands right after its letter.
        alone, pair = view(text[offset]).text, view(text[offset : offset + 2]).text
        assert char == " " or char in alone or char == pair[0]


@pytest.mark.parametrize("function", [clean, fold])
@given(text=TEXTS)
@example("خانۀ")
@example("ΑΣ")
def test_doing_it_twice_changes_nothing(function: Callable[[str], str], text: str) -> None:
    once = function(text)
    assert function(once) == once


@given(text=TEXTS)
def test_folding_needs_no_cleaning_first(text: str) -> None:
    assert fold(clean(text)) == fold(text)


def test_what_holds_for_all_text_holds_for_every_code_point_there_is() -> None:
    # One long text, the code points kept apart: the characters of a text are mapped independently of each other.
    text = "x".join(chr(c) for c in range(0x20000))
    cleaned, folded = clean(text), fold(text)
    assert (clean(cleaned), fold(folded), fold(cleaned)) == (cleaned, folded, folded)
    assert not {unicodedata.category(c) for c in cleaned + folded} & {"Cc", "Cf", "Cs"}


@pytest.mark.parametrize(
    ("text", "share"),
    [("خبر عاجل", 1.0), ("ab خب", 0.5), ("ﺥﺏ", 1.0), ("گچپژ", 1.0), ("NATO", 0.0), ("123 ...", 0.0), ("", 0.0)],
)
def test_the_arabic_share_counts_letters_only(text: str, share: float) -> None:
    assert arabic_share(text) == share
