"""``rasd label``: weak labels for a corpus of any length, with the analysis of the labelling functions.

Two passes, both in batches: votes first, kept in a temporary Parquet file; then, with the label model fitted on a
sample of them, probabilities. The output takes its name only when it is whole.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm

from inference.errors import InputError
from inference.gold import gold_matrix, read_gold
from inference.taxonomy import STANCES
from training.analysis import Analysis, analyse
from training.config import Config
from training.corpus import load_corpus
from training.embedding import Embed, Remembering
from training.exemplars import Readings
from training.functions import learn_readings, make_applier
from training.labeling import Applier, Broken
from training.tallies import Counts, Disagreements, TopicSums, Uncovered
from training.topics import WatchList, load_watch_list
from training.voting import BATCH, BadRows, cast_votes
from training.weak import WeakLabels, WeakModel, fit_weak_model, majority_labels

VoteArray = npt.NDArray[np.int8]


@dataclass(frozen=True)
class _Gold:
    votes: VoteArray
    truth: npt.NDArray[np.int64]
    broken: tuple[Broken, ...]


def label_corpus(
    config: Config,
    *,
    source: str,
    output: str,
    gold: str | None = None,
    as_json: bool = False,
    skip_broken: bool = False,
) -> Analysis:
    """Label a corpus, write it, and print the analysis.

    Rows that cannot be read go to ``OUTPUT.errors.jsonl``.

    Args:
        config: for the watch list and the label model.
        source: file or folder.
        output: a ``.parquet`` or ``.jsonl`` file.
        gold: gold to score the functions on.
        as_json: print the analysis as one JSON object instead of tables.
        skip_broken: leave out a function that raises, on whatever row, as if it were not there.

    Raises:
        InputError: where source, output or gold cannot be used.
        LabelingFunctionError: where a function raises, unless ``skip_broken``.
    """
    target = _target(output)
    watch_list = load_watch_list(config.topics)
    embed = Remembering()
    readings = _readings(config, watch_list, gold, embed)
    applier = make_applier(config, watch_list, skip_broken=skip_broken, readings=readings, embed=embed)
    # Gold comes first: a fault in it must not come to light after hours of labelling.
    judged = _judge(gold, applier, watch_list)
    own = f".{target.name}-{os.getpid()}-"
    with _writing(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=own) as folder:
        _sweep(target)
        bad = BadRows(Path(folder) / "errors.jsonl")
        votes_file, whole = Path(folder) / "votes.parquet", Path(folder) / target.name
        cast = cast_votes(
            config,
            watch_list,
            applier,
            source=source,
            votes_file=votes_file,
            bad=bad,
            skip_broken=skip_broken,
            readings=readings,
        )
        broken = tuple({b.name: b for b in (*(judged.broken if judged else ()), *cast.broken)}.values())
        kept = [j for j, f in enumerate(applier.functions) if f.name not in {b.name for b in broken}]
        functions = tuple(applier.functions[j] for j in kept)
        shares = config.feed.shares
        model = fit_weak_model(cast.sample[:, kept], functions, watch_list.taxonomy, stance_shares=shares)
        second = _SecondPass(model, kept, majority=config.labels.label_model == "majority")
        second.run(votes_file, whole, rows=cast.rows)
        if bad.count:
            os.replace(bad.file, target.with_name(target.name + ".errors.jsonl"))
        os.replace(whole, target)
    analysis = analyse(
        second.counts,
        model,
        topics=second.topics.report(),
        disagreements=second.disagreements,
        uncovered=second.uncovered,
        gold_votes=judged.votes[:, kept] if judged else None,
        gold=judged.truth if judged else None,
        broken=broken,
    )
    show(analysis, bad, as_json=as_json, target=target)
    return analysis


def _readings(config: Config, watch_list: WatchList, gold: str | None, embed: Embed) -> Readings | None:
    """Learn from the examples of the training corpus, as what is to be labelled may hold none."""
    if not config.labels.semantic:
        return None
    apart = read_gold(gold, watch_list.taxonomy) if gold else []
    corpus = load_corpus(config.corpus, gold_texts=[r.text for r in apart], seed=config.seed)
    return learn_readings(config, watch_list, corpus.records(), embed=embed)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Reading turns its own into InputError: this one came from writing.
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None


def _sweep(target: Path) -> None:
    """Take away what runs into the same output left that were killed."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}-*-*"):
        number = folder.name.removeprefix(f".{target.name}-").partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _target(output: str) -> Path:
    target = Path(output)
    if target.suffix not in (".parquet", ".jsonl"):
        raise InputError(f"{output}: give a .parquet or .jsonl file for the output")
    if not target.parent.is_dir():
        raise InputError(f"{output}: there is no folder {str(target.parent)!r}; make it first")
    if target.is_dir():
        raise InputError(f"{output}: is a folder; give a file")
    return target


def _judge(gold: str | None, applier: Applier, watch_list: WatchList) -> _Gold | None:
    if gold is None:
        return None
    records = read_gold(gold, watch_list.taxonomy)
    votes = applier.apply({"id": r.id, "text": r.text} for r in records)
    return _Gold(votes.matrix, gold_matrix(records, watch_list.taxonomy), votes.broken)


