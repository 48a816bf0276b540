"""What AraBERT reads: its published preprocessing on recorded cases, and where Rasd differs on purpose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.encoder_text import ARABERT, CLEAN, encoder_view
from inference.text import clean

# What ArabertPreprocessor("bert-base-arabertv02") of arabert 1.0.1 gave.
RECORDED = [
    ("وقّعَتِ الوزارةُ اتّفاقاً.", "وقعت الوزارة اتفاقا ."),
    ("الســـلام عليكم", "السلام عليكم"),
    ("ولد في ١٩٩٥م وعاد في 2015م.", "ولد في 1995 م وعاد في 2015 م ."),
    ("قال (الوزير): إن الصفقة بلغت 3.5 مليار دولار!", "قال ( الوزير ) : إن الصفقة بلغت 3 . 5 مليار دولار !"),
    ("تفاصيل على https://example.com/news?id=5 اليوم", "تفاصيل على [رابط] اليوم"),
    ("راسلنا على desk@example.org أو عبر @newsdesk", "راسلنا على [رابط] أو عبر [مستخدم]"),
    ("رائعععععع جداااا!!!!!!", "رائعع جداا ! !"),
    ("<p>استقبل الوزير<br />نظيره</p> &quot;اليوم&quot;", 'استقبل الوزير نظيره " اليوم "'),
    ("العام 2014/2015", "العام 2014 - 2015"),
    ("«الهدنة» – كما قال – “مستمرة”", "« الهدنة » – كما قال – “ مستمرة ”"),
    ("طائرات F-16 و25 صاروخا", "طائرات F - 16 و 25 صاروخا"),
    ("خبر 😀 عاجل", "خبر عاجل"),
    ("أحمد إلى آمن مؤمن رئيس ماء مدرسة مستشفى", "أحمد إلى آمن مؤمن رئيس ماء مدرسة مستشفى"),
    ("مقاتلاتF16جديدة", "مقاتلاتF 16 جديدة"),
    ("بنسبة ٪50 و50%", "بنسبة ٪ 50 و 50 %"),
]
# The same for what it loses, and what Rasd gives instead.
DIFFERENT = [
    ("ﻣﺠﻠﺲ الأمن", "الأمن", "مجلس الأمن"),
    ("کابل وگروه", "ابل و روه", "كابل وگروه"),
    ("أ\u200fب\u200cج\ufeff", "أ ب ج", "أبج"),
    ("انتهت…", "انتهت …", "انتهت . ."),
]


@pytest.mark.parametrize(("text", "published"), RECORDED)
def test_the_published_preprocessing_is_matched(text: str, published: str) -> None:
    assert encoder_view(ARABERT, text).text == published


@pytest.mark.parametrize(("text", "published", "ours"), DIFFERENT)
def test_what_the_published_preprocessing_loses_is_kept(text: str, published: str, ours: str) -> None:
    assert encoder_view(ARABERT, text).text == ours != published


def test_other_encoders_read_the_clean_view() -> None:
    for text, _ in RECORDED:
        assert encoder_view(CLEAN, text).text == clean(text)


def test_a_word_put_in_covers_what_it_stands_for() -> None:
    text = "تفاصيل على https://example.com/a اليوم"
    view = encoder_view(ARABERT, text)
    start = view.text.index("[رابط]")
    first, last = view.span(start, start + len("[رابط]"))
    assert text[first:last] == "https://example.com/a"
    first, last = view.span(view.text.index("اليوم"), len(view.text))
    assert text[first:last] == "اليوم"


@given(st.text(alphabet=st.sampled_from("اب ت12a.@/<>&;ـ…ﻣ\u200f\n!"), max_size=60))
def test_every_character_points_into_the_text_and_in_order(text: str) -> None:
    view = encoder_view(ARABERT, text)
    assert len(view.offsets) == len(view.text)
    assert (view.offsets[1:] >= view.offsets[:-1]).all()
    assert all(0 <= o < len(text) for o in view.offsets.tolist())
    assert view.text == " ".join(view.text.split())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of text"):
        encoder_view("arabertv2", "نص")
