"""Document-level votes: what the rest of an article says of a paragraph."""

import json

import numpy as np
import pyarrow.parquet as parquet
import pytest

from inference.taxonomy import Taxonomy, Topic
from training.config import load_config
from training.documents import document_functions, document_votes, whole_articles
from training.functions import make_applier
from training.labeling import LabelingFunction
from training.topics import load_watch_list
from training.voting import BadRows, cast_votes

FUNCTIONS = (
    LabelingFunction("says_yes", "peace_talks", "lexical", False, (1,)),
    LabelingFunction("says_no", "peace_talks", "lexical", False, (0,)),
    LabelingFunction("another_topic", "diplomacy", "lexical", False, (1,)),
)
YES, NO, SILENT = [1, -1, -1], [-1, 0, -1], [-1, -1, -1]


def votes_of(rows: list[list[int]], articles: list[str]) -> list[int]:
    return document_votes(np.array(rows, dtype=np.int8), articles, FUNCTIONS, topic="peace_talks").tolist()


def test_a_paragraph_among_others_on_the_topic_gets_a_yes():
    assert votes_of([SILENT, YES, YES], ["a", "a", "a"])[0] == 1


def test_its_own_votes_do_not_count():
    assert votes_of([YES, SILENT, SILENT], ["a", "a", "a"])[0] == 0


def test_two_silent_neighbours_say_no_and_one_says_nothing():
    assert votes_of([YES, SILENT, NO], ["a", "a", "a"])[0] == 0
    assert votes_of([YES, SILENT], ["a", "a"])[0] == -1


def test_where_the_article_is_not_known_it_abstains():
    assert votes_of([SILENT, YES, YES, YES], ["", "", "", ""]) == [-1] * 4


def test_articles_do_not_speak_for_each_other():
    assert votes_of([SILENT, SILENT, SILENT, YES], ["a", "a", "a", "b"]) == [0, 0, 0, -1]


def test_a_tie_of_yes_and_no_is_no_yes():
    assert votes_of([SILENT, [1, 0, -1], [1, 0, -1]], ["a", "a", "a"])[0] == 0


def test_votes_on_another_topic_do_not_count():
    assert votes_of([SILENT, [-1, -1, 1], [-1, -1, 1]], ["a", "a", "a"])[0] == 0


def test_each_topic_gets_one_function_that_can_say_yes_and_no():
    taxonomy = Taxonomy((Topic("peace_talks", "س", "p", "t"), Topic("diplomacy", "د", "d", "t")))
    made = document_functions(taxonomy)
    assert [(f.name, f.kind, f.polarity) for f in made] == [
        ("peace_talks.article", "document", (0, 1)),
        ("diplomacy.article", "document", (0, 1)),
    ]


def test_batches_do_not_cut_an_article():
    rows = [{"article": a} for a in "aabbbbccd"]
    assert ["".join(r["article"] for r in b) for b in whole_articles(rows, 3, most=100)] == ["aabbbb", "ccd"]


def test_an_article_without_end_is_cut_all_the_same():
    assert [len(b) for b in whole_articles([{"article": "a"}] * 10, 2, most=4)] == [4, 4, 2]


def test_rows_without_an_article_are_cut_at_the_size():
    assert [len(b) for b in whole_articles([{"article": ""}] * 5, 2, most=4)] == [2, 2, 1]


@pytest.mark.parametrize("batch", [2, 1000])
def test_labelling_a_corpus_in_batches_gives_the_votes_of_labelling_it_whole(tmp_path, monkeypatch, batch):
    talks = "دخلت الهدنة بين الطرفين حيز التنفيذ واستؤنفت مفاوضات السلام برعاية الوسيط"
    texts = [talks, "وتجمع الناس في الساحة عند المساء", talks, "هطلت أمطار غزيرة وأغلقت المدارس أبوابها"]
    articles = ["n1", "n1", "n1", "n2"]
    source = tmp_path / "corpus.jsonl"
    rows = [{"id": str(i), "text": t, "article": a} for i, (t, a) in enumerate(zip(texts, articles, strict=True))]
    source.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    config = load_config("configs/default.yaml", ["labels.document=true", "labels.use_metadata=false"])
    watch_list = load_watch_list(config.topics)
    applier = make_applier(config, watch_list, skip_broken=False)
    monkeypatch.setattr("training.voting.BATCH", batch)
    cast_votes(
        config,
        watch_list,
        applier,
        source=str(source),
        votes_file=tmp_path / "votes.parquet",
        bad=BadRows(tmp_path / "errors.jsonl"),
        skip_broken=False,
    )
    column = [f.name for f in applier.functions].index("peace_talks.article")
    table = parquet.read_table(tmp_path / "votes.parquet")
    assert [row[column] for row in table["votes"].to_pylist()] == [1, 1, 1, -1]
