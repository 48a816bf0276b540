"""The watch list file: topics, word lists and labelling functions, compiled for the matcher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from inference.errors import ConfigError, nearest
from inference.lexicon import LexicalFunction, Matcher
from inference.taxonomy import Taxonomy, Topic
from training.config import Section, read_yaml, validate


class FunctionSpec(Section):
    """One lexical labelling function as the YAML writes it; see the head of ``configs/topics.yaml``."""

    name: str
    vote: Literal["yes", "no", "favor", "against", "neutral"]
    terms: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    within: int = Field(6, ge=1)
    unless: tuple[str, ...] = ()
    unless_within: int = Field(0, ge=0)
    negation: Literal["ignore", "skip", "only"] = "ignore"
    at_least: int = Field(1, ge=1)
    accuracy: float = Field(0.75, gt=0.0, lt=1.0)

    @field_validator("terms", "absent", "near", "unless", mode="before")
    @classmethod
    def _words_are_strings(cls, value: object) -> object:
        # A bare number in the YAML (a weapon's type, say) is meant as a word.
        return tuple(str(v) if isinstance(v, int) else v for v in value) if isinstance(value, list) else value


class TopicSpec(Section):
    """One topic of the watch list."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: Mapping[Literal["ar", "en"], str]
    target: str
    words: Mapping[str, tuple[str, ...]] = {}
    functions: tuple[FunctionSpec, ...] = ()
    stance: tuple[FunctionSpec, ...] = ()
    prototypes: tuple[str, ...] = ()


class SharedSpec(Section):
    """Word lists for all topics, and functions that are made once for each topic."""

    words: Mapping[str, tuple[str, ...]] = {}
    functions: tuple[FunctionSpec, ...] = ()
    stance: tuple[FunctionSpec, ...] = ()
    prototypes: tuple[str, ...] = ()


class MetadataSpec(Section):
    """A vote read from a record's field: a mapping of topics to stances, or a value that stands for votes."""

    name: str
    field: str
    accuracy: float = Field(0.9, gt=0.0, lt=1.0)
    equals: tuple[str, ...] = ()
    votes: Mapping[str, Literal["yes", "no", "favor", "against", "neutral"]] = {}


class WatchListSpec(Section):
    """The whole file."""

    version: Literal[1]
    topics: tuple[TopicSpec, ...] = Field(min_length=1)
    shared: SharedSpec = SharedSpec()
    metadata: tuple[MetadataSpec, ...] = ()


@dataclass(frozen=True)
class WatchList:
    """The compiled watch list.

    Args:
        taxonomy: the topics in order.
        functions: every lexical function, shared ones written out for each topic.
        metadata: votes from record fields.
        prototypes: topic id to sentences that stand for it; only topics that have some.
        contrast: sentences of everyday news, to hold the prototypes against.
    """

    taxonomy: Taxonomy
    functions: tuple[LexicalFunction, ...]
    metadata: tuple[MetadataSpec, ...]
    prototypes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contrast: tuple[str, ...] = ()


def load_watch_list(path: str | Path) -> WatchList:
    """Read and compile a watch list.

    Raises:
        ConfigError: where anything in it is unknown, doubled or cannot be compiled; the file and key are named.
    """
    spec = validate(WatchListSpec, read_yaml(path), where=str(path))
    topics = tuple(Topic(t.id, t.name.get("ar", t.id), t.name.get("en", t.id), t.target) for t in spec.topics)
    functions: list[LexicalFunction] = []
    for topic in spec.topics:
        words = {**spec.shared.words, **topic.words}
        own = [*topic.functions, *topic.stance]
        shared = [*spec.shared.functions, *spec.shared.stance]
        for function in own:
            functions.append(_compile(function, topic.id, words, name=function.name, path=path))
        for function in shared:
            functions.append(_compile(function, topic.id, words, name=f"{topic.id}.{function.name}", path=path))
    _check(functions, spec, topics, path)
    try:
        Matcher(functions)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    prototypes = {t.id: t.prototypes for t in spec.topics if t.prototypes}
    return WatchList(Taxonomy(topics), tuple(functions), spec.metadata, prototypes, spec.shared.prototypes)


def _check(functions: list[LexicalFunction], spec: WatchListSpec, topics: tuple[Topic, ...], path: str | Path) -> None:
    for kind, names in (("topic", [t.id for t in topics]), ("labelling function", [f.name for f in functions])):
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise ConfigError(f"{path}: two {kind}s are called {doubled[0]!r}; give each its own name")
    ids = [t.id for t in topics]
    for metadata in spec.metadata:
        if bool(metadata.equals) != bool(metadata.votes):
            raise ConfigError(f"{path}: metadata {metadata.name!r}: equals and votes go together; give both or neither")
        for topic in metadata.votes:
            if topic not in ids:
                raise ConfigError(f"{path}: metadata {metadata.name!r}: unknown topic {topic!r}{nearest(topic, ids)}")


def _compile(
    spec: FunctionSpec, topic: str, words: Mapping[str, tuple[str, ...]], *, name: str, path: str | Path
) -> LexicalFunction:
    where = f"{path}: labelling function {name!r}"
    if bool(spec.terms) == bool(spec.absent):
        raise ConfigError(f"{where}: give either terms or absent")
    lists = {
        key: tuple(t for term in getattr(spec, key) for t in _resolve(term, words, where=where))
        for key in ("terms", "absent", "near", "unless")
    }
    if not (lists["terms"] or lists["absent"]):
        raise ConfigError(f"{where}: its word lists are empty, so it could never vote")
    return LexicalFunction(
        name=name,
        topic=topic,
        vote=spec.vote,
        within=spec.within,
        unless_within=spec.unless_within,
        negation=spec.negation,
        at_least=spec.at_least,
        accuracy=spec.accuracy,
        **lists,
    )


def _resolve(term: str, words: Mapping[str, tuple[str, ...]], *, where: str, seen: tuple[str, ...] = ()) -> list[str]:
    for position, part in enumerate(parts := term.split()):
        if not part.startswith("$"):
            continue
        name = part[1:]
        if name not in words:
            raise ConfigError(f"{where}: no word list is called {name!r}{nearest(name, words)}")
        if name in seen:
            raise ConfigError(f"{where}: the word list {name!r} contains itself")
        resolved = []
        for word in words[name]:
            # Only the list's own entries may not name it again; the rest of the phrase may.
            for entry in _resolve(word, words, where=where, seen=(*seen, name)):
                text = " ".join([*parts[:position], entry, *parts[position + 1 :]])
                resolved.extend(_resolve(text, words, where=where, seen=seen))
        return resolved
    return [term]
