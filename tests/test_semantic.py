"""Semantic labelling functions, with an embedding of a few words; the real encoder takes no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from inference.errors import ConfigError
from inference.taxonomy import Taxonomy, Topic
from tests.tiny import ROOT
from training.labeling import Applier
from training.semantic import Likeness, semantic_functions
from training.topics import WatchList, load_watch_list

WORDS = ("سلاح", "صفقة", "سفير", "زيارة", "مباراة", "مطر")
TAXONOMY = Taxonomy((Topic("arms_deal", "", "", ""), Topic("diplomacy", "", "", "")))
PROTOTYPES = {"arms_deal": ("صفقة سلاح",), "diplomacy": ("زيارة سفير", "سفير")}
WATCH_LIST = WatchList(TAXONOMY, (), (), PROTOTYPES, ("مباراة", "مطر"))


def _embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    return np.array([[w in t for w in WORDS] for t in texts], dtype=np.float32)


def _votes(*texts: str) -> dict[str, list[int]]:
    applier = Applier(WATCH_LIST, extra=semantic_functions(WATCH_LIST, embed=_embed))
    matrix = applier.apply({"id": t, "text": t} for t in texts).matrix
    return {f.name: matrix[:, j].tolist() for j, f in enumerate(applier.functions)}


def test_a_paragraph_like_a_topics_prototype_gets_a_yes_and_one_like_the_everyday_ones_a_no() -> None:
    votes = _votes("صفقة سلاح كبيرة", "مباراة تحت مطر")
    assert (votes["arms_deal.like"], votes["arms_deal.unlike"]) == ([1, -1], [-1, 0])
    assert (votes["diplomacy.like"], votes["diplomacy.unlike"]) == ([-1, -1], [0, 0])


def test_a_paragraph_between_the_two_gets_no_vote() -> None:
    votes = _votes("سلاح ومباراة ومطر")
    assert (votes["arms_deal.like"], votes["arms_deal.unlike"]) == ([-1], [-1])


def test_the_nearest_of_several_prototypes_counts() -> None:
    margin = Likeness(PROTOTYPES, WATCH_LIST.contrast, _embed)
    assert margin("سفير")["diplomacy"] > margin("زيارة")["diplomacy"] > 0


def test_a_paragraph_is_embedded_once_for_all_topics() -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        asked.extend(texts)
        return _embed(texts)

    functions = semantic_functions(WATCH_LIST, embed=embed)
    for function in functions:
        assert function.call
        function.call({"text": "صفقة سلاح"})
    assert len(functions) == 4
    assert asked.count("صفقة سلاح") == 2  # as a prototype, and as the paragraph


@pytest.mark.parametrize("gone", [{"prototypes": {}}, {"contrast": ()}])
def test_a_watch_list_without_prototypes_is_told_what_it_lacks(gone: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="prototypes under a topic, and under shared"):
        semantic_functions(replace(WATCH_LIST, **gone))  # type: ignore[arg-type]


def test_every_shipped_topic_has_prototypes() -> None:
    shipped = load_watch_list(ROOT / "configs" / "topics.yaml")
    assert set(shipped.prototypes) == set(shipped.taxonomy.ids)
    assert shipped.contrast
