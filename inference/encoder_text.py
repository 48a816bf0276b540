"""Text as a family of encoders was pretrained to read it, with the way back to the original characters.

Most read the clean view as it is. AraBERT v02 was pretrained on text that its own preprocessor had gone over (aub-mind/
arabert, ``preprocess.py``): links, addresses and mentions have words of their own, markup is gone, a character stands
twice in a row at most, and punctuation and numbers stand alone. That is done here on top of the clean view, so it
differs where the published code loses text: presentation forms and Persian letters are kept as the Arabic letters that
they are, and bidi marks vanish without splitting a word.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from re import Match, Pattern

import numpy as np

from inference.text import View, clean_view

CLEAN, ARABERT = "clean", "arabert"
KINDS = (CLEAN, ARABERT)

_LINK = re.compile(
    r"(?:https?://|www\.)\S+|[-a-zA-Z0-9@:%._+~#=]{2,256}\.[a-z]{2,6}\b[-a-zA-Z0-9@:%_+.~#?&/=]*", re.ASCII
)
_ADDRESS = re.compile(r"\S+@\S+")
_MENTION = re.compile(r"@\w+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|\w{2,31});")
_MARKUP = re.compile(r"</?[^<>]+>")
_REPEATED = re.compile(r"(\D)\1{2,}", re.DOTALL)
_ARABIC = "\u0621-\u063a\u0641-\u064a\u0671-\u06d3"
_ALONE = re.compile(rf"[^0-9{_ARABIC}a-zA-Z\[\] ]")
_BORDER = re.compile(rf"(?<=[0-9])(?=[{_ARABIC}])|(?<=[{_ARABIC}a-zA-Z])(?=[0-9])")
_UNKNOWN = re.compile(rf"[^0-9{_ARABIC}\u0660-\u066c\u06d4a-zA-Z\[\]!\"#$%'()*+,.:;\-<=·>?@\\^_`{{|}}~—٪’،؟“؛”»«–…‘ ]")
_SPACES = re.compile(r" {2,}|^ | $")

_STEPS: tuple[tuple[Pattern[str], Callable[[Match[str]], str]], ...] = (
    (_ENTITY, lambda m: html.unescape(m[0])),
    (_LINK, lambda _: " [رابط] "),
    (_ADDRESS, lambda _: " [بريد] "),
    (_MENTION, lambda _: " [مستخدم] "),
    (_MARKUP, lambda _: " "),
    (_REPEATED, lambda m: m[1] * 2),
    (_ALONE, lambda m: f" {m[0]} "),
    (_BORDER, lambda _: " "),
    (re.compile("/"), lambda _: "-"),
    (_UNKNOWN, lambda _: " "),
    (_SPACES, lambda m: " " if m.start() and m.end() < len(m.string) else ""),
)


def encoder_view(kind: str, text: str) -> View:
    """Give the view that an encoder reads.

    Args:
        kind: one of :data:`KINDS`.
        text: any string.

    Raises:
        ValueError: where there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of text {kind!r}; one of {', '.join(KINDS)} is wanted")
    view = clean_view(text)
    if kind == ARABERT:
        for pattern, by in _STEPS:
            view = _replace(view, pattern, by)
    return view


def _replace(view: View, pattern: Pattern[str], by: Callable[[Match[str]], str]) -> View:
    """Replace matches; what is put in comes from the first character of the match, its end from the last."""
    pieces: list[str] = []
    offsets: list[np.ndarray] = []
    place = 0
    for match in pattern.finditer(view.text):
        new = by(match)
        pieces += [view.text[place : match.start()], new]
        own = np.full(len(new), view.offsets[min(match.start(), len(view.offsets) - 1)])
        if match.end() > match.start() and len(new):
            # The last letter of a word that is put in bears the match's end, so that a span covers all of it.
            own[len(new.rstrip()) - 1 if new.strip() else -1] = view.offsets[match.end() - 1]
        offsets += [view.offsets[place : match.start()], own]
        place = match.end()
    if not pieces:
        return view
    pieces.append(view.text[place:])
    offsets.append(view.offsets[place:])
    return View("".join(pieces), np.maximum.accumulate(np.concatenate(offsets)), view.length)
