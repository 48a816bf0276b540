"""Splitting a pasted news page: the seed page in full, and small pages for one rule each."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.articles import PartKind, split_page

SEED_PAGE = (Path(__file__).parent.parent / "seeds/articles/000_39aa37865dc2bc60.txt").read_text("utf-8")
# Every part that the seed page has, read by hand: line, kind, first words.
SEED_ARTICLES = (
    (
        (1, "body", "بعد رحلة استغرقت"),
        (7, "body", "وقالت وكالة أنباء"),
        (9, "body", "ونشرت الوكالة الروسية،"),
        (11, "body", "وتزامنا، قال بيان"),
        (15, "subheading", "تحذيرات من بيع"),
        (17, "body", "وكان المتحدث باسم"),
        (19, "body", "ونقلت وكالات أنباء"),
        (21, "body", "بيسكوف كان أكد"),
        (23, "body", "وقال بيسكوف الاثنين:"),
        (25, "body", "ونقلت وكالات أنباء"),
        (27, "body", "وقد غادر الزعيم"),
        (29, "body", "وذكرت وكالة الأنباء"),
        (31, "body", "ويعتقد الخبراء أن"),
        (33, "body", "ويعتقد مراقبون أن"),
        (35, "body", "وكان البيت الأبيض"),
        (37, "body", "وقال المتحدث باسم"),
        (39, "body", "ولم يغادر كيم"),
        (41, "body", "وروسيا الحليف التاريخي"),
        (43, "body", "وأشاد بوتين في"),
        (45, "body", "وتعد كوريا الشمالية"),
        (47, "body", "وتخشى دول غربية"),
        (49, "body", "هذا ونقلت وكالة"),
        (51, "body", 'وقال رودينكو "هناك'),
        (53, "body", "وأضاف أن موسكو"),
    ),
    (
        (65, "headline", "رئيس الوزراء المجري"),
        (69, "body", "المستقلة/- زار رئيس"),
        (71, "body", "و تأتي زيارة"),
        (73, "body", "و قال أوربان:"),
        (75, "body", "و تولت المجر"),
        (77, "body", "رئيس الوزراء المجري،"),
        (79, "body", "و قد أحبط"),
        (81, "body", "و قال أوربان"),
        (83, "body", "و في بيان"),
        (85, "body", "و شدد بوتين"),
    ),
)
FIRST = "قال الوزير إن المحادثات بدأت صباح اليوم في العاصمة."
SECOND = "وأضاف أن الوفدين سيلتقيان مرة أخرى الأسبوع المقبل."
THIRD = "وقال مراقبون إن الاتفاق قريب، رغم الخلاف القائم."


def _parts(*lines: str) -> list[list[tuple[str, str]]]:
    return [[(part.kind.value, part.text) for part in article.parts] for article in split_page("\n".join(lines))]


def _texts(*lines: str) -> list[str]:
    return [text for article in _parts(*lines) for _, text in article]


def test_the_seed_page_holds_two_articles_of_23_and_9_paragraphs() -> None:
    assert [len(article.paragraphs) for article in split_page(SEED_PAGE)] == [23, 9]


def test_the_seed_page_has_one_subheading_and_one_headline() -> None:
    kinds = [part.kind for article in split_page(SEED_PAGE) for part in article.parts]
    assert (kinds.count(PartKind.SUBHEADING), kinds.count(PartKind.HEADLINE)) == (1, 1)


@pytest.mark.parametrize("number", [0, 1])
def test_every_part_of_the_seed_page_is_found_in_its_place(number: int) -> None:
    found = [(p.line, p.kind.value, " ".join(p.text.split()[:3])) for p in split_page(SEED_PAGE)[number].parts]
    assert tuple(found) == SEED_ARTICLES[number]


def test_the_paragraphs_of_the_seed_page_stand_as_they_were_pasted() -> None:
    lines = SEED_PAGE.split("\n")
    for article in split_page(SEED_PAGE):
        assert [part.text for part in article.parts] == [lines[part.line - 1].strip() for part in article.parts]


def test_nothing_of_the_seed_pages_furniture_is_kept() -> None:
    kept = "\n".join(part.text for article in split_page(SEED_PAGE) for part in article.parts)
    furniture = (
        "اضغط هنا",
        "المصدر:",
        "كلمات دلالية",
        "إقرأ أيضا",
        "آخر تحديث",
        "مرتبط",
        "مقالات مشابهة",
        "•",
        "تضامنها ودعمها",
    )
    assert [word for word in furniture if word in kept] == []


@pytest.mark.parametrize(
    "furniture",
    [
        "المصدر: وكالات",
        "كلمات دلالية: روسيا بوتين",
        "الوسوم: سياسة",
        "لمزيد من الأخبار العالمية اضغط هنا:",
        "شارك",
        "شارك الخبر",
        "شارك هذا الموضوع على فيسبوك",
        "شارك من خلال البريد",
        "تابعونا على فيسبوك",
        "طباعة",
        "يوليو 5, 2024آخر تحديث: يوليو 5, 2024",
        "5 يوليو 2024",
        "٥/٧/٢٠٢٤",
        "• عنوان خبر آخر من الموقع",
        "- عنوان خبر آخر من الموقع",
        "ـــــ",
        "\u200f\u00a0",
    ],
)
def test_furniture_is_left_out(furniture: str) -> None:
    assert _texts(FIRST, furniture, SECOND) == [FIRST, SECOND]


@pytest.mark.parametrize(
    "paragraph",
    [
        "شارك وزير الخارجية في اجتماع المجلس أمس.",
        "شارك على هامش القمة في لقاء ثلاثي.",
        "المصدر الأمني نفى: لا صحة للخبر.",
        "5 يوليو كان موعد الجولة الثانية.",
    ],
)
def test_a_paragraph_that_only_begins_like_furniture_is_kept(paragraph: str) -> None:
    assert _texts(FIRST, paragraph, SECOND) == [FIRST, paragraph, SECOND]


@pytest.mark.parametrize("divider", ["إقرأ أيضاً:", "اقرأ أيضا", "أقرأ أيضًا:", "إقرأ أيضاً :", "  اقرأ أيضاً"])
def test_read_also_begins_another_article(divider: str) -> None:
    assert _parts(FIRST, divider, SECOND) == [[("body", FIRST)], [("body", SECOND)]]


@pytest.mark.parametrize("heading", ["مقالات مشابهة", "مقالات ذات صلة:", "أخبار ذات صلة", "مواضيع مشابهة", "مرتبط"])
def test_a_list_of_other_stories_is_left_out_to_its_end(heading: str) -> None:
    assert _texts(FIRST, heading, "بوتين يزور الصين.", SECOND) == [FIRST]


def test_a_list_of_other_stories_ends_where_the_next_article_begins() -> None:
    assert _texts(FIRST, "مقالات مشابهة", "بوتين يزور الصين.", "اقرأ أيضاً:", SECOND) == [FIRST, SECOND]


def test_a_short_first_line_without_a_full_stop_is_the_headline() -> None:
    headline = "الرئيس يلتقي نظيره في العاصمة"
    assert _parts(headline, FIRST, SECOND) == [[("headline", headline), ("body", FIRST), ("body", SECOND)]]


def test_a_short_later_line_without_a_full_stop_is_a_subheading() -> None:
    assert _parts(FIRST, "تحذيرات من التصعيد", SECOND)[0][1] == ("subheading", "تحذيرات من التصعيد")


def test_a_row_of_links_amid_paragraphs_is_left_out() -> None:
    links = "كوريا الجنوبية تؤكد تضامنها مع المغرب رئيس كوريا الجنوبية: الهند شريك رئيسي في المنطقة"
    assert _texts(FIRST, links, SECOND, THIRD) == [FIRST, SECOND, THIRD]


def test_a_page_that_does_without_full_stops_keeps_its_paragraphs() -> None:
    lines = [line.rstrip(".") + " بحضور الوسطاء" for line in (FIRST, SECOND, THIRD)]
    assert _parts(*lines) == [[("body", line) for line in lines]]


def test_a_single_paragraph_is_an_article() -> None:
    assert _parts(FIRST) == [[("body", FIRST)]]


def test_a_quotation_mark_after_the_full_stop_ends_a_paragraph_too() -> None:
    quoted = "وقال: «لن نقبل بأقل من ذلك.»"
    assert _parts(FIRST, quoted)[0][1] == ("body", quoted)


@pytest.mark.parametrize("page", ["", "\n \n", "عنوان وحيد قصير", "المصدر: وكالات\nإقرأ أيضاً:"])
def test_a_page_without_a_paragraph_has_no_article(page: str) -> None:
    assert split_page(page) == []


@given(
    lines=st.lists(
        st.sampled_from(
            [FIRST, SECOND, "", "إقرأ أيضاً:", "مرتبط", "• خبر", "المصدر: وكالات", "عنوان قصير", "5 يوليو 2024"]
        )
        | st.text(max_size=30)
    )
)
def test_whatever_the_page_parts_are_its_own_lines_in_order_and_no_article_is_empty(lines: list[str]) -> None:
    page = "\n".join(lines)
    articles = split_page(page)
    parts = [part for article in articles for part in article.parts]
    assert all(article.paragraphs for article in articles)
    assert [p.line for p in parts] == sorted({p.line for p in parts})
    assert all(p.text == page.splitlines()[p.line - 1].strip() for p in parts)
