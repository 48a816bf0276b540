"""Views of many texts at once are the views of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference.text import clean_view, folded_view
from inference.views import views

PIECES = [
    "",
    " ",
    "  نص ",
    "ـ",
    "ّ",
    "\u0654",
    "\u0653ا",
    "ﷺ",
    "¨",
    "\ud800",
    "\udfff",
    "\ue0fe",
    "\n",
    "أهلاً وسهلاً",
    "😀 x",
]
some_texts = st.lists(
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=5).map("".join), st.text(max_size=20)), max_size=8
)


@given(texts=some_texts, fold=st.booleans())
def test_a_text_has_the_same_view_in_company_as_alone(texts: list[str], fold: bool) -> None:
    make = folded_view if fold else clean_view
    found = views(texts, fold=fold)
    assert [v.text for v in found] == [make(t).text for t in texts]
    assert [v.length for v in found] == [len(t) for t in texts]
    assert [v.offsets.tolist() for v in found] == [make(t).offsets.tolist() for t in texts]


def test_more_texts_than_are_viewed_together_keep_their_order() -> None:
    texts = [f"نص {i}" for i in range(1000)]
    assert [v.text for v in views(texts, fold=True)] == [folded_view(t).text for t in texts]


def test_a_long_text_does_not_take_the_others_with_it() -> None:
    texts = ["نص", "س" * 500_000, "آخر"]
    assert [len(v.text) for v in views(texts, fold=False)] == [2, 500_000, 3]
