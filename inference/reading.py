"""Reads rows of text from files and folders, one at a time; a bad row is reported with its place, never fatal."""

from __future__ import annotations

import csv
import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.errors import InputError, nearest

SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")
TEXT_FIELD = "text"
_LONGEST_CSV_FIELD = 2**27
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Row:
    """One row that was read.

    Args:
        text: the text, as it stands in the file.
        fields: the row's other fields.
        place: file and line (or row) for messages, such as ``news.jsonl, line 3``.
    """

    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


@dataclass(frozen=True)
class BadRow:
    """One row that could not be read.

    Args:
        place: file and line (or row).
        reason: what was wrong with it.
    """

    place: str
    reason: str


class _UnreadableError(Exception):
    """A file, or the rest of one, cannot be read; its arguments are the place and the reason."""


def list_files(path: str | Path) -> list[Path]:
    """Give the readable files behind a path: the file itself, or a folder's files in order of name, subfolders too.

    Hidden files, whose name starts with a dot, are no part of a folder's content.

    Raises:
        InputError: where nothing readable is there.
    """
    path = Path(path)
    if path.is_dir():
        # A link that leads nowhere is listed: reading it tells, which passing it over would not.
        files = sorted(
            p
            for p in path.rglob("*")
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and (p.is_file() or p.is_symlink())
        )
        if not files:
            raise InputError(f"{path}: no {', '.join(SUFFIXES)} file in this folder")
        return files
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        # Only a near name is worth saying: a folder may hold thousands of others.
        close = difflib.get_close_matches(path.name, siblings, n=1)
        raise InputError(f"{path}: no such file or folder{f'; did you mean {close[0]!r}?' if close else ''}")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without an ending'}; use {', '.join(SUFFIXES)}")
    return [path]


def read_rows(path: str | Path) -> Iterator[Row | BadRow]:
    """Read the rows of a file, or of every file of a folder, without holding more than a few in memory.

    Args:
        path: file or folder. A file of a folder that cannot be read is one bad row.

    Raises:
        InputError: where the file cannot be read at all, or Parquet is not to be had.
    """
    alone = not Path(path).is_dir()
    for file in list_files(path):
        yield from read_file(file, alone=alone)


def read_file(file: Path, *, alone: bool = True) -> Iterator[Row | BadRow]:
    """Read the rows of a file; what follows a place where it breaks off is one bad row.

    ``.txt`` holds a paragraph a line; the others hold a field ``text`` and whatever else a row has.

    Args:
        file: one of those of :func:`list_files`.
        alone: whether there is no other file to go on with, should this one not be readable at all.

    Raises:
        InputError: where it cannot be read at all and is alone, or Parquet is not to be had.
    """
    readers = {".txt": _read_txt, ".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    begun = False
    try:
        for row in readers[file.suffix.lower()](file):
            begun = True
            yield row
        return
    except OSError as error:
        place, reason = str(file), f"cannot be read ({error.strerror or error})"
    except _UnreadableError as error:
        place, reason = error.args
    if alone and not begun:
        raise InputError(f"{place}: {reason}")
    yield BadRow(place, f"{reason}; {'the rest of ' if begun else ''}the file is left out")


def read_stream(stream: Iterable[bytes], name: str = "standard input") -> Iterator[Row | BadRow]:
    """Read a paragraph a line from bytes that come one line at a time; blank lines are passed over.

    Args:
        stream: the lines.
        name: what to call it in messages.
    """
    for place, line in _decoded(stream, name):
        if isinstance(line, BadRow):
            yield line
        elif line.strip():
            yield Row(line, {}, place)


def _lines(path: Path) -> Iterator[tuple[str, str | BadRow]]:
    with path.open("rb") as handle:
        yield from _decoded(handle, str(path))


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, str | BadRow]]:
    for number, raw in enumerate(lines, 1):
        place = f"{name}, line {number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield place, BadRow(place, f"not UTF-8 at byte {error.start + 1} of the line")
            continue
        yield place, line


