"""Rows as they are answered and written: a record a row, a line a record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.predictor import Predictor
from inference.reading import BadRow, Row
from inference.results import Prediction

BATCH_ROWS = 256
BATCH_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Answered:
    """What came of a batch of rows.

    Args:
        rows: how many were predicted.
        lines: their records, in order, as they are written.
        bad: those that could not be read.
    """

    rows: int
    lines: bytes
    bad: tuple[BadRow, ...]


def answer(predictor: Predictor, batch: Sequence[Row | BadRow]) -> Answered:
    """Predict a batch of rows."""
    rows = [row for row in batch if isinstance(row, Row)]
    predictions = predictor.predict([r.text for r in rows])
    lines = [to_bytes(record(row.fields, p)) for row, p in zip(rows, predictions, strict=True)]
    return Answered(len(rows), b"".join(lines), tuple(row for row in batch if isinstance(row, BadRow)))


def batches(rows: Iterable[Row | BadRow], *, most: int = BATCH_ROWS) -> Iterator[list[Row | BadRow]]:
    """Cut rows into batches of which each fits into memory, however long its texts."""
    batch: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.text) if isinstance(row, Row) else 0
        if len(batch) >= most or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def record(fields: Mapping[str, Any], prediction: Prediction) -> dict[str, Any]:
    """Give the record of a row: its own fields and the prediction's.

    A field of the row that is called as one of the prediction's is kept as ``input.NAME``.
    """
    predicted = prediction.to_json()
    return {(f"input.{k}" if k in predicted else k): v for k, v in fields.items()} | predicted


def to_line(data: Mapping[str, Any]) -> str:
    """Give a record as a line of JSON, whatever types its file had."""
    try:
        return json.dumps(data, ensure_ascii=False, default=str, allow_nan=False) + "\n"
    except ValueError:
        # JSON has no NaN; Python's reader takes it, and Parquet holds it.
        return json.dumps(_finite(data), ensure_ascii=False, default=str) + "\n"


def to_bytes(data: Mapping[str, Any]) -> bytes:
    """Give a record as it is written."""
    # A lone surrogate has no UTF-8; written as an escape it is JSON that reads back as it was.
    return to_line(data).encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
