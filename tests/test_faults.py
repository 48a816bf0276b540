"""What goes wrong around Rasd: a full disk, a locked store, folders that may not be written, a bare environment."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference import Predictor, bulk, cli
from inference.errors import ConfigError, InputError, ModelFolderError
from inference.processor import GPU_PROVIDER, onnx_providers, usable_cores
from tests import serving, tiny
from training import store
from training.label import label_corpus

# Root may write anywhere unless it gives up the right to.
AS_ANYONE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.weak_folder(tmp_path_factory.mktemp("models") / "weak")


def write_news(path: Path, rows: int = 8) -> Path:
    lines = (json.dumps(r, ensure_ascii=False) + "\n" for r in tiny.corpus(rows))
    path.write_text("".join(lines), "utf-8")
    return path


def rasd(
    *arguments: object,
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
    before: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-m", "inference.cli", *map(str, arguments)],
        env={**(os.environ if environment is None else environment), "PYTHONPATH": str(tiny.ROOT)},
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_up_while_a_model_is_exported_leaves_nothing_half_written(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        serving.weak_folder(small_disk / "weak")
    assert caught.value.errno == errno.ENOSPC
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_during_a_bulk_run_is_told_and_leaves_nothing_corrupt(
    small_disk: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_news(tmp_path / "in.jsonl", 300)
    options = ["--model", str(model), "--input", str(source), "--output", str(small_disk / "out.jsonl")]
    assert cli.main(["predict", *options]) == 2
    assert "out.jsonl: cannot be written (No space left on device)" in capsys.readouterr().err
    assert not (small_disk / "out.jsonl").exists()
    # Once there is room, the same command does the whole of it.
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert cli.main(["predict", *options, "--resume"]) == 0
    assert len((small_disk / "out.jsonl").read_bytes().splitlines()) == 300
    assert [p.name for p in small_disk.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "models/x"), "models/x: No space left on device; free some"),
        (PermissionError(errno.EACCES, "Permission denied", "models"), "models: Permission denied; give yourself the"),
        (OSError(errno.EROFS, "Read-only file system", "mlruns"), "mlruns: Read-only file system; work in another"),
        (OSError("no number"), "no number"),
    ],
)
def test_what_the_system_will_not_do_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, told: str
) -> None:
    def failing(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", failing)
    assert cli.main(["models"]) == 2
    assert capsys.readouterr().err.startswith(f"rasd: error: {told}")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE runs (id)")
        made.commit()
    return path


def test_a_store_that_another_process_has_locked_is_told_in_seconds(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LOCK_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigError, match=r"mlflow\.db: database is locked; another process has held it"):
            store.check_store(f"sqlite:///{database}")
    store.check_store(f"sqlite:///{database}")


def test_a_store_that_is_no_database_is_told(database: Path) -> None:
    database.write_bytes(b"no database" * 99)
    with pytest.raises(ConfigError, match=r"mlflow\.db: file is not a database; move it away"):
        store.check_store(f"sqlite:///{database}")


def test_checking_a_store_that_is_not_there_yet_makes_nothing(tmp_path: Path) -> None:
    store.check_store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_every_file_of_a_model_folder_is_missed_when_it_is_damaged(tmp_path: Path, model: Path, damage: str) -> None:
    for name in sorted(p.name for p in model.iterdir()):
        folder = tmp_path / name
        shutil.copytree(model, folder)
        content = (folder / name).read_bytes()
        if damage == "missing":
            (folder / name).unlink()
        else:
            half = len(content) // 2
            flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
            (folder / name).write_bytes(content[:half] if damage == "cut" else flipped)
        # A flipped bit may leave the manifest readable, as in a comment to people; the files it names are checked.
        with (
            contextlib.suppress(ModelFolderError)
            if (name, damage) == ("manifest.json", "flipped")
            else (pytest.raises(ModelFolderError, match=name.replace(".", r"\.")))
        ):
            Predictor(folder)


def test_a_corpus_in_which_one_row_in_a_hundred_is_broken_is_labelled_but_for_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.config import load_config

    rows = [json.dumps(r, ensure_ascii=False).encode() for r in tiny.corpus(400)]
    for place, broken in zip(range(50, 400, 100), (b'{"text": "', b"\xff\xfe", b'{"text": 3}', b"[]"), strict=True):
        rows[place] = broken
    (tmp_path / "news.jsonl").write_bytes(b"\n".join(rows))
    monkeypatch.chdir(tiny.ROOT)
    label_corpus(load_config(None), source=str(tmp_path / "news.jsonl"), output=str(tmp_path / "out.jsonl"))
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 396
    told = [json.loads(line)["place"] for line in (tmp_path / "out.jsonl.errors.jsonl").read_bytes().splitlines()]
    assert [place.rpartition("line ")[2] for place in told] == ["51", "151", "251", "351"]


def test_a_clock_that_runs_backwards_changes_nothing(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_news(tmp_path / "in.jsonl", 600)
    predictor = Predictor(model)
    bulk.predict_file(predictor, source, tmp_path / "whole.jsonl")
    now = iter(range(2_000_000_000, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    answers = bulk._answers(predictor, bulk.read_rows(source))

    def stopping(*_: object) -> Iterator[object]:
        yield next(answers)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.predict_file(predictor, source, tmp_path / "out.jsonl", answers=stopping)  # type: ignore[arg-type]
    result = bulk.predict_file(predictor, source, tmp_path / "out.jsonl", resume=True)
    assert (result.resumed_after, result.seconds >= 0) == (256, True)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.fixture
def read_only(tmp_path: Path, model: Path) -> Iterator[Path]:
    """A project folder with a model, in which nothing may be written."""
    if subprocess.run([*AS_ANYONE, "true"], capture_output=True, check=False).returncode and os.geteuid() == 0:
        pytest.skip("giving up root's rights takes setpriv")
    folder = tmp_path / "project"
    shutil.copytree(tiny.ROOT / "configs", folder / "configs")
    shutil.copytree(model, folder / "models" / "weak")
    write_news(folder / "in.jsonl")
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            "predict --model weak --input in.jsonl --output out.jsonl",
            "out.jsonl: cannot be written (Permission denied)",
        ),
        ("label --input in.jsonl --output out.parquet", "out.parquet: cannot be written (Permission denied)"),
        ("models", "mlflow.db: may not be written here; work in a folder of yours"),
    ],
)
def test_in_a_folder_that_may_not_be_written_a_command_says_so(read_only: Path, arguments: str, told: str) -> None:
    done = rasd(*arguments.split(), folder=read_only, before=AS_ANYONE if os.geteuid() == 0 else ())
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert told in done.stderr


def test_a_text_is_predicted_in_a_folder_that_may_not_be_written(read_only: Path) -> None:
    done = rasd(
        "predict", "--model", "weak", tiny.TALKS, folder=read_only, before=AS_ANYONE if os.geteuid() == 0 else ()
    )
    assert (done.returncode, done.stderr) == (0, "")


BARE = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    "environment",
    [
        {**BARE},
        {**BARE, "HOME": "/nonexistent"},
        {**BARE, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {**BARE, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    ],
    ids=["no HOME", "a HOME that is not there", "the C locale", "ASCII for everything"],
)
def test_the_answer_is_the_same_in_any_environment(tmp_path: Path, model: Path, environment: dict[str, str]) -> None:
    done = rasd("predict", "--model", model, "--format", "jsonl", tiny.ARMS, environment=environment, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == Predictor(model).predict(tiny.ARMS).to_json()


def test_ray_that_is_not_installed_is_told_with_how_to_get_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    source = write_news(tmp_path / "in.jsonl")
    options = ["--model", str(model), "--input", str(source), "--output", str(tmp_path / "out.jsonl")]
    assert cli.main(["predict", "--engine", "ray", *options]) == 2
    assert "--engine ray needs Ray" in (told := capsys.readouterr().err)
    assert told.endswith("pip install 'rasd[ray]'\n")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "ray", "نص"], "--engine ray works through --input FILE into --output FILE"),
        (["--ray-address", "h:1", "نص"], "--ray-address goes with --engine ray"),
    ],
)
def test_options_of_ray_that_do_not_fit_are_told(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", *options]) == 2
    assert told in capsys.readouterr().err


def test_an_input_that_cannot_be_read_leaves_nothing_and_promises_nothing(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("id,body\n", "utf-8")
    with pytest.raises(InputError, match="no column 'text'"):
        bulk.predict_file(Predictor(model), tmp_path / "in.csv", tmp_path / "out.jsonl")
    assert "--resume" not in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_model_runs_on_a_gpu_only_where_there_is_one_and_it_is_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime as ort

    monkeypatch.setattr(ort, "get_available_providers", lambda: [GPU_PROVIDER, "CPUExecutionProvider"])
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert onnx_providers("fp32") == [GPU_PROVIDER, "CPUExecutionProvider"]
    assert onnx_providers("int8") == ["CPUExecutionProvider"]
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert onnx_providers("fp32") == ["CPUExecutionProvider"]


def test_a_worker_may_be_told_how_many_cores_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RASD_THREADS", "3")
    assert usable_cores() == 3
    monkeypatch.setenv("RASD_THREADS", "many")
    assert usable_cores() >= 1