def _read_txt(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as handle:
        yield from read_stream(handle, str(path))


def _read_jsonl(path: Path) -> Iterator[Row | BadRow]:
    for place, line in _lines(path):
        if isinstance(line, BadRow):
            yield line
            continue
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except RecursionError:
            yield BadRow(place, "not valid JSON (nested too deep)")
            continue
        except ValueError as error:
            yield BadRow(place, f"not valid JSON ({error})")
            continue
        if not isinstance(data, dict):
            yield BadRow(place, f"a JSON object is wanted, not {type(data).__name__}")
            continue
        yield _row(data, place)


def _row(data: Mapping[str, Any], place: str) -> Row | BadRow:
    text = data.get(TEXT_FIELD)
    if TEXT_FIELD not in data:
        return BadRow(place, f"no field {TEXT_FIELD!r}{nearest(TEXT_FIELD, map(str, data)) if data else ''}")
    if not isinstance(text, str):
        found = "nothing (null)" if text is None else type(text).__name__
        return BadRow(place, f"the field {TEXT_FIELD!r} holds {found}, not text")
    return Row(text, {k: v for k, v in data.items() if k != TEXT_FIELD}, place)


def _read_csv(path: Path) -> Iterator[Row | BadRow]:
    # The standard library stops at 128 KiB a field by default; news pages can be longer.
    csv.field_size_limit(min(sys.maxsize, _LONGEST_CSV_FIELD))
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        # Strict: else a quote that is never closed takes the rest of the file into one text without a word.
        reader = csv.reader(handle, strict=True)
        try:
            names = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise _UnreadableError(f"{path}, line 1", f"not valid CSV ({error})") from None
        _check_header(path, names)
        while True:
            first = reader.line_num + 1
            place = f"{path}, line {first}"
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(place, f"not valid CSV ({error}){_lines_lost(first, reader.line_num)}")
                continue
            if values:
                yield _csv_row(names, values, place)


def _check_header(path: Path, names: Sequence[str]) -> None:
    if names.count(TEXT_FIELD) > 1:
        raise _UnreadableError(str(path), f"{names.count(TEXT_FIELD)} columns are called {TEXT_FIELD!r}; rename one")
    if TEXT_FIELD in names:
        return
    hint = nearest(TEXT_FIELD, names) if names else "; the first line is empty"
    for separator, name in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            hint = f"; its columns stand between {name}, which have to be commas"
    raise _UnreadableError(str(path), f"no column {TEXT_FIELD!r} in the header{hint}")


def _lines_lost(first: int, last: int) -> str:
    return f"; a quote that is not closed reaches to line {last}" if last > first else ""


def _csv_row(names: list[str], values: list[str], place: str) -> Row | BadRow:
    # A comma that nobody quoted would otherwise cut a paragraph short without a word.
    if names.index(TEXT_FIELD) >= len(values) or any(values[len(names) :]):
        return BadRow(place, f"{len(values)} values for {len(names)} columns; put texts with commas in quotes")
    data = dict(zip(names, values, strict=False))
    if any("\udc80" <= c <= "\udcff" for c in data[TEXT_FIELD]):
        return BadRow(place, "not UTF-8")
    return _row(data, place)


def _read_parquet(path: Path) -> Iterator[Row | BadRow]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow; pip install 'rasd[parquet]'") from None
    try:
        file = parquet.ParquetFile(path)
    except Exception as error:  # pyarrow raises its own family of errors, and plain OSError, for a broken file
        raise _UnreadableError(str(path), f"not a readable Parquet file ({error})") from None
    if TEXT_FIELD not in file.schema_arrow.names:
        hint = nearest(TEXT_FIELD, file.schema_arrow.names)
        raise _UnreadableError(str(path), f"no column {TEXT_FIELD!r}{hint}")
    number = 0
    try:
        for batch in file.iter_batches(batch_size=1024):
            for data in batch.to_pylist():
                number += 1
                yield _row(data, f"{path}, row {number}")
    except ValueError as error:  # pyarrow's own errors are ValueErrors, and so are bytes that are not UTF-8
        raise _UnreadableError(str(path), f"broken after row {number} ({error})") from None
