"""Splits a pasted news page into its articles and their paragraphs, and leaves the page furniture behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from inference.text import clean

_NEXT_ARTICLE = re.compile(r"^[إاأ]قر[أا] [أاإ]يضا\s*:?$")
_LIST_AFTER = re.compile(r"^(مقالات (مشابهة|ذات صلة)|مواضيع (مشابهة|ذات صلة)|[أا]خبار (مشابهة|ذات صلة)|مرتبط)\s*:?$")
# "شارك" is also what paragraphs about a meeting begin with: "took part".
_SHARE = r"^شارك( هذا)?( الخبر| المقال| الموضوع)?( (على|عبر|مع|من خلال) [^.،]{1,40})?$"
_FURNITURE = re.compile(
    rf"^(المصدر|كلمات دلالية|الكلمات الدلالية|وسوم|سمات|الوسوم)\s*:|اضغط هنا|{_SHARE}|^طباعة$|^تابعونا"
)
_MONTHS = "يناير|فبراير|مارس|أبريل|ابريل|مايو|يونيو|يوليو|أغسطس|اغسطس|سبتمبر|أكتوبر|اكتوبر|نوفمبر|ديسمبر"
_DATE = re.compile(
    rf"^({_MONTHS})\s+\d{{1,2}},?\s+\d{{4}}|^\d{{1,2}}[\s/-]({_MONTHS}|\d{{1,2}})[\s/-]\d{{2,4}}$|^آخر تحديث"
)
_BULLET = re.compile(r"^[•●▪◦*-]\s+")
_TERMINATED = re.compile(r"[.!?؟…:،][\"”»')\]]*$")

_SUBHEADING_WORDS = 8
_LINK_WORDS = 25
# Below this share of terminated lines the page simply does without full stops, and their lack says nothing.
_USUAL_TERMINATION = 0.6


class PartKind(StrEnum):
    """What a line of an article is."""

    HEADLINE = "headline"
    SUBHEADING = "subheading"
    BODY = "body"


@dataclass(frozen=True)
class Part:
    """One line of an article.

    Args:
        kind: headline, subheading or body paragraph.
        text: the line as it stands on the page, outer white space aside.
        line: its number on the page, from 1.
    """

    kind: PartKind
    text: str
    line: int


@dataclass(frozen=True)
class Article:
    """One article of a page, its parts in order."""

    parts: tuple[Part, ...]

    @property
    def paragraphs(self) -> tuple[Part, ...]:
        """The body paragraphs."""
        return tuple(p for p in self.parts if p.kind is PartKind.BODY)


def split_page(text: str) -> list[Article]:
    """Split a page into its articles.

    A page may hold several articles ("إقرأ أيضاً" stands between them). Sources, keywords, link lists, date stamps
    and share buttons are left out; headlines and subheadings are kept as such.

    Args:
        text: the page, one paragraph a line.

    Returns:
        articles that have at least one body paragraph, in order.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if clean(line)]
    terminated = sum(bool(_TERMINATED.search(line)) for _, line in lines)
    strict = terminated >= _USUAL_TERMINATION * len(lines) if len(lines) > 1 else False
    articles: list[Article] = []
    parts: list[Part] = []
    in_list = False
    for number, line in lines:
        plain = clean(line)
        if _NEXT_ARTICLE.match(plain):
            articles.append(Article(tuple(parts)))
            parts, in_list = [], False
        elif _LIST_AFTER.match(plain):
            in_list = True
        elif in_list or _FURNITURE.search(plain) or _DATE.search(plain) or _BULLET.match(plain):
            continue
        elif kind := _kind(plain, strict=strict, first=not parts):
            parts.append(Part(kind, line, number))
    articles.append(Article(tuple(parts)))
    return [article for article in articles if article.paragraphs]


def _kind(line: str, *, strict: bool, first: bool) -> PartKind | None:
    words = len(line.split())
    if _TERMINATED.search(line) or (not strict and words > _SUBHEADING_WORDS):
        return PartKind.BODY
    if first and words <= _LINK_WORDS:
        return PartKind.HEADLINE
    if words <= _SUBHEADING_WORDS:
        return PartKind.SUBHEADING
    # A long line without a full stop amid paragraphs that have one is a row of links to other stories.
    return None if words <= _LINK_WORDS else PartKind.BODY
