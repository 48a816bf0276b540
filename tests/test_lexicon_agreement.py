"""Every way of running the lexical rules gives what the rules written out plainly give."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inference.lexicon import ABSTAIN, LexicalFunction, Matcher, tokenise
from tests.plain_matcher import plain_matches
from tests.tiny import ROOT
from training.topics import load_watch_list

STEMS = ["صفقة", "سلاح", "v:رفض", "v:التقي", "=سلم", "تسلي*", "الحل", "التزام", "معارض", "5", "ألمانيا"]
TOKENS = [
    *(
        [
            "الصفقة",
            "صفقتها",
            "السلاح",
            "بسلاح",
            "رفضت",
            "يرفضون",
            "التقت",
            "سلم",
            "تسليح",
            "للحل",
            "الحل",
            "الالتزام",
            "معارضو",
            "5",
            "لألمانيا",
            "لم",
            "لا",
            "نفى",
        ]
    ),
    *(
        [
            "طقس",
            "٣",
            "دَعَا",
            "سـلاح",
            "ﺳﻼﺡ",
            "F-16",
            "…",
            ".",
            "،",
            "؟",
            "؛",
            "...",
            ".»",
            "د.",
            "\n",
            "\u200f",
            "😀",
            "�",
            "½",
            "ﷺ",
            "_",
            "..",
            "𝐀",
            "İ",
            "a.b",
            "الاستراتيجيات",
        ]
    ),
]
word_strategy = st.sampled_from([*STEMS, "(صفقة|سلاح)", "(لا|تسلي*|v:رفض)", "(صفقة سلاح|لا)"])
gap_strategy = st.sampled_from([" ", " ", " .. ", " ..1 ", " ..5 "])


@st.composite
def term_strategy(draw: st.DrawFn) -> str:
    term = draw(word_strategy)
    for _ in range(draw(st.integers(0, 2))):
        term += draw(gap_strategy) + draw(word_strategy)
    return term


terms_strategy = st.lists(term_strategy(), min_size=1, max_size=4).map(tuple)


@st.composite
def function_strategy(draw: st.DrawFn) -> LexicalFunction:
    key = draw(st.sampled_from(["terms", "terms", "terms", "absent"]))
    lists: dict[str, Any] = {key: draw(terms_strategy)}
    if key == "terms":
        lists |= {k: draw(st.just(()) | terms_strategy) for k in ("near", "unless")}
    return LexicalFunction(
        name="f",
        topic="t",
        vote=draw(st.sampled_from(["yes", "no", "against"])),
        within=draw(st.integers(1, 8)),
        unless_within=draw(st.integers(0, 6)),
        negation=draw(st.sampled_from(["ignore", "skip", "only"])),
        at_least=draw(st.integers(1, 3)),
        **lists,
    )


text_strategy = st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join) | st.text(
    st.sampled_from("صفقةسلاح .؟؛»\"'د5x_ـَ\u200d…½ﻻ😀\ud800\n"), max_size=40
)


@settings(max_examples=150, deadline=None)
@given(st.lists(function_strategy(), min_size=1, max_size=5), st.lists(text_strategy, max_size=6))
def test_all_ways_of_matching_agree_with_the_plain_rules(functions: list[LexicalFunction], texts: list[str]) -> None:
    matcher = Matcher(functions)
    expected = np.full((len(texts), len(functions)), ABSTAIN)
    for row, text in enumerate(texts):
        matches = matcher.match(tokenise(text))
        assert matches == plain_matches(functions, text)
        for match in matches:
            expected[row, match.function] = functions[match.function].vote_value
    assert matcher.votes(texts).tolist() == expected.tolist()


@settings(max_examples=200, deadline=None)
@example(["\U0001d608", "\U0001ee00 \U0001f100"])
@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_text_at_all_can_be_voted_on(texts: list[str]) -> None:
    matcher = Matcher(
        [
            LexicalFunction("f", "t", "yes", ("صفقة .. سلاح", "a*", "ا*")),
            LexicalFunction("g", "t", "no", absent=("سلاح",)),
        ]
    )
    for row, text in zip(matcher.votes(texts), texts, strict=True):
        fired = {m.function for m in matcher.match(tokenise(text))}
        assert {j for j, vote in enumerate(row) if vote != ABSTAIN} == fired


PARAGRAPHS = [
    "أعلنت وزارة الدفاع الفرنسية أمس أنها وقّعت صفقة لبيع ٣٦ مقاتلة من طراز «رافال» إلى الهند، فيما رفض المعارضون تصدير"
    " الأسلحة إلى مناطق النزاع. وقال د. محمد: «لا حوار مع من يهدّد السلام.» وأضاف أن حظر السلاح خطوة مهمة.",
    "استقبل الملك في الريــاض نظيره الأردني، وبحثا العلاقات الثنائية بين البلدين الشقيقين؛ ثم غادر العاصمة في ختام زيارته"
    " الرسمية... ونفت الخارجية الإيرانية أن يكون السفير قد استُدعي، ولم تندّد بالعقوبات المفروضة على طهران!",
    "ﺍﺗﻔﻖ ﺍﻟﻄﺮﻓﺎﻥ ﻋﻠﻰ ﻭﻗﻒ ﺇﻃﻼﻕ ﺍﻟﻨﺎﺭ، والتقت الوفود في جنیف برعایة الأمم المتحدة… مجموعة 5+1 و F-16 و İstanbul 😀",
    "فاز الهلال بهدفين في المباراة وسجّل اللاعب هدف الحسم، وقال المدرب إن البطولة لم تنتهِ بعد.",
    "",
]


def test_the_shipped_watch_list_agrees_with_the_plain_rules() -> None:
    functions = load_watch_list(ROOT / "configs" / "topics.yaml").functions
    matcher = Matcher(functions)
    votes = matcher.votes(PARAGRAPHS)
    for row, text in zip(votes, PARAGRAPHS, strict=True):
        expected = plain_matches(list(functions), text)
        assert matcher.match(tokenise(text)) == expected
        values = {m.function: functions[m.function].vote_value for m in expected}
        assert row.tolist() == [values.get(j, ABSTAIN) for j in range(len(functions))]
    assert len(set(map(tuple, votes.tolist()))) == len(PARAGRAPHS)
