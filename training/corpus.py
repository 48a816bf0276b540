"""The corpus: paragraphs from files, folders or a hub, without duplicates and without anything of gold."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value, concatenate_datasets, load_dataset

from inference.errors import CorpusError, InputError
from inference.reading import BadRow, list_files, read_file
from inference.text import WORD, fold
from training.articles import split_page
from training.config import CorpusConfig
from training.dedup import drop_duplicates

log = logging.getLogger(__name__)

FEATURES = Features(
    {"id": Value("string"), "text": Value("string"), "article": Value("string"), "fields": Value("string")}
)
_HUB = "hf:"


@dataclass(frozen=True)
class Corpus:
    """The paragraphs that are trained on.

    Args:
        data: columns ``id``, ``text``, ``article`` and ``fields`` (the record's other fields, as JSON).
        read: how many paragraphs were read.
        dropped: reason to how many were left out for it.
        bad_rows: rows that could not be read.
        digest: sha256 over ids and texts.
    """

    data: Dataset
    read: int
    dropped: Mapping[str, int]
    bad_rows: tuple[BadRow, ...]
    digest: str

    def records(self) -> Iterator[dict[str, Any]]:
        """Give the paragraphs as labelling functions see them, with their other fields."""
        return ({**fields_of(row), **row} for row in self.data)


def fields_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give a corpus row's other fields, as they stood in its file."""
    return dict(json.loads(row["fields"]))


def paragraph_id(text: str) -> str:
    """Give the id of a text that came without one: the start of its sha1."""
    return hashlib.sha1(text.strip().encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:12]


def read_source(source: str) -> Iterator[dict[str, str] | BadRow]:
    """Read one source, paragraph by paragraph.

    A ``.txt`` file is a page: it is split into articles and its furniture is left out. The other formats hold a
    paragraph a row. A file of a folder that cannot be read is one bad row.

    Args:
        source: file or folder.

    Raises:
        InputError: where it cannot be read at all.
    """
    alone = not Path(source).is_dir()
    for path in list_files(source):
        if path.suffix.lower() == ".txt":
            yield from _read_page(path, alone=alone)
            continue
        for row in read_file(path, alone=alone):
            if isinstance(row, BadRow):
                yield row
                continue
            fields = {k: v for k, v in row.fields.items() if k not in ("id", "article")}
            yield {
                "id": str(row.fields.get("id") or paragraph_id(row.text)),
                "text": row.text.encode("utf-8", "replace").decode("utf-8"),
                "article": str(row.fields.get("article") or ""),
                "fields": json.dumps(fields, ensure_ascii=False, default=str),
            }


def _read_page(path: Path, *, alone: bool) -> Iterator[dict[str, str] | BadRow]:
    try:
        page = path.read_text("utf-8-sig")
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        if alone:
            raise InputError(f"{path}: {reason}") from None
        yield BadRow(str(path), f"{reason}; the file is left out")
        return
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        yield BadRow(f"{path}, line {line}", "not UTF-8; the whole page is left out")
        return
    for number, article in enumerate(split_page(page), 1):
        name = f"{path.stem}-{number}"
        for part in article.paragraphs:
            yield {"id": paragraph_id(part.text), "text": part.text, "article": name, "fields": "{}"}


def _from_hub(name: str) -> Dataset:
    repo, _, split = name.partition(":")
    try:
        data = load_dataset(repo, split=split or "train")
    except Exception as error:  # the hub client raises many families of errors; all mean that it cannot be had
        raise CorpusError(
            f"{_HUB}{name}: cannot be loaded from the hub ({type(error).__name__}: {str(error)[:200]}); "
            "check the name and the network, or give a local file or folder"
        ) from None
    if "text" not in data.column_names:
        raise CorpusError(f"{_HUB}{name}: no column 'text' among {', '.join(data.column_names)}")
    rest = [c for c in data.column_names if c not in ("id", "text", "article")]

    def convert(row: dict[str, Any]) -> dict[str, str]:
        fields = {c: row[c] for c in rest}
        return {
            "id": str(row.get("id") or paragraph_id(row["text"])),
            "text": row["text"],
            "article": str(row.get("article") or ""),
            "fields": json.dumps(fields, ensure_ascii=False, default=str),
        }

    return data.map(convert, remove_columns=data.column_names, features=FEATURES, desc="Reading the hub's rows")


def load_corpus(config: CorpusConfig, *, gold_texts: Sequence[str] = (), seed: int = 0) -> Corpus:
    """Read every source and drop what must not be trained on.

    Args:
        config: the sources and thresholds.
        gold_texts: texts of gold; none of them, nor a near-duplicate, stays in.
        seed: for the draw, where only a share of the paragraphs is used.

    Raises:
        CorpusError: where nothing usable is left.
        InputError: where a source cannot be read at all.
    """
    parts: list[Dataset] = []
    bad: list[BadRow] = []
    for source in config.sources:
        if source.startswith(_HUB):
            parts.append(_from_hub(source[len(_HUB) :]))
            continue
        rows = []
        for row in read_source(source):
            if isinstance(row, BadRow):
                bad.append(row)
                log.warning("%s: %s; left out", row.place, row.reason)
            else:
                rows.append(row)
        if rows:
            parts.append(Dataset.from_list(rows, features=FEATURES))
    listed = ", ".join(config.sources) or "no source"
    parts = [p for p in parts if len(p)]
    if not parts:
        raise CorpusError(f"{listed}: no usable paragraph among 0; check corpus.sources")
    data = concatenate_datasets(parts)
    read = len(data)
    texts: list[str] = data["text"][:]
    short = [len(WORD.findall(fold(t))) < config.min_words for t in texts]
    repeats, resembles = drop_duplicates(
        texts, threshold=config.near_duplicate, against=gold_texts, against_threshold=config.gold_near_duplicate
    )
    keep = [i for i in range(read) if not (short[i] or repeats[i] or resembles[i])]
    dropped = {
        "shorter than min_words": sum(short),
        "near-duplicate of another": int(repeats.sum()),
        "in gold, or nearly": int(resembles.sum()),
    }
    if not keep:
        raise CorpusError(f"{listed}: no usable paragraph among {read} (left out: {dropped}); check corpus.sources")
    if config.share < 1:
        drawn = np.random.default_rng(seed).permutation(len(keep))[: max(1, round(config.share * len(keep)))]
        dropped["not drawn"] = len(keep) - len(drawn)
        keep = [keep[i] for i in sorted(drawn)]
    data = data.select(keep)
    return Corpus(data, read, dropped, tuple(bad), digest_rows(zip(data["id"], data["text"], strict=True)))


def digest_rows(rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]] | zip[tuple[str, str]]) -> str:
    """Give a sha256 over rows of strings, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(list(row), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()
