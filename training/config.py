"""Configuration: YAML files read into frozen models; what is unknown is refused with the nearest valid name."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.errors import ConfigError, nearest

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """Base of every configuration section: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CorpusConfig(Section):
    """Where paragraphs come from and which are left out."""

    sources: tuple[str, ...] = ("seeds/articles", "seeds/paragraphs")
    gold: str = "seeds/gold.jsonl"
    near_duplicate: float = Field(0.7, gt=0, le=1)
    gold_near_duplicate: float = Field(0.5, gt=0, le=1)
    min_words: int = Field(5, ge=0)
    share: float = Field(1.0, gt=0, le=1)


class LabelsConfig(Section):
    """How weak labels are made."""

    use_metadata: bool = True
    functions: tuple[str, ...] = ()
    semantic: bool = False
    document: bool = False
    label_model: Literal["dawid_skene", "majority"] = "dawid_skene"
    skip_broken: bool = False
    teacher: str = ""


class FeedConfig(Section):
    """What is expected of the feed that the models will read: shares of the stances where a topic is present."""

    favor: float = Field(0.28, gt=0, lt=1)
    against: float = Field(0.2, gt=0, lt=1)
    neutral: float = Field(0.52, gt=0, lt=1)

    @property
    def shares(self) -> tuple[float, float, float]:
        """The shares in the order of the stances, summing to 1."""
        total = self.favor + self.against + self.neutral
        return self.favor / total, self.against / total, self.neutral / total


class EncoderConfig(Section):
    """Which pretrained encoder is fine-tuned."""

    name: str = "embedded"
    max_tokens: int = Field(256, ge=16, le=512)


class TrainingConfig(Section):
    """How the encoder is fine-tuned."""

    epochs: float = Field(3, gt=0)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    head_learning_rate: float = Field(1e-3, gt=0)
    freeze_layers: int = Field(6, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    stance_weight: float = Field(1.0, ge=0)
    expert_share: float = Field(1.0, ge=0)
    clean_epochs: int = Field(0, ge=0)
    validation: float = Field(0.1, gt=0, lt=0.5)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    patience: int = Field(2, ge=1)
    checkpoint_minutes: float = Field(2, ge=0)
    frozen_cache_gb: float = Field(4, ge=0)
    gradient_checkpointing: bool = False


class DistillConfig(Section):
    """How ``rasd distill`` makes the fast model, and the cascade."""

    layers: int = Field(1, ge=1)
    epochs: float = Field(4, gt=0)
    learning_rate: float = Field(2e-4, gt=0)
    most: int = Field(12000, ge=1)
    keep: float = Field(0.99, gt=0, le=1)
    sources: tuple[str, ...] = ()


class OutputConfig(Section):
    """Where models and runs go."""

    models: str = "models"
    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "rasd"


class Config(Section):
    """The whole configuration of a run; ``configs/default.yaml`` lists every key with its default."""

    topics: str = "configs/topics.yaml"
    seed: int = Field(13, ge=0)
    corpus: CorpusConfig = CorpusConfig()
    feed: FeedConfig = FeedConfig()
    labels: LabelsConfig = LabelsConfig()
    encoder: EncoderConfig = EncoderConfig()
    training: TrainingConfig = TrainingConfig()
    distill: DistillConfig = DistillConfig()
    output: OutputConfig = OutputConfig()


def read_yaml(path: str | Path) -> Any:
    """Read one YAML file.

    Raises:
        ConfigError: where it cannot be read or is not YAML; file and line are named.
    """
    path = Path(path)
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)})") from None


def validate(model: type[S], data: Any, *, where: str) -> S:
    """Validate data against a model, with errors that name the file, the key and the nearest valid key.

    Raises:
        ConfigError: on the first thing that is wrong.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: a mapping of keys to values is wanted, not {type(data).__name__}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt key is also a missing one: the spelling is what to say.
        problem = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            valid = _keys_at(model, problem["loc"][:-1])
            hint = nearest(str(problem["loc"][-1]), valid)
            raise ConfigError(f"{where}: unknown key {key!r}{hint}") from None
        # Of a missing key the input is all that stands around it, and that can be pages.
        got = "" if problem["type"] == "missing" else f" (got {reprlib.repr(problem['input'])})"
        raise ConfigError(f"{where}: {key}: {problem['msg'].lower()}{got}") from None


def _keys_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        current = next(a for a in inner if isinstance(a, type) and issubclass(a, BaseModel))
    return list(current.model_fields)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Read one ``a.b=c`` of ``--set``; the value is read as YAML.

    Raises:
        ConfigError: where there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r}: write it as section.key=value, such as training.epochs=2")
    try:
        parsed: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text!r}: the value is not valid YAML") from None
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Give the resolved configuration of a run.

    Args:
        path: a YAML file that says what differs from the defaults; None for the defaults.
        overrides: ``a.b=c`` strings, laid over the file.

    Raises:
        ConfigError: on an unknown key, a wrong value or an unreadable file.
    """
    data: dict[str, Any] = {}
    where = "--set"
    if path is not None:
        read = read_yaml(path)
        data = validate(Config, {} if read is None else read, where=str(path)).model_dump(exclude_unset=True)
        where = f"{path} with --set"
    for text in overrides:
        data = merge(data, parse_override(text))
    return validate(Config, data, where=where)
