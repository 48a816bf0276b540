"""What must hold for every text there is: an answer in its bounds, the same alone and in company."""

from __future__ import annotations

import json
import math
import random
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import Prediction, Predictor
from inference.errors import ModelFolderError
from tests import serving, tiny

KINDS = ("weak", "tfidf", "encoder", "cascade")
CHEAP = ("weak", "tfidf")
SENTENCES = (tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT)
WORDS = [w for s in SENTENCES for w in s.split()]
PIECES = [
    *WORDS,
    *("ـ", "ّ", "ً", "\u0653", "\u0654", "\u0670", "ﻻ", "ﷲ", "ﷺ", "ﻣﺠﻠﺲ", "گ", "چ", "پ", "ی", "ۀ", "ے", "٣", "۴", "٪"),
    *("\u202e", "\u2067", "\u2069", "\u200f", "\u200d", "\ufeff", "\x00", "\x1f", "\x85", "\u2028", "\t", "\n", "\r\n"),
    *(
        "\ud800",
        "\udfff",
        "\U0010ffff",
        "\ue000",
        "\ufffe",
        "👩‍👩‍👧",
        "🇸🇦",
        "☪️",
        "💥",
        "e\u0301",
        "ﬁ",
        "Ⅷ",
        "½",
        "ß",
        "İ",
        "ǰ",
    ),
    *(
        "NATO",
        "F-16",
        "https://example.org/خبر",
        "中文",
        "한국",
        "ελληνικά",
        "עברית",
        "हिन्दी",
        "ไทย",
        "𝔘",
        "a" * 300,
        "س" * 300,
    ),
    *("،", "؛", "؟", "!", "…", "«", "»", '"', "\\", "{", "<b>", "%s", "  "),
]


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Predictor]:
    root = tmp_path_factory.mktemp("models")
    return {kind: Predictor(serving.folder(kind, root / kind, root)) for kind in KINDS}


def check(text: str, prediction: Prediction) -> None:
    """Assert what holds for every answer; a failure names the text."""
    assert prediction.text == text
    assert list(prediction.topics) == list(serving.WATCH_LIST.taxonomy.ids), repr(text)
    for topic in prediction.topics.values():
        shares = topic.stance.probabilities
        assert 0.0 <= topic.probability <= 1.0, repr(text)
        assert all(0.0 <= p <= 1.0 for p in shares.values()), repr(text)
        assert math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6), repr(text)
        assert shares[topic.stance.label] == max(shares.values()), repr(text)
    for span in prediction.evidence:
        assert 0 <= span.start < span.end <= len(text), repr(text)
        assert text[span.start : span.end] == span.text, repr(text)
        assert prediction.topics[span.topic].present, repr(text)
        assert math.isfinite(span.weight), repr(text)
    json.dumps(prediction.to_json(), allow_nan=False)


def random_text(rng: random.Random) -> str:
    """A text of pieces that have broken something somewhere, or of any characters at all."""
    length = min(int(rng.expovariate(1 / 8)), 60)
    if rng.random() < 0.2:
        return "".join(chr(rng.randrange(sys.maxunicode + 1)) for _ in range(length))
    return rng.choice(("", " ", " ")).join(rng.choices(PIECES, k=length))


@pytest.mark.parametrize("kind", CHEAP)
@settings(max_examples=50)
@given(seed=st.integers(0, 2**64))
def test_ten_thousand_texts_get_an_answer_in_its_bounds(predictors: dict[str, Predictor], kind: str, seed: int) -> None:
    rng = random.Random(seed)
    texts = [random_text(rng) for _ in range(200)]
    for text, prediction in zip(texts, predictors[kind].predict(texts), strict=True):
        check(text, prediction)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**64))
def test_many_texts_get_an_answer_in_its_bounds_from_the_encoder(predictors: dict[str, Predictor], seed: int) -> None:
    rng = random.Random(seed)
    texts = [random_text(rng) for _ in range(40)]
    for text, prediction in zip(texts, predictors["encoder"].predict(texts), strict=True):
        check(text, prediction)


