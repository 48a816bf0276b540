"""The report is one file that needs nothing else, and no text can become markup in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gold import GoldRecord
from inference.taxonomy import Taxonomy, Topic
from training.evaluation import gold_digest, key_of, read_records, score_weak, to_jsonl, to_records
from training.report import Picture, build_report, embed_json
from training.weak import WeakLabels

TAXONOMY = Taxonomy(
    (
        Topic("arms_deal", "صفقات السلاح", "arms deals", "الصفقة"),
        Topic("peace_talks", "محادثات السلام", "peace talks", "المحادثات"),
    )
)
HOSTILE = "</script><script>alert('س')</script><img src=x onerror=alert(1)> <!-- <![CDATA[ & &lt; \u2028 \ud800 صفقة \U0001f680"


class Page(HTMLParser):
    """Collects the elements, what is fetched, the data and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words += data


def gold(text: str = "وقّعت الوزارة صفقة سلاح.") -> list[GoldRecord]:
    return [
        GoldRecord("g1", text, {"arms_deal": "neutral"}),
        GoldRecord("g2", "رحّب بالهدنة.", {"peace_talks": "favor"}),
    ]


def report(text: str = "وقّعت الوزارة صفقة سلاح.", name: str = "encoder (AraBERT)", fact: str = "x") -> str:
    weak = WeakLabels(np.array([[0.9, 0.1], [0.2, 0.3]]), np.full((2, 2, 3), 1 / 3))
    scored = score_weak(name, weak, gold(text), TAXONOMY)
    records = to_records(scored, gold(text), TAXONOMY)
    records[0]["evidence"] = [{"topic": "arms_deal", "start": 0, "end": 4, "text": text[:4], "weight": 1.0}]
    picture = Picture("a.png", "Title & <b>", 'alt "quoted"', b"\x89PNG")
    return build_report(
        title="run", facts={"Run": fact}, taxonomy=TAXONOMY, models=[scored], records=[records], pictures=[picture]
    )


def data_of(page: str) -> dict[str, Any]:
    return dict(json.loads(Page(page).scripts[0]))


def test_nothing_is_fetched_from_anywhere() -> None:
    for tag, attributes in Page(report()).tags:
        assert tag not in ("link", "iframe", "object", "base")
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#"))


def test_every_paragraph_is_there_with_gold_labels_predictions_and_evidence() -> None:
    first, second = data_of(report())["paragraphs"]
    assert first["text"] == gold()[0].text
    assert first["gold"] == {"arms_deal": "neutral"}
    assert first["answers"][0]["topics"]["arms_deal"] == [1, "favor", 0.9]
    assert first["answers"][0]["evidence"] == [["arms_deal", 0, 4]]
    assert second["answers"][0]["topics"]["peace_talks"][0] == 0


def test_the_comparison_names_every_model_with_its_intervals() -> None:
    words = Page(report()).words
    assert "encoder (AraBERT)" in words
    assert re.search(r"0\.\d{3}0\.\d\d to \d\.\d\d", words)


def test_a_hostile_paragraph_stays_text() -> None:
    page = Page(report(HOSTILE))
    assert len(page.scripts) == 2
    assert json.loads(page.scripts[0])["paragraphs"][0]["text"] == HOSTILE
    assert [a for t, a in page.tags if t == "img"] == [{"alt": 'alt "quoted"', "src": "data:image/png;base64,iVBORw=="}]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


@pytest.mark.parametrize("place", ["name", "fact"])
def test_a_hostile_name_stays_text(place: str) -> None:
    page = Page(report(**{place: HOSTILE}))
    assert len(page.scripts) == 2
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert "<script>alert" in page.words


@settings(max_examples=60)
@given(st.text(st.characters(), max_size=40) | st.sampled_from(["<!--<script>", "]]>", "</SCRIPT >"]))
def test_no_text_can_end_the_element_that_holds_the_data(text: str) -> None:
    embedded = embed_json({"text": text})
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded) == {"text": text}


def test_the_page_can_be_written_as_utf8_whatever_a_text_holds() -> None:
    assert report(HOSTILE, name=HOSTILE, fact=HOSTILE).encode("utf-8")


def test_only_our_own_script_may_run() -> None:
    page = Page(report())
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_every_field_of_the_filter_has_a_label_and_every_picture_a_description() -> None:
    tags = Page(report()).tags
    labelled = {a["for"] for t, a in tags if t == "label"}
    assert {a["id"] for t, a in tags if t in ("select", "input")} == labelled
    assert {"model", "topic", "stance", "kind"} <= labelled
    assert all(a.get("alt") for t, a in tags if t == "img")


def test_a_change_of_the_filter_is_announced() -> None:
    assert any(a.get("aria-live") == "polite" for _, a in Page(report()).tags)


def test_paragraphs_are_set_right_to_left_and_never_as_markup() -> None:
    script = Page(report()).scripts[1]
    assert 'dir: "rtl"' in script
    assert "innerHTML" not in script


def test_predictions_are_read_back_as_they_were_written(tmp_path: Any) -> None:
    weak = WeakLabels(np.array([[0.9, 0.1], [0.2, 0.3]]), np.full((2, 2, 3), 1 / 3))
    rows = to_records(score_weak("label model", weak, gold(HOSTILE), TAXONOMY), gold(HOSTILE), TAXONOMY)
    file = tmp_path / "label_model.jsonl"
    file.write_text(to_jsonl(rows), "utf-8")
    assert read_records(file) == rows


def test_a_models_key_is_its_name_without_what_it_was_made_of() -> None:
    assert [key_of(n) for n in ("encoder (AraBERT)", "TF-IDF", "majority vote")] == [
        "encoder",
        "tfidf",
        "majority_vote",
    ]


def test_the_digest_of_gold_changes_with_a_label_and_not_with_an_id() -> None:
    one = gold()
    renamed = [GoldRecord("other", one[0].text, one[0].topics), one[1]]
    relabelled = [GoldRecord("g1", one[0].text, {"arms_deal": "favor"}), one[1]]
    assert gold_digest(one) == gold_digest(renamed)
    assert gold_digest(one) != gold_digest(relabelled)
