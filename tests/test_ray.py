"""Bulk prediction over Ray: the local run's file to the byte, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inference import Predictor, bulk, ray_engine
from inference.errors import InputError, RasdError
from inference.records import Answered
from tests import ray_workers, serving, tiny

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray", reason="Ray is not installed: make test-ray installs the extra and runs these tests")

ROWS = 12 * 256


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(serving.weak_folder(tmp_path_factory.mktemp("models") / "weak"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Ray on this machine that every test of this module shares, and the mark that its workers leave."""
    mark = tmp_path_factory.mktemp("ray") / "mark"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tiny.ROOT))
        patch.setenv(ray_workers.MARK, str(mark))
        # By default they give way to every other process, for minutes on a busy machine.
        patch.setenv("RAY_worker_niceness", "0")
        ray_engine._connect(ray_engine._import_ray(), "local")
        yield mark
        ray.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = (tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT)
    path = tmp_path_factory.mktemp("input") / "in.jsonl"
    rows = (json.dumps({"id": i, "text": f"{texts[i % 4]} {i}"}, ensure_ascii=False) for i in range(ROWS))
    path.write_text("".join("{broken\n" if i % 100 == 7 else row + "\n" for i, row in enumerate(rows)), "utf-8")
    return path


@pytest.fixture(scope="module")
def whole(source: Path, predictor: Predictor) -> Path:
    """What the local run makes of it."""
    bulk.predict_file(predictor, source, source.parent / "whole.jsonl")
    return source.parent / "whole.jsonl"


def assert_same(output: Path, whole: Path) -> None:
    for ending in ("", ".errors.jsonl"):
        assert Path(f"{output}{ending}").read_bytes() == Path(f"{whole}{ending}").read_bytes()
    assert sorted(p.name for p in output.parent.iterdir()) == [output.name, f"{output.name}.errors.jsonl"]


@pytest.mark.usefixtures("cluster")
def test_the_output_is_the_local_runs_to_the_byte(
    tmp_path: Path, source: Path, whole: Path, predictor: Predictor
) -> None:
    with ray_engine.on_ray(predictor) as answers:
        result = bulk.predict_file(predictor, source, tmp_path / "out.jsonl", answers=answers)
    assert (result.rows, result.bad) == (ROWS - 31, 31)
    assert_same(tmp_path / "out.jsonl", whole)


def kill_workers() -> int:
    found = [p for p in psutil.Process().children(recursive=True) if "MapWorker" in " ".join(p.cmdline())]
    for process in found:
        process.send_signal(signal.SIGKILL)
    return len(found)


@pytest.mark.usefixtures("cluster")
def test_workers_killed_while_they_work_lose_nothing(
    tmp_path: Path, source: Path, whole: Path, predictor: Predictor
) -> None:
    killed: list[int] = []

    def killing(answers: bulk.Answers) -> bulk.Answers:
        def answer(source: Path, skip: int) -> Iterable[Answered]:
            for found in answers(source, skip):
                if not killed:
                    killed.append(kill_workers())
                yield found

        return answer

    with ray_engine.on_ray(predictor) as answers:
        bulk.predict_file(predictor, source, tmp_path / "out.jsonl", answers=killing(answers))
    assert killed[0] > 0
    assert_same(tmp_path / "out.jsonl", whole)


def test_a_worker_that_the_kernel_kills_for_want_of_memory_loses_nothing(
    tmp_path: Path, source: Path, whole: Path, predictor: Predictor, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "_Worker", ray_workers.KilledOnce)
    with ray_engine.on_ray(predictor) as answers:
        bulk.predict_file(predictor, source, tmp_path / "out.jsonl", answers=answers)
    assert cluster.exists()
    assert_same(tmp_path / "out.jsonl", whole)


@pytest.mark.usefixtures("cluster")
def test_workers_that_cannot_get_memory_stop_the_run_with_what_to_do(
    tmp_path: Path, source: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "_Worker", ray_workers.Exhausted)
    with (
        pytest.raises(RasdError, match=r"in\.jsonl: a worker ran out of memory; give Ray fewer processors"),
        ray_engine.on_ray(predictor) as answers,
    ):
        bulk.predict_file(predictor, source, tmp_path / "out.jsonl", answers=answers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cluster")
def test_a_run_that_stopped_here_goes_on_over_ray(
    tmp_path: Path, source: Path, whole: Path, predictor: Predictor
) -> None:
    output = tmp_path / "out.jsonl"

    def stopping(_: Path, __: int) -> Iterator[Answered]:
        yield from (found for found, _ in zip(bulk._answers(predictor, bulk.read_rows(source)), range(3), strict=False))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.predict_file(predictor, source, output, answers=stopping)
    with ray_engine.on_ray(predictor) as answers:
        assert bulk.predict_file(predictor, source, output, resume=True, answers=answers).resumed_after == 3 * 256
    assert_same(output, whole)


@pytest.mark.usefixtures("cluster")
def test_an_input_that_cannot_be_read_is_told_as_the_local_run_tells_it(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "in.csv").write_text("id,body\n1,x\n", "utf-8")
    with (
        pytest.raises(InputError, match=r"in\.csv: no column 'text' in the header"),
        ray_engine.on_ray(predictor) as answers,
    ):
        bulk.predict_file(predictor, tmp_path / "in.csv", tmp_path / "out.jsonl", answers=answers)


def _rasd(environment: dict[str, str], *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inference.cli", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_a_running_cluster_is_used_by_its_address(
    tmp_path: Path, source: Path, whole: Path, predictor: Predictor
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT), "RAY_worker_niceness": "0"}
    # Its sockets lie below it, and their paths must be short.
    place = tempfile.mkdtemp(prefix="ray-")
    head = ["--head", "--block", "--port=6399", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *head, f"--temp-dir={place}"]
    with (tmp_path.parent / "ray.log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        options = ["--model", predictor.folder, "--input", source, "--output", tmp_path / "out.jsonl"]
        for _ in range(20):
            done = _rasd(environment, "predict", "--engine", "ray", "--ray-address", "127.0.0.1:6399", *options)
            if done.returncode == 0 or running.poll() is not None:
                break
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)
        shutil.rmtree(place, ignore_errors=True)


def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path, source: Path, predictor: Predictor) -> None:
    options = ["--model", predictor.folder, "--input", source, "--output", tmp_path / "out.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT)}
    done = _rasd(environment, "predict", "--engine", "ray", "--ray-address", "127.0.0.1:6398", *options)
    assert done.returncode == 2
    assert "Ray at 127.0.0.1:6398: " in done.stderr
    assert "Traceback" not in done.stderr
