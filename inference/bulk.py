"""Predicts whole files: streamed, with progress, and resumable after whatever stopped it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from inference.errors import InputError
from inference.folder import MANIFEST, sha256_file
from inference.predictor import Predictor
from inference.reading import BadRow, Row, read_rows
from inference.records import Answered, answer, batches
from inference.run_files import Journal, RunFiles, check_output, fingerprint, journal_of, resumed

# Answers of a file's or folder's rows, in order, without so many at its start.
Answers = Callable[[Path, int], Iterable[Answered]]


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


def predict_file(
    predictor: Predictor,
    source: str | Path,
    output: str | Path,
    *,
    resume: bool = False,
    answers: Answers | None = None,
) -> BulkResult:
    """Predict every row of a file or folder into a file.

    Rows that cannot be read are reported with their place and written to ``OUTPUT.errors.jsonl``; the rest is served.
    While it runs, the rows are in ``OUTPUT.part``, and ``OUTPUT.journal`` says how many of them count. The output
    appears when it is whole.

    Args:
        predictor: the loaded model.
        source: ``.txt``, ``.jsonl``, ``.csv`` or ``.parquet``, or a folder of them.
        output: ``.csv`` or ``.parquet`` for a column per field, anything else for JSON Lines.
        resume: go on where an earlier run into this output stopped; a new run where there was none.
        answers: where the predicting is done, such as :func:`inference.ray_engine.on_ray`; here where None.

    Raises:
        InputError: where the input cannot be read or the output cannot be written, or where a run is to be resumed
            with another input or model than it began with.
    """
    source, output = Path(source), Path(output)
    check_output(output, source)
    start = Journal(fingerprint(source), sha256_file(predictor.folder / MANIFEST))
    journal = resumed(output, start) if resume else start
    if not resume and journal_of(output).exists():
        print(f"rasd: {output}: an earlier run was stopped; starting over (--resume would go on)", file=sys.stderr)
    done = journal.done + journal.bad
    found = answers(source, done) if answers else _answers(predictor, rows_after(source, done))
    return _write(found, output, journal)


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
    return _write(_answers(predictor, rows), output, Journal("", ""))


def rows_after(source: Path, count: int) -> Iterator[Row | BadRow]:
    """Give a file's or folder's rows without so many at its start.

    Raises:
        InputError: where there are not so many.
    """
    rows = read_rows(source)
    if sum(1 for _ in islice(rows, count)) < count:
        raise InputError(f"{source}: has fewer rows than the journal says; start over without --resume")
    return rows


def _answers(predictor: Predictor, rows: Iterable[Row | BadRow]) -> Iterator[Answered]:
    return (answer(predictor, batch) for batch in batches(rows))


def _write(answers: Iterable[Answered], output: Path, journal: Journal) -> BulkResult:
    run = RunFiles(output, journal)
    began = time.monotonic()
    try:
        with run:
            for answered in answers:
                run.write(answered)
        run.finish()
    except OSError as error:
        # Reading turns its own into InputError: this one came from writing.
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from None
    return BulkResult(run.journal.done, run.journal.bad, time.monotonic() - began, run.resumed_after)
