"""``rasd label``: weak labels for a corpus of any length, as Parquet, with the analysis of the labelling functions.

Two passes, both in batches: votes first, kept in a temporary Parquet file; then, with the label model fitted on a
sample of them, probabilities. The output takes its name only when it is whole.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as parquet
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm

from inference.errors import CorpusError, InputError
from inference.gold import gold_matrix, read_gold
from inference.reading import BadRow
from inference.taxonomy import STANCES
from training.analysis import Analysis, Counts, Disagreements, Uncovered, analyse
from training.config import Config
from training.corpus import read_source
from training.labeling import Applier, python_functions
from training.topics import WatchList, load_watch_list
from training.weak import WeakLabels, WeakModel, fit_weak_model

VoteArray = npt.NDArray[np.int8]
_BATCH = 2000
_FIT_ROWS = 100_000
_applier: Applier | None = None


def _make_applier(config: Config, watch_list: WatchList, skip_broken: bool) -> Applier:
    return Applier(
        watch_list,
        use_metadata=config.labels.use_metadata,
        extra=python_functions(config.labels.functions),
        skip_broken=skip_broken,
    )


def _start_worker(config: Config, watch_list: WatchList, skip_broken: bool) -> None:
    global _applier
    _applier = _make_applier(config, watch_list, skip_broken)


def _vote(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], VoteArray]:
    assert _applier is not None
    return rows, _applier.apply({**json.loads(r["fields"]), **r} for r in rows).matrix


def _batches(source: str, bad: list[BadRow]) -> Iterator[list[dict[str, str]]]:
    good: list[dict[str, str]] = []
    for row in read_source(source):
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        good.append(row)
        if len(good) == _BATCH:
            yield good
            good = []
    if good:
        yield good


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

    Args:
        config: for the watch list and the label model.
        source: file or folder.
        output: a ``.parquet`` or ``.jsonl`` file.
        gold: gold to score the functions on.
        as_json: print the analysis as one JSON object instead of tables.
        skip_broken: leave out a function that raises.

    Raises:
        InputError: where source or output cannot be used.
        LabelingFunctionError: where a function raises, unless ``skip_broken``.
    """
    target = Path(output)
    if target.suffix not in (".parquet", ".jsonl"):
        raise InputError(f"{output}: give a .parquet or .jsonl file for the output")
    watch_list = load_watch_list(config.topics)
    applier = _make_applier(config, watch_list, skip_broken)
    bad: list[BadRow] = []
    counts = Counts(applier.functions, watch_list.taxonomy)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        votes_file = Path(folder) / "votes.parquet"
        sample = _first_pass(config, watch_list, source, votes_file, counts, bad, skip_broken=skip_broken)
        model = fit_weak_model(sample, applier.functions, watch_list.taxonomy)
        whole = Path(folder) / target.name
        extras = _second_pass(votes_file, whole, model, counts)
        os.replace(whole, target)
    gold_votes, truth = _gold(gold, applier, watch_list)
    analysis = analyse(counts, model, gold_votes=gold_votes, gold=truth, **extras)
    show(analysis, bad, as_json=as_json, target=target)
    return analysis


def _first_pass(
    config: Config,
    watch_list: WatchList,
    source: str,
    votes_file: Path,
    counts: Counts,
    bad: list[BadRow],
    *,
    skip_broken: bool,
) -> VoteArray:
    sample: list[VoteArray] = []
    writer = None
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    start = (config, watch_list, skip_broken)
    try:
        with context.Pool(workers, _start_worker, start) as pool, tqdm(desc="Labelling", unit=" paragraphs") as bar:
            # At most a few batches are under way: imap alone would read the whole corpus ahead.
            batches = _batches(source, bad)
            while window := list(itertools.islice(batches, 2 * workers)):
                for rows, votes in pool.imap(_vote, window):
                    counts.add(votes)
                    if counts.rows <= _FIT_ROWS:
                        sample.append(votes)
                    table = _votes_table(rows, votes)
                    writer = writer or parquet.ParquetWriter(votes_file, table.schema)
                    writer.write_table(table)
                    bar.update(len(rows))
    finally:
        if writer:
            writer.close()
    if not sample:
        raise CorpusError(f"{source}: no paragraph in it that can be read")
    return np.concatenate(sample)


