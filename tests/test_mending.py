"""What a scanner misread is read as it most likely was; everything else as it stands."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import Predictor
from inference.encoder import EncoderEngine
from inference.mending import LEAST_GAIN, SKELETONS, Mender
from inference.text import clean_view

PIECES = {
    **dict.fromkeys("ابتثجحخدذرزسشصضطظعغفقكلمنهويىة", -14.0),
    **{"▁": -4.0, "▁ال": -6.0, "▁و": -6.0, "ات": -6.0, "▁مفاوضات": -9.0, "مفاوضات": -10.0, "▁الهدنة": -9.0},
    **{"▁استؤنفت": -10.0, "▁أمس": -9.0, "▁الوزارة": -9.0, "▁خارجية": -10.0, "خارجية": -11.0},
}


def mender(*kept: str) -> Mender:
    return Mender(PIECES, keep=lambda word: word in kept)


def read(text: str, *kept: str) -> str:
    return mender(*kept).mend(clean_view(text)).view.text


@pytest.mark.parametrize("broken", ["المفاوصات", "المقاوضات", "المفاوضاث"])
def test_a_word_with_a_misread_letter_is_read_as_the_likely_word(broken: str) -> None:
    assert read(f"استؤنفت {broken} أمس") == "استؤنفت المفاوضات أمس"


def test_what_was_changed_is_told() -> None:
    assert mender().mend(clean_view("استؤنفت المفاوصات أمس")).changes == (("المفاوصات", "المفاوضات"),)


def test_letters_of_another_skeleton_are_no_misreading() -> None:
    assert read("استؤنفت المفاوهات أمس") == "استؤنفت المفاوهات أمس"


def test_a_word_that_the_watch_list_knows_is_left() -> None:
    assert read("استؤنفت المفاوصات أمس", "المفاوصات") == "استؤنفت المفاوصات أمس"


def test_a_text_without_a_misread_word_is_the_very_view_that_came_in() -> None:
    view = clean_view("استؤنفت المفاوضات أمس بين الوف دين")
    assert mender().mend(view).view is view


def test_where_a_word_was_misread_a_word_that_a_space_breaks_is_joined() -> None:
    assert read("الوزارة خار جية المفاوصات") == "الوزارة خارجية المفاوضات"
    assert read("الوزارة خار جية المفاوضات") == "الوزارة خار جية المفاوضات"


def test_places_in_the_mended_text_lead_back_to_the_original() -> None:
    original = "الوزارة  خـار جِية، المفاوصات"
    view = mender().mend(clean_view(original)).view
    for word, stands in (("خارجية", "خـار جِية"), ("المفاوضات", "المفاوصات")):
        start = view.text.index(word)
        first, last = view.span(start, start + len(word))
        assert original[first:last] == stands


def test_other_kinds_of_tokenizer_say_nothing_of_likelihood() -> None:
    wordpiece = json.dumps({"model": {"type": "WordPiece", "vocab": {"[UNK]": 0}}})
    assert Mender.of(wordpiece, keep=lambda _: False) is None


def test_special_tokens_and_signs_are_no_letters_of_words() -> None:
    vocabulary = [["<s>", 0.0], ["<unk>", 0.0], [".", -3.0], *PIECES.items()]
    made = Mender.of(json.dumps({"model": {"type": "Unigram", "vocab": vocabulary}}), keep=lambda _: False)
    assert made is not None
    assert made.mend(clean_view("استؤنفت المفاوصات أمس.")).view.text == "استؤنفت المفاوضات أمس."


@given(st.text(alphabet=st.one_of(st.sampled_from("ابتثجحضصفقوات المـَ،.5٣A ﻣﺎﮐ\ud800"), st.characters())))
def test_any_text_keeps_its_places(text: str) -> None:
    view = clean_view(text)
    mended = mender().mend(view)
    assert len(mended.view.text) == len(mended.view.offsets) <= len(view.text)
    assert (mended.view.offsets[1:] >= mended.view.offsets[:-1]).all()
    assert bool(mended.changes) == (mended.view.text != view.text)


def _likelihood(word: str) -> float:
    """The likeliest pieces, of all ways to cut the word."""
    text, floor = "▁" + word, min(PIECES.values()) - 10
    cuts = itertools.product((False, True), repeat=len(text) - 1)
    best = -1e9
    for cut in cuts:
        ends = [i + 1 for i, c in enumerate(cut) if c] + [len(text)]
        parts = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        best = max(best, sum(PIECES.get(p, floor if len(p) == 1 else -1e9) for p in parts))
    return best


@given(st.text(alphabet="اتضصفقوعم", min_size=3, max_size=7), st.sampled_from(["", "ات"]))
def test_the_search_finds_what_trying_every_letter_finds(start: str, end: str) -> None:
    word = start + end
    tried = {
        word[:i] + other + word[i + 1 :]: 0.0
        for i, letter in enumerate(word)
        for group in SKELETONS
        if letter in group
        for other in group.replace(letter, "")
    }
    tried = {w: _likelihood(w) - _likelihood(word) for w in tried}
    most = max(tried.values(), default=0.0)
    found = read(word)
    if most < LEAST_GAIN - 1e-9:
        assert found == word
    else:
        assert tried[found] == pytest.approx(most)


@pytest.fixture
def knows_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny encoder's tokenizer is of another kind; it is told of the pieces above."""
    monkeypatch.setattr(Mender, "of", lambda tokenizer, *, keep: mender())


@pytest.mark.usefixtures("knows_pieces")
def test_a_prediction_says_what_was_read_otherwise_and_shows_the_words_as_they_stand(here: Path) -> None:
    text = "استؤنفت المفاوصات أمس بين الطرفين."
    mended, plain = Predictor("encoder").predict([text, text.replace("ص", "ض")])
    assert any("المفاوضات for المفاوصات" in note for note in mended.notes)
    assert not plain.notes
    assert mended.topics == plain.topics
    assert all(text[e.start : e.end] == e.text for e in mended.evidence)


@pytest.mark.usefixtures("knows_pieces")
def test_a_predictor_may_be_told_to_read_everything_as_it_stands(here: Path) -> None:
    assert not Predictor("encoder", mend=False).predict("استؤنفت المفاوصات أمس بين الطرفين.").notes


@pytest.mark.usefixtures("knows_pieces")
def test_a_model_may_be_one_that_does_not_mend(here: Path) -> None:
    predictor = Predictor("encoder")
    manifest = replace(predictor.manifest, engine={**predictor.manifest.engine, "mends": False})
    assert EncoderEngine(predictor.folder, predictor.manifest).mender is not None
    assert EncoderEngine(predictor.folder, manifest).mender is None
