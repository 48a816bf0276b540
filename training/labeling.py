"""Labelling functions of every kind behind one interface, and the applier that runs them over a corpus."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.errors import ConfigError, LabelingFunctionError, RasdError
from inference.lexicon import ABSTAIN, TOPIC_VOTES, Matcher
from inference.taxonomy import STANCES, Taxonomy
from training.topics import MetadataSpec, WatchList

_CHUNK = 4096

VoteArray = npt.NDArray[np.int8]
Record = Mapping[str, Any]
"""What a labelling function sees of a paragraph: ``id``, ``text``, ``article`` and the file's other fields."""


@dataclass(frozen=True)
class LabelingFunction:
    """What the label model and the analysis know of a labelling function, whatever its kind.

    Args:
        name: unique name.
        topic: id of the topic that it votes on.
        kind: ``lexical``, ``metadata``, ``semantic``, ``document`` or ``python``.
        is_stance: whether it votes on the stance rather than on the topic's presence.
        polarity: the votes that it can give, as numbers of the vote matrix.
        accuracy: the author's guess of how often a vote is right.
        call: for functions of one record, what gives its vote; None is abstain.
        call_all: for functions of whole articles, what gives the votes of all rows from the others' votes.
        prepare: called with many records before ``call`` is with each of them, for what is done faster in batches;
            functions may share it.
    """

    name: str
    topic: str
    kind: str
    is_stance: bool
    polarity: tuple[int, ...]
    accuracy: float = 0.75
    call: Callable[[Record], str | None] | None = None
    call_all: Callable[[VoteArray, Sequence[str], Sequence[LabelingFunction]], VoteArray] | None = None
    prepare: Callable[[Sequence[Record]], None] | None = None


def labeling_function(
    topic: str, *, votes: Sequence[str] = ("yes", "no"), accuracy: float = 0.75, name: str | None = None
) -> Callable[[Callable[[Record], str | None]], LabelingFunction]:
    """Make a labelling function of a Python function that takes a record and gives a vote or None (abstain).

    Args:
        topic: id of the topic that it votes on.
        votes: the votes that it can give: among ``yes``, ``no``, or among ``favor``, ``against``, ``neutral``.
        accuracy: guess of how often a vote is right.
        name: its name; the function's own where None.

    Raises:
        ConfigError: where the votes are not of one kind.
    """
    is_stance = set(votes) <= set(STANCES)
    if not votes or not (is_stance or set(votes) <= set(TOPIC_VOTES)):
        raise ConfigError(f"votes {tuple(votes)}: give some of {TOPIC_VOTES}, or some of {STANCES}")
    symbols: Sequence[str] = STANCES if is_stance else TOPIC_VOTES

    def wrap(function: Callable[[Record], str | None]) -> LabelingFunction:
        polarity = tuple(sorted(symbols.index(v) for v in votes))
        return LabelingFunction(
            name or function.__name__, topic, "python", is_stance, polarity, accuracy, call=function
        )

    return wrap


def metadata_functions(watch_list: WatchList) -> list[LabelingFunction]:
    """Make the functions that read a watch list's votes off a record's own fields."""
    return [f for spec in watch_list.metadata for f in _of_field(spec, watch_list.taxonomy)]


def _of_field(spec: MetadataSpec, taxonomy: Taxonomy) -> list[LabelingFunction]:
    functions = []
    for topic in taxonomy.ids:
        if spec.equals:
            vote = spec.votes.get(topic)
            if vote is None:
                continue
            is_stance = vote in STANCES
            polarity: tuple[int, ...] = ((STANCES if is_stance else TOPIC_VOTES).index(vote),)
            call = _value_vote(spec.field, frozenset(spec.equals), vote)
            functions.append(
                LabelingFunction(f"{topic}.{spec.name}", topic, "metadata", is_stance, polarity, spec.accuracy, call)
            )
            continue
        for is_stance, suffix, polarity in ((False, "", (0, 1)), (True, ".stance", (0, 1, 2))):
            name = f"{topic}.{spec.name}{suffix}"
            call = _mapping_vote(spec.field, topic, is_stance=is_stance)
            functions.append(LabelingFunction(name, topic, "metadata", is_stance, polarity, spec.accuracy, call))
    return functions


def _value_vote(field: str, values: frozenset[str], vote: str) -> Callable[[Record], str | None]:
    def call(record: Record) -> str | None:
        return vote if str(record.get(field)) in values else None

    return call


def _mapping_vote(field: str, topic: str, *, is_stance: bool) -> Callable[[Record], str | None]:
    def call(record: Record) -> str | None:
        value = record.get(field)
        if not isinstance(value, Mapping):
            return None
        if is_stance:
            return value.get(topic)
        return "yes" if topic in value else "no"

    return call


