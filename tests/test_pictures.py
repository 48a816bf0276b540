"""Every picture is a PNG that holds what it was given, with Arabic shaped and right to left."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from inference.taxonomy import Taxonomy, Topic
from training import function_pictures, pictures
from training.bootstrap import Interval

TAXONOMY = Taxonomy(
    (
        Topic("arms_deal", "صفقات السلاح", "Arms deals", "الصفقة"),
        Topic("peace_talks", "محادثات السلام", "Peace talks", "المحادثات"),
    )
)
GOLD = np.array([[0, -1], [1, 2], [-1, -1], [2, 0]])
SAID = np.array([[0.9, 0.2], [0.7, 0.8], [0.4, 0.1], [0.3, 0.6]])
VOTES = np.array([[1, 1, -1], [1, 0, -1], [0, 0, 1], [-1, 1, 1]], dtype=np.int8)

DRAWN: dict[str, Callable[[], bytes]] = {
    "confusion": lambda: pictures.stance_confusion(TAXONOMY, gold=GOLD, present=SAID > 0.5, stance=np.maximum(GOLD, 0)),
    "precision and recall": lambda: pictures.precision_recall(TAXONOMY, gold=GOLD >= 0, models={"encoder": SAID}),
    "reliability": lambda: pictures.reliability(TAXONOMY, gold=GOLD >= 0, before=SAID, after=SAID**2),
    "coverage": lambda: function_pictures.function_coverage(
        ["a", "b"], coverage=np.array([0.1, 0.4]), estimated=np.array([0.8, 0.6]), gold=[None, 0.5]
    ),
    "conflicts": lambda: function_pictures.function_conflicts(["a", "b", "c"], votes=VOTES, groups=["x", "x", "y"]),
    "token lengths": lambda: pictures.token_lengths(np.array([5, 30, 60]), window=64),
    "models": lambda: pictures.model_comparison({"encoder (AraBERT)": {"m": Interval(0.6, 0.5, 0.7)}}, {"m": "joint"}),
    "learning curve": lambda: pictures.learning_curve(
        [{"epoch": 0.5, "loss": 1.0, "learning_rate": 1e-4}, {"epoch": 1.0, "eval_loss": 0.8}]
    ),
}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_a_png_with_something_on_it_and_the_same_each_time(name: str) -> None:
    png = DRAWN[name]()
    assert png.startswith(b"\x89PNG")
    assert (pixels(png) < 100).mean() > 0.002
    assert DRAWN[name]() == png


def test_pictures_of_nothing_are_drawn_too() -> None:
    nothing = np.empty((0, 3), dtype=np.int8)
    assert pictures.learning_curve([])
    assert pictures.token_lengths(np.empty(0, dtype=np.int64), window=64)
    assert function_pictures.function_conflicts(["a", "b", "c"], votes=nothing, groups=["x", "x", "x"])
    absent = np.zeros((3, 2), dtype=bool)
    assert pictures.precision_recall(TAXONOMY, gold=absent, models={"encoder": SAID[:3]})


def ink(text: str) -> np.ndarray:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 1))
    figure.text(0.05, 0.3, text, fontsize=30)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    columns = np.flatnonzero((pixels(stream.getvalue()) < 128).any(0))
    return columns


def test_arabic_letters_join() -> None:
    # Joined, the word is one stroke of ink; a non-joiner between the letters breaks it and makes it wider.
    joined, apart = ink("سلمت"), ink("س\u200cل\u200cم\u200cت")
    assert np.diff(joined).max() == 1
    assert np.ptp(apart) > np.ptp(joined)


def test_arabic_runs_from_right_to_left() -> None:
    # An alef is a thin stroke apart from what follows: it must stand at the right end.
    columns = ink("اسس")
    gap = int(np.argmax(np.diff(columns)))
    assert np.diff(columns)[gap] > 1
    assert gap > len(columns) / 2


def test_the_font_of_the_pictures_has_arabic() -> None:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    font = FT2Font(font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans")))
    assert all(ord(c) in font.get_charmap() for c in "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ")


def test_two_functions_conflict_where_both_vote_and_otherwise() -> None:
    counts = function_pictures.conflict_counts(VOTES, ["x", "x", "y"])
    assert counts.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_a_perfect_ranking_has_an_average_precision_of_one() -> None:
    truth = np.array([True, False, True])
    assert pictures._curve(truth, np.array([0.9, 0.1, 0.8]))[2] == pytest.approx(1)


def test_scores_that_are_all_the_same_rank_nothing() -> None:
    recall, precision, average = pictures._curve(np.array([True, False, False, True]), np.full(4, 0.5))
    assert average == pytest.approx(0.5)
    assert recall.tolist() == [0, 1]
    assert precision.tolist() == [0.5, 0.5]
