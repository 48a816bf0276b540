"""Prediction records as columns: CSV and Parquet, made from the JSON Lines of a finished run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from inference.errors import InputError

FORMATS = (".csv", ".parquet")
_ROWS = 1024
_SCALARS = {bool: "bool_", int: "int64", float: "float64", str: "string"}


def check_format(output: Path) -> None:
    """Check that what a format needs is installed.

    Raises:
        InputError: where not.
    """
    if output.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise InputError(f"{output}: writing Parquet needs pyarrow; pip install 'rasd[parquet]'") from None


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give a prediction record as columns: ``TOPIC.probability`` and its like, lists as JSON.

    Args:
        record: a record of the contract, with a row's own fields.
    """
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if name == "topics":
            for topic, said in value.items():
                shares = dict(said["stance"])
                own = {k: v for k, v in said.items() if k != "stance"} | {"stance": shares.pop("label")} | shares
                flat |= {f"{topic}.{k}": v for k, v in own.items()}
        else:
            flat[name] = value if value is None or type(value) in _SCALARS else json.dumps(value, ensure_ascii=False)
    return flat


def write_columns(lines: Path, output: Path) -> None:
    """Write a finished run's JSON Lines as columns, without holding more than a few rows; whole or not at all.

    Args:
        lines: the records.
        output: a path that ends in one of ``FORMATS``.
    """
    kinds = _kinds(lines)
    work = output.with_name(output.name + ".new")
    (_write_csv if output.suffix.lower() == ".csv" else _write_parquet)(lines, work, kinds)
    work.replace(output)


def _records(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as handle:
        for line in handle:
            yield flatten(json.loads(line))


def _kinds(lines: Path) -> dict[str, str]:
    """Give the type of each column: that of its values, or a string where they differ."""
    seen: dict[str, set[type]] = {}
    for row in _records(lines):
        for name, value in row.items():
            kinds = seen.setdefault(name, set())
            if value is not None:
                kinds.add(type(value))
    return {n: _SCALARS[kinds.pop()] if len(kinds) == 1 else "string" for n, kinds in seen.items()}


def _write_csv(lines: Path, work: Path, kinds: Mapping[str, str]) -> None:
    # A lone surrogate has no UTF-8.
    with work.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        writer = csv.DictWriter(handle, list(kinds))
        writer.writeheader()
        writer.writerows(_records(lines))


def _write_parquet(lines: Path, work: Path, kinds: Mapping[str, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in kinds.items()])
    with closing(parquet.ParquetWriter(work, schema)) as writer:
        rows: list[dict[str, Any]] = []
        for row in _records(lines):
            rows.append({n: _as(row.get(n), kind) for n, kind in kinds.items()})
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))


def _as(value: Any, kind: str) -> Any:
    if value is None or kind != "string":
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()