def _votes_table(rows: Sequence[dict[str, str]], votes: VoteArray) -> pa.Table:
    columns: dict[str, Any] = {k: [r[k] for r in rows] for k in ("id", "text", "article")}
    flat = pa.array(np.ascontiguousarray(votes).reshape(-1), pa.int8())
    columns["votes"] = pa.FixedSizeListArray.from_arrays(flat, votes.shape[1])
    return pa.table(columns)


def _second_pass(votes_file: Path, whole: Path, model: WeakModel, counts: Counts) -> dict[str, Any]:
    taxonomy = model.taxonomy
    sums = {t: np.zeros(3) for t in taxonomy.ids}
    disagreements, uncovered = Disagreements(counts.functions, taxonomy), Uncovered()
    yes = [j for j, f in enumerate(counts.functions) if not f.is_stance and 1 in f.polarity]
    writer = None
    jsonl = whole.open("w", encoding="utf-8") if whole.suffix == ".jsonl" else None
    for batch in tqdm(
        parquet.ParquetFile(votes_file).iter_batches(_BATCH), desc="Label model", total=-(-counts.rows // _BATCH)
    ):
        votes = np.asarray(batch.column("votes").flatten()).reshape(-1, len(counts.functions)).astype(np.int8)
        weak = model.predict(votes)
        ids, texts = batch.column("id").to_pylist(), batch.column("text").to_pylist()
        disagreements.add(ids, votes, weak)
        uncovered.add(texts, (votes[:, yes] == 1).any(1), weak.topics.max(1))
        for i, topic in enumerate(taxonomy.ids):
            share = np.clip(weak.topics[:, i], 1e-9, 1 - 1e-9)
            entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
            own = [j for j, f in enumerate(counts.functions) if f.topic == topic and not f.is_stance]
            sums[topic] += [(share > 0.5).sum(), (votes[:, own] == -1).all(1).sum(), entropy.sum()]
        table = _labels_table(batch, weak, taxonomy.ids)
        if jsonl:
            jsonl.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in table.to_pylist())
        else:
            writer = writer or parquet.ParquetWriter(whole, table.schema)
            writer.write_table(table)
    for handle in (writer, jsonl):
        if handle:
            handle.close()
    names = ("share_present", "share_without_vote", "mean_entropy_bits")
    topics = {t: dict(zip(names, (sums[t] / max(counts.rows, 1)).tolist(), strict=True)) for t in taxonomy.ids}
    return {"topics": topics, "disagreements": disagreements, "uncovered": uncovered}


def _labels_table(batch: pa.RecordBatch, weak: WeakLabels, topics: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {k: batch.column(k) for k in ("id", "text", "article")}
    for i, topic in enumerate(topics):
        columns[topic] = pa.array(weak.topics[:, i].astype(np.float32))
        for s, stance in enumerate(STANCES):
            columns[f"{topic}.{stance}"] = pa.array(weak.stance[:, i, s].astype(np.float32))
    return pa.table(columns)


def _gold(
    gold: str | None, applier: Applier, watch_list: WatchList
) -> tuple[VoteArray | None, npt.NDArray[np.int64] | None]:
    if gold is None:
        return None, None
    records = read_gold(gold, watch_list.taxonomy)
    votes = applier.apply({"id": r.id, "text": r.text} for r in records).matrix
    return votes, gold_matrix(records, watch_list.taxonomy)


def show(analysis: Analysis, bad: Sequence[BadRow], *, as_json: bool, target: Path) -> None:
    """Print an analysis, as tables or as one JSON object."""
    if as_json:
        rows = [{"place": b.place, "reason": b.reason} for b in bad]
        print(json.dumps({**analysis.to_json(), "bad_rows": rows}, ensure_ascii=False))
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
    for row in list(bad)[:10]:
        console.print(f"{row.place}: {row.reason}; left out", markup=False)
    console.print(f"{analysis.rows} paragraphs -> {target}" + (f" ({len(bad)} bad rows left out)" if bad else ""))