class _SecondPass:
    """Turns votes into labels, batch by batch, and sums up what the analysis needs.

    Args:
        model: the fitted label models.
        kept: columns of the votes file that the model's functions are.
        majority: whether the majority vote labels instead of the model.
    """

    def __init__(self, model: WeakModel, kept: Sequence[int], *, majority: bool) -> None:
        self._model, self._kept, self._majority = model, list(kept), majority
        self.counts = Counts(model.functions, model.taxonomy)
        self.topics = TopicSums(model.functions, model.taxonomy)
        self.disagreements = Disagreements(model.functions, model.taxonomy)
        self.uncovered = Uncovered()

    def run(self, votes_file: Path, target: Path, *, rows: int) -> None:
        """Read the votes and write the labels."""
        yes = [j for j, f in enumerate(self._model.functions) if not f.is_stance and 1 in f.polarity]
        with parquet.ParquetFile(votes_file) as file, _writer(target) as writer:
            for batch in tqdm(file.iter_batches(BATCH), desc="Label model", total=-(-rows // BATCH)):
                votes = np.asarray(batch.column("votes").flatten()).reshape(batch.num_rows, -1)[:, self._kept]
                weak = self._weak(votes)
                self.counts.add(votes)
                self.topics.add(votes, weak)
                self.disagreements.add(batch.column("id").to_pylist(), votes, weak)
                covered = (votes[:, yes] == 1).any(1)
                self.uncovered.add(batch.column("text").to_pylist(), covered, weak.topics.max(1))
                writer.write(_labels_table(batch, weak, self._model.taxonomy.ids))

    def _weak(self, votes: VoteArray) -> WeakLabels:
        if self._majority:
            return majority_labels(votes, self._model.functions, self._model.taxonomy)
        return self._model.predict(votes)


class _Writer:
    """Writes tables to Parquet or JSON Lines, by the file's suffix."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._lines = target.open("w", encoding="utf-8") if target.suffix == ".jsonl" else None
        self._parquet: parquet.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._lines:
            for row in table.to_pylist():
                rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
                self._lines.write(json.dumps(rounded, ensure_ascii=False) + "\n")
            return
        self._parquet = self._parquet or parquet.ParquetWriter(self._target, table.schema)
        self._parquet.write_table(table)

    def close(self) -> None:
        for handle in (self._lines, self._parquet):
            if handle:
                handle.close()


@contextmanager
def _writer(target: Path) -> Iterator[_Writer]:
    writer = _Writer(target)
    try:
        yield writer
    finally:
        writer.close()


def _labels_table(batch: pa.RecordBatch, weak: WeakLabels, topics: Sequence[str]) -> pa.Table:
    columns: dict[str, object] = {k: batch.column(k) for k in ("id", "text", "article")}
    for i, topic in enumerate(topics):
        columns[topic] = pa.array(weak.topics[:, i].astype(np.float32))
        for s, stance in enumerate(STANCES):
            columns[f"{topic}.{stance}"] = pa.array(weak.stance[:, i, s].astype(np.float32))
    return pa.table(columns)


def show(analysis: Analysis, bad: BadRows, *, as_json: bool, target: Path) -> None:
    """Print an analysis, as tables or as one JSON object."""
    if as_json:
        examples = [{"place": b.place, "reason": b.reason} for b in bad.examples]
        rows = {"bad_rows": bad.count, "bad_row_examples": examples}
        print(json.dumps({**analysis.to_json(), **rows, "output": str(target)}, ensure_ascii=False))
        return
    console = Console()
    table = Table("labelling function", "votes", "coverage", "overlap", "conflict", "est. accuracy", "gold", "against")
    for r in analysis.functions:
        gold = "" if r.gold_accuracy is None else f"{r.gold_accuracy:.2f} of {r.gold_votes}"
        votes = " ".join(f"{k} {n}" for k, n in r.votes.items())
        shares = (f"{v:.1%}" for v in (r.coverage, r.overlap, r.conflict))
        table.add_row(r.name, votes, *shares, f"{r.estimated_accuracy:.2f}", gold, " ".join(r.disagreements))
    console.print(table)
    for topic, values in analysis.topics.items():
        console.print(
            f"{topic}: {values['share_present']:.1%} labelled present, {values['share_without_vote']:.1%} without a "
            f"vote, mean entropy {values['mean_entropy_bits']:.3f} bits"
        )
    for suggestion in analysis.suggestions:
        console.print(f"- {suggestion}", markup=False)
    for b in analysis.broken:
        console.print(f"{b.name} left out everywhere: it failed on paragraph {b.row!r}: {b.cause}", markup=False)
    for row in bad.examples:
        console.print(f"{row.place}: {row.reason}; left out", markup=False)
    left = f" ({bad.count} bad rows left out: {target.name}.errors.jsonl)" if bad.count else ""
    console.print(f"{analysis.rows} paragraphs -> {target}{left}", markup=False)
