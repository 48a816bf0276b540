"""Labelling functions of every kind, and the applier that runs them over records."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from inference.errors import ConfigError, InputError, LabelingFunctionError
from inference.lexicon import LexicalFunction
from inference.taxonomy import Taxonomy, Topic
from training.labeling import Applier, LabelingFunction, labeling_function, python_functions
from training.topics import MetadataSpec, WatchList

TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("diplomacy", "", "", "")))
WATCH_LIST = WatchList(
    TAXONOMY,
    (
        LexicalFunction("named_deal", "arms_deal", "yes", terms=("صفقة",)),
        LexicalFunction("condemned", "arms_deal", "against", terms=("v:أدان",)),
        LexicalFunction("no_embassy", "diplomacy", "no", absent=("سفارة",)),
    ),
    (MetadataSpec(name="brief", field="brief"),),
)
DEAL = {"id": "خ1", "text": "أدانت الصحيفة صفقة الأسلحة", "brief": {"arms_deal": "against"}}
EMBASSY = {"id": "خ2", "text": "أعيد فتح السفارة"}


def _votes(applier: Applier, *records: dict[str, Any]) -> dict[str, list[int]]:
    matrix = applier.apply(records).matrix
    return {f.name: matrix[:, j].tolist() for j, f in enumerate(applier.functions)}


def _python(function: Callable[[Any], str | None], **options: Any) -> LabelingFunction:
    return labeling_function("diplomacy", name="own", **options)(function)


# Kinds


def test_lexical_functions_vote_by_the_text_alone() -> None:
    votes = _votes(Applier(WATCH_LIST, use_metadata=False), DEAL, EMBASSY)
    assert votes == {"named_deal": [1, -1], "condemned": [1, -1], "no_embassy": [0, -1]}


def test_a_brief_votes_on_every_topic_and_on_the_stance_of_those_it_names() -> None:
    votes = _votes(Applier(WATCH_LIST), DEAL, EMBASSY, {"text": "خبر", "brief": {}})
    brief = {name: column for name, column in votes.items() if ".brief" in name}
    assert brief == {
        "arms_deal.brief": [1, -1, 0],
        "arms_deal.brief.stance": [1, -1, -1],
        "diplomacy.brief": [0, -1, 0],
        "diplomacy.brief.stance": [-1, -1, -1],
    }


@pytest.mark.parametrize("brief", [None, "arms_deal", ["arms_deal"], 3])
def test_a_brief_that_is_no_mapping_abstains(brief: object) -> None:
    assert _votes(Applier(WATCH_LIST), {"text": "خبر", "brief": brief})["arms_deal.brief"] == [-1]


def test_a_field_of_a_named_value_gives_the_votes_written_beside_it() -> None:
    desk = MetadataSpec(
        name="desk", field="desk", equals=("رياضة", "7"), votes={"arms_deal": "no", "diplomacy": "neutral"}
    )
    applier = Applier(WatchList(TAXONOMY, WATCH_LIST.functions, (desk,)))
    votes = _votes(applier, *({"text": "خبر", "desk": value} for value in ("رياضة", 7, "سياسة")), {"text": "خبر"})
    assert (votes["arms_deal.desk"], votes["diplomacy.desk"]) == ([0, 0, -1, -1], [2, 2, -1, -1])


def test_metadata_takes_no_part_where_it_is_not_wanted() -> None:
    assert {f.kind for f in Applier(WATCH_LIST, use_metadata=False).functions} == {"lexical"}


def test_a_python_function_sees_the_whole_record_and_may_abstain() -> None:
    own = _python(lambda r: "yes" if r["source"] == "وكالة" else None)
    assert _votes(Applier(WATCH_LIST, extra=[own]), {"text": "", "source": "وكالة"}, {"text": "", "source": ""})[
        "own"
    ] == [1, -1]


@pytest.mark.parametrize(
    ("votes", "is_stance", "polarity"),
    [(("yes", "no"), False, (0, 1)), (("yes",), False, (1,)), (("neutral", "favor"), True, (0, 2))],
)
def test_the_decorator_notes_what_a_function_can_say(
    votes: tuple[str, ...], is_stance: bool, polarity: tuple[int, ...]
) -> None:
    @labeling_function("arms_deal", votes=votes, accuracy=0.6)
    def mentions_a_source(record: Any) -> str | None:
        return None

    made = mentions_a_source
    assert (made.name, made.topic, made.kind, made.accuracy) == ("mentions_a_source", "arms_deal", "python", 0.6)
    assert (made.is_stance, made.polarity) == (is_stance, polarity)


@pytest.mark.parametrize("votes", [(), ("yes", "favor"), ("maybe",), "yes"])
def test_votes_of_no_one_kind_are_refused(votes: Any) -> None:
    with pytest.raises(ConfigError, match="give some of"):
        labeling_function("arms_deal", votes=votes)


def test_python_functions_are_collected_from_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("desk_rules")
    module.own = _python(lambda r: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "desk_rules", module)
    assert [f.name for f in python_functions(["desk_rules"])] == ["own"]


@pytest.mark.parametrize(
    ("module", "message"),
    [("no_such_rules", "'no_such_rules' cannot be imported"), ("json", "no labelling function in 'json'")],
)
def test_a_module_without_functions_is_named(module: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        python_functions([module])


# What goes wrong


def _raises(record: Any) -> str | None:
    return "yes" if record["source"] else None


def test_a_function_that_raises_stops_the_run_and_is_told_with_its_paragraph_and_cause() -> None:
    applier = Applier(WATCH_LIST, extra=[_python(_raises)])
    with pytest.raises(LabelingFunctionError) as caught:
        applier.apply([{**DEAL, "source": ""}, EMBASSY])
    assert str(caught.value).startswith("labelling function 'own' failed on paragraph 'خ2': KeyError: 'source'; ")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_function_that_raises_can_be_left_out_and_is_told_then_too() -> None:
    applier = Applier(WATCH_LIST, extra=[_python(_raises)], skip_broken=True)
    votes = applier.apply([{**DEAL, "source": "وكالة"}, EMBASSY, {**DEAL, "source": "وكالة"}])
    ((name, row, cause),) = [(b.name, b.row, b.cause) for b in votes.broken]
    assert (name, row, cause) == ("own", "خ2", "KeyError: 'source'")
    assert votes.matrix[:, -1].tolist() == [-1, -1, -1]
    assert votes.matrix[:, 0].tolist() == [1, -1, 1]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_where_records_are_parted_into_chunks_makes_no_difference(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    records = [DEAL, EMBASSY, {**DEAL, "source": "وكالة"}, EMBASSY, DEAL]
    applier = Applier(WATCH_LIST, extra=[_python(_raises)], skip_broken=True)
    whole = applier.apply(records)
    monkeypatch.setattr("training.labeling._CHUNK", chunk)
    parted = applier.apply(iter(records))
    assert parted.matrix.tolist() == whole.matrix.tolist()
    assert parted.broken == whole.broken


def test_a_broken_function_is_not_called_again() -> None:
    calls: list[str] = []

    def count(record: Any) -> str | None:
        calls.append(record["id"])
        raise ValueError("لا أعرف")

    Applier(WATCH_LIST, extra=[_python(count)], skip_broken=True).apply([DEAL, EMBASSY])
    assert calls == ["خ1"]


@pytest.mark.parametrize("vote", ["maybe", "favor", True, 1, ["yes"]])
def test_what_is_no_vote_is_told_with_what_would_be(vote: Any) -> None:
    with pytest.raises(LabelingFunctionError, match="which is no vote; give one of no, yes or None"):
        Applier(WATCH_LIST, extra=[_python(lambda r: vote)]).apply([DEAL])


def test_a_vote_that_the_function_did_not_announce_is_refused() -> None:
    with pytest.raises(LabelingFunctionError, match=r"gave 'no', which its own votes=\['yes'\] leaves out"):
        Applier(WATCH_LIST, extra=[_python(lambda r: "no", votes=("yes",))]).apply([DEAL])


def test_a_brief_with_an_unknown_stance_is_told_not_taken_for_silence() -> None:
    with pytest.raises(
        LabelingFunctionError, match=r"'arms_deal\.brief\.stance' failed on paragraph 'خ1': .*'hostile'"
    ):
        Applier(WATCH_LIST).apply([{**DEAL, "brief": {"arms_deal": "hostile"}}])


@pytest.mark.parametrize("name", ["named_deal", "arms_deal.brief"])
def test_two_functions_of_one_name_are_refused(name: str) -> None:
    own = labeling_function("diplomacy", name=name)(lambda r: None)
    with pytest.raises(ConfigError, match=f"two labelling functions are called '{name}'"):
        Applier(WATCH_LIST, extra=[own])


def test_a_function_on_an_unknown_topic_is_told_with_the_nearest() -> None:
    own = labeling_function("diplomcy", name="own")(lambda r: None)
    with pytest.raises(
        InputError, match=r"labelling function 'own': unknown topic 'diplomcy'; did you mean 'diplomacy'\?"
    ):
        Applier(WATCH_LIST, extra=[own])


def test_no_records_give_an_empty_matrix_with_a_column_for_every_function() -> None:
    assert Applier(WATCH_LIST).apply([]).matrix.shape == (0, 7)


@pytest.mark.parametrize("text", ["", "...", "\ud800\u200f", "NATO summit 🙂"])
def test_texts_without_an_arabic_word_get_no_yes(text: str) -> None:
    matrix = Applier(WATCH_LIST, use_metadata=False).apply([{"text": text}]).matrix
    assert matrix.max() <= 0
