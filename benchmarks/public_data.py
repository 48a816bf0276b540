"""Two public stance data sets with their official splits: ArabicStanceX (tweets) and ANS (pairs of headlines).

Each is read from a folder as its authors publish it, or from a hub data set (``hf:NAME``) that has the same columns:
``text``, ``stance`` and ``target`` for ArabicStanceX; ``s1``, ``s2`` and ``stance`` for ANS.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import InputError

HUB = "hf:"
HASHTAG = re.compile(r"#\S+")
_LINK = re.compile(r"(?:https?://|www\.|fb\.me/)\S+")
_MENTION = re.compile(r"@\w+")
_SIGNS = re.compile(r"[#_]")
_HELD_OUT = 0.1

STANCEX_LABELS = ("Favor", "Against", "None")
ANS_LABELS = ("agree", "disagree", "other")
# What each target of ArabicStanceX is about; its files name them in English.
TARGETS: Mapping[str, str] = {
    "Aramco": "اكتتاب أرامكو",
    "Neom": "مشروع نيوم",
    "Qiddiya": "مشروع القدية",
    "chineese": "تدريس اللغة الصينية",
    "online_learning": "التعليم عن بعد",
    "update_curricula": "تطوير المناهج",
    "Vaccine": "لقاح كورونا",
    "vaccine_booster_dose": "الجرعة التنشيطية من اللقاح",
    "coexistence_with_religions": "التعايش مع الأديان",
    "fix_domestic_tourism": "السياحة الداخلية",
    "military_conscription": "التجنيد الإجباري",
    "sexual_education_fully": "التثقيف الجنسي",
    "mosques_speakers": "مكبرات الصوت في المساجد",
    "multi_mariage": "تعدد الزوجات",
    "women_driving": "قيادة المرأة للسيارة",
    "Abdulaziz_bin_Turki_Head_of_Sports": "عبدالعزيز بن تركي رئيسا للرياضة",
    "Faisal_bin_Turkis_resignation": "استقالة فيصل بن تركي",
}


@dataclass(frozen=True)
class Pair:
    """One example: a text, and what its stance is taken towards.

    Args:
        target: the target's phrase, or the first headline.
        text: the tweet, or the second headline.
        label: place of the label among the data set's labels.
        group: what figures may be averaged over: the target's name; empty where there is none.
    """

    target: str
    text: str
    label: int
    group: str = ""


@dataclass(frozen=True)
class Task:
    """A data set with its official test split; ``dev`` is the official one, or a tenth of train held out by label.

    Args:
        name: for tables.
        labels: names of the labels.
        train: what models are fitted on.
        dev: what they are tuned on.
        test: what they are scored on, once.
    """

    name: str
    labels: tuple[str, ...]
    train: tuple[Pair, ...]
    dev: tuple[Pair, ...]
    test: tuple[Pair, ...]


def tweet_text(text: str, *, hashtags: bool) -> str:
    """Give a tweet without links and mentions; hashtags become plain words, or go.

    Args:
        text: the tweet.
        hashtags: whether the words of hashtags stay. Here they often name the stance, so both are worth knowing.
    """
    text = _MENTION.sub(" ", _LINK.sub(" ", text))
    text = _SIGNS.sub(" ", text) if hashtags else HASHTAG.sub(" ", text)
    return " ".join(text.split())


def read_stancex(source: str, *, hashtags: bool) -> Task:
    """Read ArabicStanceX.

    Args:
        source: folder with ``train/*/TARGET.json`` and ``test/*/TARGET.json``, or ``hf:NAME``.
        hashtags: see :func:`tweet_text`.

    Raises:
        InputError: where it is not there or has another shape.
    """
    rows = {split: list(_stancex_rows(source, split)) for split in ("train", "test")}
    parts = {
        split: [
            Pair(
                TARGETS.get(target, target.replace("_", " ")),
                tweet_text(text, hashtags=hashtags),
                _place(label, STANCEX_LABELS, source),
                target,
            )
            for target, text, label in found
        ]
        for split, found in rows.items()
    }
    train, dev = hold_out(parts["train"], _HELD_OUT)
    return Task(
        f"ArabicStanceX, hashtags {'kept' if hashtags else 'stripped'}",
        STANCEX_LABELS,
        train,
        dev,
        tuple(parts["test"]),
    )


def _stancex_rows(source: str, split: str) -> Iterable[tuple[str, str, str]]:
    if source.startswith(HUB):
        yield from ((r["target"], r["text"], r["stance"]) for r in _hub(source, split))
        return
    files = sorted(Path(source, split).glob("*/*.json"))
    if not files:
        raise InputError(f"{Path(source, split)}: no */TARGET.json in it; give the folder that holds train/ and test/")
    for file in files:
        data = json.loads(file.read_text("utf-8"))
        for key, text in data["text"].items():
            yield file.stem, text, data["stance"][key]


def read_ans(source: str) -> Task:
    """Read ANS.

    Args:
        source: folder with ``train.csv``, ``dev.csv`` and ``test.csv``, or ``hf:NAME``.

    Raises:
        InputError: where it is not there or has another shape.
    """
    parts = {
        split: tuple(Pair(r["s1"], r["s2"], _place(r["stance"], ANS_LABELS, source)) for r in _ans_rows(source, split))
        for split in ("train", "dev", "test")
    }
    return Task("ANS", ANS_LABELS, parts["train"], parts["dev"], parts["test"])


def _ans_rows(source: str, split: str) -> list[dict[str, str]]:
    if source.startswith(HUB):
        return list(_hub(source, {"dev": "validation"}.get(split, split)))
    path = Path(source, f"{split}.csv")
    if not path.exists():
        raise InputError(f"{path}: not there; give the folder that holds train.csv, dev.csv and test.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _hub(source: str, split: str) -> Iterable[dict[str, str]]:
    from datasets import load_dataset

    return (dict(row) for row in load_dataset(source.removeprefix(HUB), split=split))


def _place(label: str, labels: Sequence[str], source: str) -> int:
    if label not in labels:
        raise InputError(f"{source}: unknown stance {label!r}; known: {', '.join(labels)}")
    return labels.index(label)


def hold_out(rows: Sequence[Pair], share: float, *, seed: int = 13) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Split rows in two, the share of the second taken from every label and group alike."""
    strata: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(rows):
        strata.setdefault((row.group, row.label), []).append(number)
    held: set[int] = set()
    for key in sorted(strata):
        held.update(random.Random(seed).sample(strata[key], round(share * len(strata[key]))))
    kept = tuple(r for i, r in enumerate(rows) if i not in held)
    return kept, tuple(r for i, r in enumerate(rows) if i in held)


def first(task: Task, rows: int) -> Task:
    """Give a task cut to so many training rows, evenly drawn, for a quick look; dev and test stay whole."""
    step = max(len(task.train) / rows, 1.0)
    return replace(task, train=tuple(task.train[int(i * step)] for i in range(min(rows, len(task.train)))))
