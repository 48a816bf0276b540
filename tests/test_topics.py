"""The watch list file: what it compiles to, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.errors import ConfigError
from inference.lexicon import Matcher, tokenise
from training.topics import WatchList, load_watch_list

OURS = Path(__file__).parent.parent / "configs/topics.yaml"
SMALL = """
version: 1
topics:
  - id: borders
    name: {ar: الحدود, en: Borders}
    target: فتح الحدود
    words: {crossings: [معبر, منفذ], places: [$crossings, حدود]}
    functions: [{name: opening, vote: "yes", terms: [فتح .. $crossings]}]
    stance: [{name: praise, vote: favor, terms: [v:رحب], near: [$places]}]
shared:
  words: {sport: [لاعب]}
  functions: [{name: sport_page, vote: "no", terms: [$sport]}]
metadata:
  - {name: brief, field: brief}
  - {name: desk, field: desk, equals: [sport], votes: {borders: "no"}}
"""
FOURTH = """  - id: migration
    name: {ar: الهجرة, en: Migration}
    target: الهجرة واللجوء
    words: {anchor: [هجرة, لجوء]}
    functions:
      - {name: migration_named, vote: "yes", terms: ["(هجرة|لجوء)", لاجئين]}
      - {name: migration_unnamed, vote: "no", absent: [هجرة, لجوء, لاجئين]}
shared:
"""


def _load(tmp_path: Path, text: str) -> WatchList:
    (tmp_path / "topics.yaml").write_text(text, "utf-8")
    return load_watch_list(tmp_path / "topics.yaml")


def _error(tmp_path: Path, old: str, new: str) -> str:
    assert old in SMALL
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, SMALL.replace(old, new, 1))
    return str(caught.value).removeprefix(f"{tmp_path / 'topics.yaml'}: ")


@pytest.fixture(scope="module")
def ours() -> WatchList:
    return load_watch_list(OURS)


def test_our_watch_list_compiles_to_its_three_topics(ours: WatchList) -> None:
    assert ours.taxonomy.ids == ("arms_deal", "peace_talks", "diplomacy")


def test_every_topic_of_ours_has_functions_for_yes_for_no_and_for_every_stance(ours: WatchList) -> None:
    votes = {(f.topic, f.vote) for f in ours.functions}
    assert votes == {(t, v) for t in ours.taxonomy.ids for v in ("yes", "no", "favor", "against", "neutral")}


def test_a_fourth_topic_is_an_edit_to_the_file_and_nothing_else(tmp_path: Path) -> None:
    watch_list = _load(tmp_path, OURS.read_text("utf-8").replace("\nshared:\n", "\n" + FOURTH, 1))
    assert watch_list.taxonomy.ids == ("arms_deal", "peace_talks", "diplomacy", "migration")
    fired = Matcher(watch_list.functions).match(tokenise("وصل آلاف اللاجئين بعد موجة الهجرة الأخيرة"))
    names = {watch_list.functions[m.function].name for m in fired}
    assert "migration_named" in names
    assert "migration_unnamed" not in names
    assert {f.topic for f in watch_list.functions if f.is_stance} >= {"migration"}


def test_a_topic_carries_its_names_and_its_target(tmp_path: Path) -> None:
    (topic,) = _load(tmp_path, SMALL).taxonomy.topics
    assert (topic.id, topic.name_ar, topic.name_en, topic.target) == ("borders", "الحدود", "Borders", "فتح الحدود")


def test_a_word_list_is_written_out_wherever_it_is_named(tmp_path: Path) -> None:
    functions = {f.name: f for f in _load(tmp_path, SMALL).functions}
    assert functions["opening"].terms == ("فتح .. معبر", "فتح .. منفذ")
    assert functions["praise"].near == ("معبر", "منفذ", "حدود")


def test_a_phrase_may_name_the_same_word_list_twice(tmp_path: Path) -> None:
    watch_list = _load(tmp_path, SMALL.replace("[فتح .. $crossings]", "[$crossings .. $crossings]"))
    assert watch_list.functions[0].terms == ("معبر .. معبر", "معبر .. منفذ", "منفذ .. معبر", "منفذ .. منفذ")


def test_a_shared_function_is_made_once_for_each_topic_and_named_after_it(tmp_path: Path) -> None:
    second = SMALL.replace("shared:\n", FOURTH, 1)
    shared = [(f.name, f.topic) for f in _load(tmp_path, second).functions if f.name.endswith("sport_page")]
    assert shared == [("borders.sport_page", "borders"), ("migration.sport_page", "migration")]


def test_a_topics_own_word_list_goes_before_the_shared_one_of_that_name(tmp_path: Path) -> None:
    watch_list = _load(tmp_path, SMALL.replace("{crossings:", "{sport: [سباق], crossings:"))
    assert {f.name: f.terms for f in watch_list.functions}["borders.sport_page"] == ("سباق",)


def test_a_bare_number_among_terms_is_meant_as_a_word(tmp_path: Path) -> None:
    assert _load(tmp_path, SMALL.replace("terms: [v:رحب]", "terms: [رحب, 16]")).functions[1].terms == ("رحب", "16")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "$crossings]}]",
            "$crosings]}]",
            "labelling function 'opening': no word list is called 'crosings'; did you mean 'crossings'?",
        ),
        ("terms: [v:رحب]", "term: [v:رحب]", "unknown key 'topics.0.stance.0.term'; did you mean 'terms'?"),
        ("target:", "traget:", "unknown key 'topics.0.traget'; did you mean 'target'?"),
        ("    target: فتح الحدود\n", "", "topics.0.target: field required"),
        ('vote: "yes"', "vote: maybe", "topics.0.functions.0.vote: input should be 'yes', 'no', 'favor'"),
        ("name: praise", "name: opening", "two labelling functions are called 'opening'"),
        ("name: praise", "name: borders.sport_page", "two labelling functions are called 'borders.sport_page'"),
        ("id: borders", "id: Borders!", "topics.0.id: string should match pattern"),
        ("version: 1", "version: 2", "version: input should be 1 (got 2)"),
        ("معبر, منفذ]", "معبر, $places]", "labelling function 'opening': the word list 'crossings' contains itself"),
        ("[معبر, منفذ]", "[]", "labelling function 'opening': its word lists are empty"),
        ("[v:رحب]", "[v:رحب], absent: [خبر]", "labelling function 'praise': give either terms or absent"),
        ("terms: [v:رحب]", "vote: favor", "labelling function 'praise': give either terms or absent"),
        ("[v:رحب]", "['!!']", "labelling function 'praise', term '!!'"),
        ("[v:رحب]", "[رحب], accuracy: 1.5", "topics.0.stance.0.accuracy: input should be less than 1 (got 1.5)"),
        ('{borders: "no"}', '{boarders: "no"}', "metadata 'desk': unknown topic 'boarders'; did you mean 'borders'?"),
        (', votes: {borders: "no"}', "", "metadata 'desk': equals and votes go together"),
        (" equals: [sport],", "", "metadata 'desk': equals and votes go together"),
    ],
)
def test_a_wrong_watch_list_is_told_with_what_would_be_right(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert _error(tmp_path, old, new).startswith(message)


def test_two_topics_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two topics are called 'borders'"):
        _load(tmp_path, SMALL.replace("shared:\n", FOURTH.replace("id: migration", "id: borders"), 1))


def test_a_watch_list_without_topics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="topics: tuple should have at least 1 item"):
        _load(tmp_path, "version: 1\ntopics: []")
