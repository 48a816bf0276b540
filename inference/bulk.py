"""Predicts whole files: streamed, with progress, and resumable after whatever stopped it."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from inference.columns import FORMATS, check_format, write_columns
from inference.errors import InputError
from inference.folder import MANIFEST, sha256_file
from inference.predictor import Predictor
from inference.progress import Progress
from inference.reading import BadRow, Row, list_files, read_rows
from inference.results import Prediction

BATCH_ROWS = 256
BATCH_CHARACTERS = 1_000_000
CHECKPOINT_SECONDS = 1.0
_TOLD = 10


@dataclass(frozen=True)
class BulkResult:
    """What a run over a file did.

    Args:
        rows: rows predicted, those of the run that was resumed too.
        bad: rows left out, with their places in the errors file.
        seconds: seconds that this run took.
        resumed_after: rows that an earlier run had done.
    """

    rows: int
    bad: int
    seconds: float
    resumed_after: int


@dataclass(frozen=True)
class _Journal:
    """How far a run has come: what is below these marks is whole, what lies above is cut off on resuming."""

    input: str
    model: str
    done: int = 0
    bad: int = 0
    part_bytes: int = 0
    error_bytes: int = 0


def predict_file(predictor: Predictor, source: str | Path, output: str | Path, *, resume: bool = False) -> BulkResult:
    """Predict every row of a file or folder into a file.

    Rows that cannot be read are reported with their place and written to ``OUTPUT.errors.jsonl``; the rest is served.
    While it runs, the rows are in ``OUTPUT.part``, and ``OUTPUT.journal`` says how many of them count. The output
    appears when it is whole.

    Args:
        predictor: the loaded model.
        source: ``.txt``, ``.jsonl``, ``.csv`` or ``.parquet``, or a folder of them.
        output: ``.csv`` or ``.parquet`` for a column per field, anything else for JSON Lines.
        resume: go on where an earlier run into this output stopped; a new run where there was none.

    Raises:
        InputError: where the input cannot be read or the output cannot be written, or where a run is to be resumed
            with another input or model than it began with.
    """
    source, output = Path(source), Path(output)
    check_output(output, source)
    start = _Journal(_fingerprint(source), sha256_file(predictor.folder / MANIFEST))
    journal = _resumed(output, start) if resume else start
    if not resume and _journal(output).exists():
        print(f"rasd: {output}: an earlier run was stopped; starting over (--resume would go on)", file=sys.stderr)
    return _predict(predictor, _skip(read_rows(source), journal.done + journal.bad, source), output, journal)


def predict_rows(predictor: Predictor, rows: Iterable[Row | BadRow], output: str | Path) -> BulkResult:
    """Predict rows that come but once, such as those of standard input, into a file; nothing of it can be resumed.

    Args:
        predictor: the loaded model.
        rows: the rows.
        output: as for :func:`predict_file`.

    Raises:
        InputError: where the output cannot be written.
    """
    output = Path(output)
    check_output(output)
    return _predict(predictor, rows, output, _Journal("", ""))


def _predict(predictor: Predictor, rows: Iterable[Row | BadRow], output: Path, journal: _Journal) -> BulkResult:
    run = _Run(output, journal)
    began = time.monotonic()
    try:
        with run:
            for batch in batches(rows):
                run.write(predictor, batch)
        run.finish()
    except OSError as error:
        # Reading turns its own into InputError: this one came from writing.
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
    return BulkResult(run.journal.done, run.journal.bad, time.monotonic() - began, run.resumed_after)


def check_output(output: Path, source: Path | None = None) -> None:
    """Check before any work is done that an output can be written, and is not among the input.

    Raises:
        InputError: where not.
    """
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name a file in it, such as {output / 'predictions.jsonl'}")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder; make it first, or choose another --output")
    check_format(output)
    if source is not None:
        _check_apart(output, source)
    part = _part(output)
    there = part.exists()
    try:
        part.open("ab").close()
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
    if not there:
        part.unlink()


def _check_apart(output: Path, source: Path) -> None:
    files = list_files(source)
    for written in (output, _part(output), _errors(output), _journal(output)):
        place = written.resolve()
        inside = source.is_dir() and place.is_relative_to(source.resolve())
        if inside or any(place == f.resolve() or (written.exists() and written.samefile(f)) for f in files):
            raise InputError(f"{written}: would be written over the input or among it; choose another --output")


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


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Run:
    """The files of one run, and the marks below which they are whole."""

    def __init__(self, output: Path, journal: _Journal) -> None:
        self.output, self.journal = output, journal
        self.resumed_after = journal.done + journal.bad
        self._progress = Progress(self.resumed_after)
        self._saved = 0.0
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> _Run:
        part = _part(self.output)
        self._part = part.open("ab")
        _lock(self._part, self.output)
        _cut(self._part, self.journal.part_bytes)
        if self.journal.error_bytes:
            self._errors = _errors(self.output).open("ab")
            _cut(self._errors, self.journal.error_bytes)
        else:
            _errors(self.output).unlink(missing_ok=True)
        self._save()
        return self

    def write(self, predictor: Predictor, batch: list[Row | BadRow]) -> None:
        rows = [row for row in batch if isinstance(row, Row)]
        for row, prediction in zip(rows, predictor.predict([r.text for r in rows]), strict=True):
            self._part.write(_encoded(record(row.fields, prediction)))
        bad = [row for row in batch if isinstance(row, BadRow)]
        for number, missing in enumerate(bad, self.journal.bad):
            if self._errors is None:
                self._errors = _errors(self.output).open("wb")
            self._errors.write(
                to_line({"place": missing.place, "reason": missing.reason}).encode("utf-8", "backslashreplace")
            )
            if number < _TOLD:
                self._progress.say(f"rasd: {missing.place}: {missing.reason}; left out")
        self.journal = replace(
            self.journal,
            done=self.journal.done + len(rows),
            bad=self.journal.bad + len(bad),
            part_bytes=self._part.tell(),
            error_bytes=self._errors.tell() if self._errors else 0,
        )
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            self._save()
        self._progress.show(self.journal.done + self.journal.bad)

    def _save(self) -> None:
        # The rows must be on the disk before the journal counts them.
        for handle in (self._part, self._errors):
            if handle is not None:
                handle.flush()
                os.fsync(handle.fileno())
        temporary = _journal(self.output).with_name(f"{_journal(self.output).name}.new")
        temporary.write_text(json.dumps(asdict(self.journal)), "utf-8")
        temporary.replace(_journal(self.output))
        self._saved = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        bad = f"; {self.journal.bad:,} left out, see {_errors(self.output)}" if self.journal.bad else ""
        self._progress.close(self.journal.done + self.journal.bad, bad)
        try:
            # What ended the run, such as a full disk, may end this too; the journal of the last second then stands.
            with suppress(OSError) if kind else nullcontext():
                self._save()
        finally:
            for handle in (self._part, self._errors):
                if handle is not None:
                    with suppress(OSError):
                        handle.close()
        if kind and self.journal.input:
            self._progress.say("rasd: stopped; the same command with --resume goes on from there")

    def finish(self) -> None:
        part = _part(self.output)
        if self.output.suffix.lower() in FORMATS:
            write_columns(part, self.output)
            part.unlink()
        else:
            part.replace(self.output)
        _journal(self.output).unlink()


def _encoded(data: Mapping[str, Any]) -> bytes:
    # A lone surrogate has no UTF-8; written as an escape it is JSON that reads back as it was.
    return to_line(data).encode("utf-8", "backslashreplace")


def _part(output: Path) -> Path:
    return output.with_name(output.name + ".part")


def _errors(output: Path) -> Path:
    return output.with_name(output.name + ".errors.jsonl")


def _journal(output: Path) -> Path:
    return output.with_name(output.name + ".journal")


def _lock(handle: IO[bytes], output: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not every system has it
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{output}: another run is writing it now; wait, or choose another --output") from None


def _cut(handle: IO[bytes], length: int) -> None:
    if handle.seek(0, os.SEEK_END) < length:
        raise InputError(f"{handle.name}: shorter than its journal says; start over without --resume")
    handle.truncate(length)
    handle.seek(length)


def _fingerprint(source: Path) -> str:
    return json.dumps([[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in list_files(source)])


def _resumed(output: Path, start: _Journal) -> _Journal:
    path = _journal(output)
    if not _part(output).exists():
        return start
    try:
        data = json.loads(path.read_text("utf-8"))
        found = _Journal(**{k: type(v)(data[k]) for k, v in asdict(start).items()})
    except FileNotFoundError:
        return start
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable journal ({error}); start over without --resume") from None
    for part in ("input", "model"):
        if getattr(found, part) != getattr(start, part):
            raise InputError(f"{output}: the {part} has changed since that run began; start over without --resume")
    return found


def _skip(rows: Iterator[Row | BadRow], count: int, source: Path) -> Iterator[Row | BadRow]:
    for _ in range(count):
        if next(rows, None) is None:
            raise InputError(f"{source}: has fewer rows than the journal says; start over without --resume")
    return rows


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
