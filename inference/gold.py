"""Gold records: paragraphs labelled by people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.errors import InputError
from inference.reading import BadRow, read_rows
from inference.taxonomy import STANCES, Taxonomy, check_stance


@dataclass(frozen=True)
class GoldRecord:
    """One labelled paragraph.

    Args:
        id: its id.
        text: the paragraph.
        topics: topic id to stance, for the topics that are present.
        split: ``clean`` where it may serve the optional second training stage, else ``test``.
    """

    id: str
    text: str
    topics: Mapping[str, str]
    split: str = "test"


def read_gold(path: str | Path, taxonomy: Taxonomy) -> list[GoldRecord]:
    """Read a gold file; every row must be right, for a metric over a part of gold would mislead.

    Args:
        path: ``.jsonl`` with ``text`` and ``topics``, and optionally ``id`` and ``split``.
        taxonomy: the topics that are known.

    Raises:
        InputError: on the first row that is not right; file and line are named.
    """
    records = []
    for number, row in enumerate(read_rows(path)):
        if isinstance(row, BadRow):
            raise InputError(f"{row.place}: {row.reason}")
        topics = row.fields.get("topics")
        if not isinstance(topics, dict):
            raise InputError(
                f'{row.place}: \'topics\' must map topic ids to stances, such as {{"diplomacy": "neutral"}}'
            )
        for topic, stance in topics.items():
            taxonomy.index(topic, where=row.place)
            check_stance(stance, where=f"{row.place}, topic {topic!r}")
        name = str(row.fields.get("id") or number)
        records.append(GoldRecord(name, row.text, topics, str(row.fields.get("split") or "test")))
    if not records:
        raise InputError(f"{path}: no gold record in it")
    return records


def gold_matrix(records: list[GoldRecord], taxonomy: Taxonomy) -> npt.NDArray[np.int64]:
    """Give gold as a matrix of shape ``(records, topics)``: -1 absent, else the stance's place in ``STANCES``."""
    matrix = np.full((len(records), len(taxonomy)), -1, dtype=np.int64)
    for i, record in enumerate(records):
        for topic, stance in record.topics.items():
            matrix[i, taxonomy.index(topic)] = STANCES.index(stance)
    return matrix
