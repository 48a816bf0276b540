"""Configuration files: every one of ours loads, and what is wrong is told with the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from inference.errors import ConfigError
from training.config import Config, load_config, merge, parse_override

CONFIGS = Path(__file__).parent.parent / "configs"


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, "utf-8")
    return path


def _error(tmp_path: Path, text: str, *overrides: str) -> str:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    "path", sorted(p for p in CONFIGS.glob("*.yaml") if p.name != "topics.yaml"), ids=lambda p: p.name
)
def test_every_configuration_of_ours_loads(path: Path) -> None:
    assert isinstance(load_config(path), Config)


def test_default_yaml_lists_every_key_with_its_default() -> None:
    listed = yaml.safe_load((CONFIGS / "default.yaml").read_text("utf-8"))
    assert listed == Config().model_dump(mode="json")


def test_other_configurations_say_only_what_they_name() -> None:
    assert load_config(CONFIGS / "arabert.yaml").encoder.name == "arabert"
    assert load_config(CONFIGS / "arabert.yaml").corpus == Config().corpus


def test_without_a_file_the_defaults_hold() -> None:
    assert load_config() == Config()


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "{}"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_config(_write(tmp_path, text)) == Config()


def test_a_section_in_a_file_keeps_the_defaults_of_its_other_keys(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, "training: {epochs: 5}"))
    assert (config.training.epochs, config.training.batch_size) == (5, Config().training.batch_size)


def test_a_configuration_cannot_be_changed_after_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_config().seed = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainng: {epochs: 2}", ": unknown key 'trainng'; did you mean 'training'?"),
        ("training: {epoch: 2}", ": unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("corpus: {كلمات: 2}", ": unknown key 'corpus.كلمات'; valid: gold, gold_near_duplicate, min_words"),
        ("training: {epochs: 0}", ": training.epochs: input should be greater than 0 (got 0)"),
        ("training: {learning_rate: .nan}", ": training.learning_rate: input should be greater than 0 (got nan)"),
        (
            "labels: {label_model: snorkel}",
            ": labels.label_model: input should be 'dawid_skene' or 'majority' (got 'snorkel')",
        ),
        ("corpus: {near_duplicate: 1.5}", ": corpus.near_duplicate: input should be less than or equal to 1 (got 1.5)"),
        ("seed: many", ": seed: input should be a valid integer"),
        ("training: 3", ": training: input should be a valid dictionary"),
        ("- training", ": a mapping of keys to values is wanted, not list"),
        ("[]", ": a mapping of keys to values is wanted, not list"),
        ("training", ": a mapping of keys to values is wanted, not str"),
        ("seed: 1\ntraining: {epochs: [2\nx: 3", ", line 3: not valid YAML"),
        ("seed: \x07", ": not valid YAML"),
    ],
)
def test_a_wrong_file_is_told_with_the_key_and_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    assert _error(tmp_path, text).startswith(message)


def test_a_message_stays_short_however_much_was_given(tmp_path: Path) -> None:
    assert len(_error(tmp_path, f"seed: {list(range(5000))}")) < 200


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes("seed: 1 # عربي".encode("cp1256"))
    with pytest.raises(ConfigError, match=r"run\.yaml: not UTF-8 at byte 10; save the file as UTF-8"):
        load_config(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "none.yaml")


def test_set_overrides_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    path = _write(tmp_path, "seed: 1\ntraining: {epochs: 5, batch_size: 4}")
    config = load_config(path, ["training.epochs=1", "training.epochs=3", "seed=2"])
    assert (config.seed, config.training.epochs, config.training.batch_size) == (2, 3, 4)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("seed=7", {"seed": 7}),
        ("labels.use_metadata=false", {"labels": {"use_metadata": False}}),
        ("corpus.sources=[أخبار.jsonl, hf:x]", {"corpus": {"sources": ["أخبار.jsonl", "hf:x"]}}),
        ("output.tracking_uri=sqlite:///a=b.db", {"output": {"tracking_uri": "sqlite:///a=b.db"}}),
        (" seed =7", {"seed": 7}),
    ],
)
def test_an_override_is_read_as_yaml(text: str, parsed: object) -> None:
    assert parse_override(text) == parsed


def test_a_learning_rate_may_be_written_as_scientists_do() -> None:
    assert load_config(None, ["training.learning_rate=3e-5"]).training.learning_rate == 3e-5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set 'seed': write it as section.key=value"),
        ("=3", "--set '=3': write it as section.key=value"),
        ("seed=[1", "--set 'seed=[1': the value is not valid YAML"),
        ("training.epoch=2", "--set: unknown key 'training.epoch'; did you mean 'epochs'?"),
        ("seed.x=2", "--set: seed: input should be a valid integer"),
    ],
)
def test_a_wrong_override_is_told(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert str(caught.value).startswith(message)


def test_merging_goes_into_sections_and_leaves_both_as_they_were() -> None:
    base, over = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "b": {"z": 5}}
    assert merge(base, over) == {"a": {"x": 1, "y": 4}, "b": {"z": 5}}
    assert (base, over) == ({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "b": {"z": 5}})
