"""Gold records: every row must be right, and what is wrong is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.errors import InputError
from inference.gold import gold_matrix, read_gold
from inference.taxonomy import Taxonomy, Topic

TAXONOMY = Taxonomy(tuple(Topic(t, t, t, t) for t in ("arms_deal", "peace_talks", "diplomacy")))
GOOD = {"id": "خ1", "text": "رحّب الوزير بالهدنة", "topics": {"peace_talks": "favor", "diplomacy": "neutral"}}


def _file(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), "utf-8")
    return path


def test_a_record_is_read_as_it_stands(tmp_path: Path) -> None:
    (record,) = read_gold(_file(tmp_path, {**GOOD, "split": "clean"}), TAXONOMY)
    assert (record.id, record.text, dict(record.topics), record.split) == ("خ1", GOOD["text"], GOOD["topics"], "clean")


def test_the_id_and_the_split_may_be_left_out(tmp_path: Path) -> None:
    records = read_gold(_file(tmp_path, {"text": "أ", "topics": {}}, {"text": "ب", "topics": {}}), TAXONOMY)
    assert [(r.id, r.split) for r in records] == [("0", "test"), ("1", "test")]


def test_the_matrix_holds_the_stance_of_present_topics_and_minus_one_elsewhere(tmp_path: Path) -> None:
    records = read_gold(
        _file(tmp_path, GOOD, {"text": "x", "topics": {}}, {"text": "x", "topics": {"arms_deal": "against"}}), TAXONOMY
    )
    assert gold_matrix(records, TAXONOMY).tolist() == [[-1, 0, 2], [-1, -1, -1], [1, -1, -1]]


def test_the_matrix_of_no_records_has_a_column_for_every_topic() -> None:
    assert gold_matrix([], TAXONOMY).shape == (0, 3)
    assert gold_matrix([], TAXONOMY).dtype == np.int64


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "topics": {"peace_talk": "favor"}}, "unknown topic 'peace_talk'; did you mean 'peace_talks'?"),
        (
            {"text": "x", "topics": {"رياضة": "favor"}},
            "unknown topic 'رياضة'; valid: arms_deal, diplomacy, peace_talks",
        ),
        (
            {"text": "x", "topics": {"diplomacy": "favour"}},
            "topic 'diplomacy': unknown stance 'favour'; did you mean 'favor'?",
        ),
        (
            {"text": "x", "topics": {"diplomacy": None}},
            "topic 'diplomacy': unknown stance None; valid: against, favor, neutral",
        ),
        ({"text": "x", "topics": ["diplomacy"]}, "'topics' must map topic ids to stances"),
        ({"text": "x"}, "'topics' must map topic ids to stances"),
        ({"txt": "x", "topics": {}}, "no field 'text'; did you mean 'txt'?"),
        ({"text": 5, "topics": {}}, "the field 'text' holds int, not text"),
        ("{", "not valid JSON"),
    ],
)
def test_a_wrong_record_is_told_with_its_line_and_the_nearest_right_name(
    tmp_path: Path, row: Any, message: str
) -> None:
    path = _file(tmp_path, GOOD, "", row)
    with pytest.raises(InputError) as caught:
        read_gold(path, TAXONOMY)
    expected = f"{path}, line 3"
    assert str(caught.value).startswith(expected)
    assert message in str(caught.value)


def test_a_file_without_a_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gold\.jsonl: no gold record in it"):
        read_gold(_file(tmp_path), TAXONOMY)


def test_the_gold_of_the_repository_is_right() -> None:
    records = read_gold(Path(__file__).parent.parent / "seeds/gold.jsonl", TAXONOMY)
    assert len({r.id for r in records}) == len(records) >= 300
    assert {s for r in records for s in r.topics.values()} == {"favor", "against", "neutral"}