arabic = st.text(st.sampled_from("ابتثجحخدذرزسشصضطظعغفقكلمنهويىءآأؤإئة ـًٌٍَُِّْ،؛؟.٠١٢٣"), max_size=80)
anything = st.text(st.characters(codec=None, categories=None), max_size=60)  # type: ignore[arg-type]
texts_of_any_kind = st.lists(st.one_of(arabic, anything, st.sampled_from(SENTENCES)), max_size=6)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(texts=texts_of_any_kind)
def test_any_text_gets_an_answer_in_its_bounds(predictors: dict[str, Predictor], kind: str, texts: list[str]) -> None:
    for text, prediction in zip(texts, predictors[kind].predict(texts), strict=True):
        check(text, prediction)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(texts=texts_of_any_kind, order=st.randoms(use_true_random=False))
def test_an_answer_depends_neither_on_the_batch_nor_on_its_order(
    predictors: dict[str, Predictor], kind: str, texts: list[str], order: random.Random
) -> None:
    predictor = predictors[kind]
    alone = [predictor.predict(t) for t in texts]
    places = list(range(len(texts)))
    order.shuffle(places)
    assert predictor.predict(texts) == alone
    assert predictor.predict([texts[i] for i in places]) == [alone[i] for i in places]


@pytest.mark.parametrize("kind", KINDS)
def test_sixty_four_threads_share_one_predictor(predictors: dict[str, Predictor], kind: str) -> None:
    rng = random.Random(7)
    texts = [*SENTENCES, *(random_text(rng) for _ in range(60))]
    # A fresh one: what it remembers is filled while the threads run.
    predictor = Predictor(predictors[kind].folder)
    wanted = [predictors[kind].predict(t) for t in texts]

    def ask(turn: int) -> list[Prediction]:
        first = turn % len(texts)
        return [predictor.predict(texts[(first + i) % len(texts)]) for i in range(4)]

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(128)))
    for turn, found in enumerate(answers):
        assert found == [wanted[(turn + i) % len(texts)] for i in range(4)]


def is_letter(character: str) -> bool:
    """Unicode counts the tatweel as a letter; it only stretches one."""
    return unicodedata.category(character)[0] == "L" and character != "ـ"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(
    lines=st.lists(st.one_of(arabic, anything, st.sampled_from(SENTENCES)), max_size=5),
    end=st.sampled_from("\n\r\u2028"),
)
def test_the_paragraphs_of_an_article_are_its_lines_with_their_places(
    predictors: dict[str, Predictor], kind: str, lines: list[str], end: str
) -> None:
    article = end.join(lines)
    found = predictors[kind].predict_article(article)
    assert found.text == article
    read = [article[p.start : p.end] for p in found.paragraphs]
    wanted = [line.strip() for line in article.splitlines() if any(is_letter(c) for c in line)]
    # Compatibility forms may hold a letter that their own category does not tell.
    assert [line for line in read if line in wanted] == wanted
    assert [p.prediction for p in found.paragraphs] == predictors[kind].predict(read)
    assert all(article[e.start : e.end] == e.text for e in found.evidence)


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_flip(path: Path, *, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_missing_cut_or_altered_is_named(predictors: dict[str, Predictor], kind: str) -> None:
    folder = predictors[kind].folder
    files = [p for p in folder.rglob("*") if p.is_file() and p != folder / "manifest.json"]
    assert len(files) >= 2
    damages = [Path.unlink, damage_cut, *(partial(damage_flip, place=x) for x in (0.0, 0.3, 0.7, 1.0))]
    for path in files:
        whole = path.read_bytes()
        for damage in damages:
            damage(path)
            with pytest.raises(ModelFolderError, match=path.name.replace(".", r"\.")):
                Predictor(folder)
            path.write_bytes(whole)
    assert Predictor(folder).predict(tiny.ARMS) == predictors[kind].predict(tiny.ARMS)


@pytest.mark.parametrize("damage", [Path.unlink, damage_cut], ids=["missing", "cut"])
def test_a_manifest_that_is_missing_or_cut_is_named(predictors: dict[str, Predictor], damage: object) -> None:
    path = predictors["weak"].folder / "manifest.json"
    whole = path.read_bytes()
    damage(path)  # type: ignore[operator]
    with pytest.raises(ModelFolderError, match=r"manifest\.json"):
        Predictor(path.parent)
    path.write_bytes(whole)