def python_functions(modules: Iterable[str]) -> list[LabelingFunction]:
    """Collect the labelling functions of Python modules.

    Raises:
        ConfigError: where a module cannot be imported or holds none.
    """
    functions: dict[int, LabelingFunction] = {}
    # A console script's path begins with its own folder, while people keep their modules in the project's.
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        try:
            loaded = importlib.import_module(module)
        except Exception as error:  # a user's module may fail in any way, and not only where it imports
            cause = f"{type(error).__name__}: {error}"
            raise ConfigError(f"labels.functions: the module {module!r} cannot be imported ({cause})") from error
        own = [v for v in vars(loaded).values() if isinstance(v, LabelingFunction)]
        if not own:
            raise ConfigError(f"labels.functions: no labelling function in {module!r}; use @labeling_function")
        # One function may stand in a module under two names, or be imported by another module.
        functions |= {id(f): f for f in own}
    return list(functions.values())


@dataclass(frozen=True)
class Broken:
    """A labelling function that raised.

    Args:
        name: the function.
        row: id of the paragraph that it raised on.
        cause: the error's type and message.
    """

    name: str
    row: str
    cause: str


@dataclass(frozen=True)
class Votes:
    """The vote matrix of a corpus.

    Args:
        matrix: shape ``(rows, functions)``, int8; -1 is abstain, else a place in the class order.
        broken: functions that raised and were left out with ``skip_broken``.
    """

    matrix: npt.NDArray[np.int8]
    broken: tuple[Broken, ...] = ()


class Applier:
    """Runs every labelling function of a watch list over records.

    Args:
        watch_list: topics and lexical functions.
        use_metadata: whether metadata functions take part.
        extra: Python functions beside those of the watch list.
        skip_broken: leave out a function that raises, and say so, instead of stopping.

    Raises:
        ConfigError: where two functions share a name or one votes on an unknown topic.
    """

    def __init__(
        self,
        watch_list: WatchList,
        *,
        use_metadata: bool = True,
        extra: Sequence[LabelingFunction] = (),
        skip_broken: bool = False,
    ) -> None:
        self._matcher = Matcher(watch_list.functions)
        self._skip_broken = skip_broken
        lexical = [
            LabelingFunction(f.name, f.topic, "lexical", f.is_stance, (f.vote_value,), f.accuracy)
            for f in watch_list.functions
        ]
        metadata = metadata_functions(watch_list) if use_metadata else []
        self.functions: tuple[LabelingFunction, ...] = (*lexical, *metadata, *extra)
        names = [f.name for f in self.functions]
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise ConfigError(f"two labelling functions are called {doubled[0]!r}; give each its own name")
        for function in extra:
            watch_list.taxonomy.index(function.topic, where=f"labelling function {function.name!r}")

    def apply(self, records: Iterable[Record]) -> Votes:
        """Run every function on every record.

        Args:
            records: paragraphs with their fields.

        Raises:
            LabelingFunctionError: where a function raises or gives what is no vote, unless ``skip_broken``.
        """
        broken: dict[int, Broken] = {}
        parts = []
        articles: list[str] = []
        remaining = iter(records)
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            matrix = np.full((len(chunk), len(self.functions)), ABSTAIN, dtype=np.int8)
            lexical = self._matcher.votes([r["text"] for r in chunk])
            matrix[:, : lexical.shape[1]] = lexical
            self._call(chunk, matrix, broken)
            parts.append(matrix)
            articles.extend(str(r.get("article") or "") for r in chunk)
        whole = np.concatenate(parts) if parts else np.empty((0, len(self.functions)), dtype=np.int8)
        whole[:, list(broken)] = ABSTAIN
        for j, function in enumerate(self.functions):
            if function.call_all is not None:
                whole[:, j] = function.call_all(whole, articles, self.functions)
        return Votes(whole, tuple(broken.values()))

    def _call(self, chunk: Sequence[Record], matrix: npt.NDArray[np.int8], broken: dict[int, Broken]) -> None:
        for prepare in dict.fromkeys(f.prepare for f in self.functions if f.prepare is not None):
            prepare(chunk)
        for j, function in enumerate(self.functions):
            if function.call is None or j in broken:
                continue
            for row, record in zip(matrix, chunk, strict=True):
                try:
                    row[j] = _vote(function, record)
                except Exception as error:  # whatever a user's function raises is reported with its place
                    broken[j] = Broken(function.name, str(record.get("id")), f"{type(error).__name__}: {error}")
                    if not self._skip_broken:
                        raise _broken_error(broken[j]) from error
                    break


def _vote(function: LabelingFunction, record: Record) -> int:
    assert function.call is not None
    vote = function.call(record)
    if vote is None:
        return ABSTAIN
    symbols: Sequence[str] = STANCES if function.is_stance else TOPIC_VOTES
    if vote not in symbols:
        raise RasdError(f"gave {vote!r}, which is no vote; give one of {', '.join(symbols)} or None")
    if (value := symbols.index(vote)) not in function.polarity:
        raise RasdError(f"gave {vote!r}, which its own votes={[symbols[v] for v in function.polarity]} leaves out")
    return value


def _broken_error(broken: Broken) -> LabelingFunctionError:
    return LabelingFunctionError(
        f"labelling function {broken.name!r} failed on paragraph {broken.row!r}: {broken.cause}; "
        "mend it, or leave it out with --skip-broken"
    )
