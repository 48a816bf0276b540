"""The first pass of ``rasd label``: every labelling function over a corpus of any length, on all cores.

Only a few batches are in memory at a time. Votes go to a file; an even sample of them stays, to fit the label model on.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as parquet
from tqdm.auto import tqdm

from inference.errors import CorpusError, RasdError
from inference.processor import usable_cores
from inference.reading import BadRow
from training.config import Config
from training.corpus import read_source
from training.documents import whole_articles
from training.exemplars import Readings
from training.functions import make_applier
from training.labeling import Applier, Broken, Votes
from training.topics import WatchList

VoteArray = npt.NDArray[np.int8]
BATCH = 2000
_FIT_ROWS = 100_000
_BAD_EXAMPLES = 10
_LOOK_SECONDS = 1.0
_applier: Applier | None = None


@dataclass
class BadRows:
    """Rows that cannot be read: how many, and the first few; all of them go to a file as they come.

    Args:
        file: where they go, one JSON object a line; it is made at the first one.
    """

    file: Path
    count: int = 0
    examples: list[BadRow] = field(default_factory=list)

    def add(self, row: BadRow) -> None:
        """Note one."""
        self.count += 1
        if len(self.examples) < _BAD_EXAMPLES:
            self.examples.append(row)
        with self.file.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps({"place": row.place, "reason": row.reason}, ensure_ascii=False) + "\n")


class EvenSample:
    """Keeps every n-th row of a stream, n growing with it, so that no part of a corpus weighs more than another.

    Args:
        rows: at most twice so many are kept.
    """

    def __init__(self, rows: int) -> None:
        self._most, self._step, self._seen = 2 * rows, 1, 0
        self._parts: list[VoteArray] = []

    def add(self, votes: VoteArray) -> None:
        """Take a batch of shape ``(rows, functions)``."""
        self._parts.append(votes[-self._seen % self._step :: self._step])
        self._seen += len(votes)
        if sum(map(len, self._parts)) > self._most:
            self._parts = [self.whole()[::2]]
            self._step *= 2

    def whole(self) -> VoteArray:
        """Give what is kept."""
        return np.concatenate(self._parts)


@dataclass(frozen=True)
class Pass:
    """What the first pass leaves beside its file.

    Args:
        rows: how many paragraphs there are.
        sample: shape ``(sampled rows, functions)``; an even sample of the votes.
        broken: functions that raised; what they said before they did stands in the file and must not count.
    """

    rows: int
    sample: VoteArray
    broken: tuple[Broken, ...]


def cast_votes(
    config: Config,
    watch_list: WatchList,
    applier: Applier,
    *,
    source: str,
    votes_file: Path,
    bad: BadRows,
    skip_broken: bool,
    readings: Readings | None = None,
) -> Pass:
    """Run the labelling functions over a corpus.

    Args:
        config: for the functions.
        watch_list: the watch list that it names.
        applier: what :func:`training.functions.make_applier` gave; workers that cannot inherit it make their own.
        source: file or folder.
        votes_file: the Parquet file to write, with ``id``, ``text``, ``article`` and ``votes``.
        bad: takes the rows that cannot be read.
        skip_broken: note a function that raises, instead of stopping.
        readings: what the applier was made with.

    Raises:
        CorpusError: where nothing can be read.
        LabelingFunctionError: where a function raises, unless ``skip_broken``.
        RasdError: where a worker process is killed.
    """
    sample = EvenSample(_FIT_ROWS)
    broken: dict[str, Broken] = {}
    rows, writer = 0, None
    workers = usable_cores()
    waiting: deque[tuple[list[dict[str, str]], Future[Votes]]] = deque()
    batches = _batches(source, bad)
    context = _context()
    inherited = applier if context.get_start_method() == "fork" else None
    pool = ProcessPoolExecutor(
        workers, context, _start_worker, (config, watch_list, skip_broken, inherited, readings, os.getpid())
    )
    try:
        with tqdm(desc="Labelling", unit=" paragraphs") as bar:
            while True:
                # At most a few batches are under way: the corpus may be larger than memory.
                while len(waiting) < 2 * workers and (batch := next(batches, None)):
                    waiting.append((batch, pool.submit(_vote, batch)))
                if not waiting:
                    break
                batch, future = waiting.popleft()
                votes = future.result()
                for found in votes.broken:
                    broken.setdefault(found.name, found)
                sample.add(votes.matrix)
                table = _votes_table(batch, votes.matrix)
                writer = writer or parquet.ParquetWriter(votes_file, table.schema)
                writer.write_table(table)
                rows += len(batch)
                bar.update(len(batch))
    except BrokenProcessPool:
        raise RasdError(f"{source}: a worker process was killed, perhaps for want of memory; try again") from None
    finally:
        pool.shutdown(cancel_futures=True)
        if writer:
            writer.close()
    if not rows:
        raise CorpusError(f"{source}: no paragraph in it that can be read")
    return Pass(rows, sample.whole(), tuple(broken.values()))


def _context() -> multiprocessing.context.BaseContext:
    return multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)


def _start_worker(
    config: Config,
    watch_list: WatchList,
    skip_broken: bool,
    inherited: Applier | None,
    readings: Readings | None,
    parent: int,
) -> None:
    global _applier
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Ctrl-C reaches every process; the main one answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _applier = inherited or make_applier(config, watch_list, skip_broken=skip_broken, readings=readings)


def _end_with(parent: int) -> None:
    # A worker whose parent was killed waits for work that never comes, for ever.
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _vote(rows: list[dict[str, str]]) -> Votes:
    assert _applier is not None
    return _applier.apply({**json.loads(r["fields"]), **r} for r in rows)


def _batches(source: str, bad: BadRows) -> Iterator[list[dict[str, str]]]:
    def good() -> Iterator[dict[str, str]]:
        for row in read_source(source):
            if isinstance(row, BadRow):
                bad.add(row)
            else:
                yield row

    return whole_articles(good(), BATCH, most=2 * BATCH)


def _votes_table(rows: Sequence[dict[str, str]], votes: VoteArray) -> pa.Table:
    columns: dict[str, Any] = {k: [r[k] for r in rows] for k in ("id", "text", "article")}
    flat = pa.array(np.ascontiguousarray(votes).reshape(-1), pa.int8())
    columns["votes"] = pa.FixedSizeListArray.from_arrays(flat, votes.shape[1])
    return pa.table(columns)
