"""Whole files: every row once, whatever stops the run, and nothing written over."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from inference import Predictor, bulk
from inference.cli import main
from inference.errors import InputError
from inference.reading import Row
from inference.records import batches
from tests import serving, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.weak_folder(tmp_path_factory.mktemp("models") / "weak")


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return Predictor(model)


def write_rows(path: Path, rows: int, bad: frozenset[int] = frozenset()) -> Path:
    texts = (tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT)
    with path.open("w", encoding="utf-8") as handle:
        for i in range(rows):
            row = "{broken" if i in bad else json.dumps({"id": i, "text": texts[i % 4]}, ensure_ascii=False)
            handle.write(row + "\n")
    return path


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def left_in(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_every_row_comes_out_in_order_with_its_own_fields(tmp_path: Path, predictor: Predictor) -> None:
    source = write_rows(tmp_path / "in.jsonl", 600)
    result = bulk.predict_file(predictor, source, tmp_path / "out.jsonl")
    rows = read_lines(tmp_path / "out.jsonl")
    assert [r["id"] for r in rows] == list(range(600))
    assert (result.rows, result.bad, result.resumed_after) == (600, 0, 0)
    assert rows[0] == {"id": 0, **predictor.predict(tiny.ARMS).to_json()}


def test_nothing_is_left_beside_the_output_of_a_run_without_bad_rows(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "out.jsonl.errors.jsonl").write_text("of an earlier run", "utf-8")
    bulk.predict_file(predictor, write_rows(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl")
    assert left_in(tmp_path) == {"in.jsonl", "out.jsonl"}


def test_a_field_that_a_prediction_has_too_is_kept_under_another_name(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": tiny.ARMS, "topics": {"arms_deal": "favor"}}), "utf-8")
    bulk.predict_file(predictor, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    (row,) = read_lines(tmp_path / "out.jsonl")
    assert row["input.topics"] == {"arms_deal": "favor"}
    assert row["topics"] == predictor.predict(tiny.ARMS).to_json()["topics"]


def test_values_that_json_does_not_have_do_not_end_the_run(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "نص \\ud800", "score": NaN}\n{"text": "نص", "n": [Infinity]}', "utf-8")
    bulk.predict_file(predictor, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    first, second = read_lines(tmp_path / "out.jsonl")
    assert (first["text"], first["score"], second["n"]) == ("نص \ud800", None, [None])


RUN = (
    "import sys; from inference import run_files; from inference.cli import main; "
    "run_files.CHECKPOINT_SECONDS = 0.0; sys.exit(main(sys.argv[1:]))"
)


def killed_run(model: Path, source: Path, output: Path, *options: str, after: int) -> None:
    """Start a run and kill it for real, once its journal counts some rows."""
    command = [sys.executable, "-c", RUN, "predict", "--model", str(model)]
    run = subprocess.Popen(
        [*command, "--input", str(source), "--output", str(output), *options],
        cwd=tiny.ROOT,
        stderr=subprocess.PIPE,
    )
    journal = output.with_name(output.name + ".journal")
    limit = time.monotonic() + 60
    while time.monotonic() < limit and run.poll() is None:
        if journal.exists():
            counted = json.loads(journal.read_text("utf-8"))
            if counted["done"] + counted["bad"] >= after:
                break
        time.sleep(0.002)
    run.kill()
    assert run.wait() == -signal.SIGKILL, run.stderr.read().decode() if run.stderr else ""


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_run_that_is_killed_twice_and_resumed_has_every_row_once(
    tmp_path: Path, model: Path, predictor: Predictor, suffix: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", 1600, bad=frozenset({7, 700, 1599}))
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    bulk.predict_file(predictor, source, whole)
    killed_run(model, source, output, after=80)
    killed_run(model, source, output, "--resume", after=400)
    assert not output.exists()
    # What a killed process was writing when it went may be cut anywhere.
    with output.with_name(output.name + ".part").open("ab") as part:
        part.write(b'{"id": 5000, "text": "half a ro')
    result = bulk.predict_file(predictor, source, output, resume=True)
    assert 400 <= result.resumed_after < 1600
    assert (result.rows, result.bad) == (1597, 3)
    assert output.read_bytes() == whole.read_bytes()
    errors, expected = (read_lines(tmp_path / f"{n}{suffix}.errors.jsonl") for n in ("out", "whole"))
    assert errors == expected
    assert left_in(tmp_path) == {f"{n}{suffix}{e}" for n in ("out", "whole") for e in ("", ".errors.jsonl")} | {
        "in.jsonl"
    }


class _Stopping(Predictor):
    """A predictor that is interrupted after some batches, as by Ctrl-C."""

    left = 2

    def predict(self, texts: object) -> object:  # type: ignore[override]
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().predict(texts)  # type: ignore[call-overload]


@pytest.fixture
def stopped(tmp_path: Path, model: Path) -> Path:
    """A folder with an input of 1000 rows and a run into ``out.jsonl`` that was interrupted."""
    source = write_rows(tmp_path / "in.jsonl", 1000)
    with pytest.raises(KeyboardInterrupt):
        bulk.predict_file(_Stopping(model), source, tmp_path / "out.jsonl")
    return tmp_path


def test_an_interrupted_run_says_how_to_go_on(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "out.jsonl" not in left_in(stopped)
    assert json.loads((stopped / "out.jsonl.journal").read_text("utf-8"))["done"] == 512


def test_without_resume_a_run_starts_over_and_says_so(
    stopped: Path, predictor: Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bulk.predict_file(predictor, stopped / "in.jsonl", stopped / "out.jsonl")
    assert (result.rows, result.resumed_after) == (1000, 0)
    assert "starting over" in capsys.readouterr().err
    assert len(read_lines(stopped / "out.jsonl")) == 1000


def test_resuming_where_nothing_was_begun_is_a_new_run(tmp_path: Path, predictor: Predictor) -> None:
    source = write_rows(tmp_path / "in.jsonl", 5)
    assert bulk.predict_file(predictor, source, tmp_path / "out.jsonl", resume=True).rows == 5


def test_an_input_that_has_changed_is_not_resumed(stopped: Path, predictor: Predictor) -> None:
    write_rows(stopped / "in.jsonl", 1001)
    with pytest.raises(InputError, match="the input has changed since that run began; start over"):
        bulk.predict_file(predictor, stopped / "in.jsonl", stopped / "out.jsonl", resume=True)


def test_a_run_is_not_resumed_with_another_model(stopped: Path) -> None:
    other = serving.tfidf_folder(stopped / "models" / "tfidf")
    with pytest.raises(InputError, match="the model has changed since that run began; start over"):
        bulk.predict_file(Predictor(other), stopped / "in.jsonl", stopped / "out.jsonl", resume=True)


@pytest.mark.parametrize("content", ["", "[]", '{"done": 3}', '{"input": "", "model": "", "done": "x"}'])
def test_a_journal_that_cannot_be_read_is_named(stopped: Path, predictor: Predictor, content: str) -> None:
    (stopped / "out.jsonl.journal").write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"out\.jsonl\.journal: not a readable journal"):
        bulk.predict_file(predictor, stopped / "in.jsonl", stopped / "out.jsonl", resume=True)


def test_rows_that_the_journal_counts_and_the_file_lacks_are_noticed(stopped: Path, predictor: Predictor) -> None:
    os.truncate(stopped / "out.jsonl.part", 100)
    with pytest.raises(InputError, match=r"out\.jsonl\.part: shorter than its journal says"):
        bulk.predict_file(predictor, stopped / "in.jsonl", stopped / "out.jsonl", resume=True)


def test_two_runs_do_not_write_one_output(tmp_path: Path, predictor: Predictor) -> None:
    fcntl = pytest.importorskip("fcntl")
    source = write_rows(tmp_path / "in.jsonl", 5)
    with (tmp_path / "out.jsonl.part").open("wb") as other:
        other.write(b"the other run's rows")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing it now"):
            bulk.predict_file(predictor, source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl.part").read_bytes() == b"the other run's rows"


@pytest.mark.parametrize("output", ["in.jsonl", "./in.jsonl", "folder/../in.jsonl", "link.jsonl", "hard.jsonl"])
def test_an_output_that_is_the_input_is_refused(tmp_path: Path, predictor: Predictor, output: str) -> None:
    source = write_rows(tmp_path / "in.jsonl", 2)
    before = source.read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    with pytest.raises(InputError, match="would be written over the input"):
        bulk.predict_file(predictor, source, tmp_path / output)
    assert source.read_bytes() == before


def test_an_output_among_the_files_of_the_input_folder_is_refused(tmp_path: Path, predictor: Predictor) -> None:
    write_rows(tmp_path / "in.jsonl", 2)
    with pytest.raises(InputError, match="over the input or among it"):
        bulk.predict_file(predictor, tmp_path, tmp_path / "out.jsonl")


def test_an_input_that_is_an_earlier_runs_errors_is_not_written_over(tmp_path: Path, predictor: Predictor) -> None:
    source = write_rows(tmp_path / "out.jsonl.errors.jsonl", 2)
    with pytest.raises(InputError, match="over the input"):
        bulk.predict_file(predictor, source, tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("output", "message"), [("nowhere/out.jsonl", "no such folder; make it first"), ("folder", "is a folder; name a")]
)
def test_an_output_that_cannot_be_is_refused_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    source = write_rows(tmp_path / "in.jsonl", 2)
    options = ["--model", "no-such-model", "--input", str(source), "--output", str(tmp_path / output)]
    assert main(["predict", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_disk_that_is_full_is_an_error_for_people(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"out\.jsonl: cannot be written \(No space left on device\)"):
        bulk.predict_file(predictor, write_rows(tmp_path / "in.jsonl", 2), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_hold_what_the_records_hold(tmp_path: Path, predictor: Predictor, suffix: str) -> None:
    rows = [{"text": tiny.ARMS, "id": 1, "tags": ["أ", "ب"]}, {"text": tiny.SPORT, "id": 2, "note": "حاشية"}]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(r) for r in rows), "utf-8")
    output = tmp_path / f"out{suffix}"
    bulk.predict_file(predictor, tmp_path / "in.jsonl", output)
    if suffix == ".csv":
        found = list(csv.DictReader(io.StringIO(output.read_text("utf-8"))))
    else:
        import pyarrow.parquet as parquet

        found = parquet.read_table(output).to_pylist()
    wanted = predictor.predict(tiny.ARMS).to_json()["topics"]["arms_deal"]
    assert [str(r["id"]) for r in found] == ["1", "2"]
    assert float(found[0]["arms_deal.probability"]) == wanted["probability"]
    assert str(found[0]["arms_deal.present"]) == "True"
    assert found[0]["arms_deal.stance"] == wanted["stance"]["label"]
    assert json.loads(found[0]["tags"]) == ["أ", "ب"]
    assert found[1]["note"] == "حاشية"
    assert json.loads(found[0]["evidence"])[0]["topic"] == "arms_deal"


class _Constant(Predictor):
    """A predictor that says of every text what it said of the first."""

    def predict(self, texts: object) -> object:  # type: ignore[override]
        self.answer = getattr(self, "answer", None) or super().predict(tiny.ARMS)
        return [self.answer for _ in texts]  # type: ignore[attr-defined]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, model: Path) -> None:
    predictor = _Constant(model)

    def peak(rows: int) -> int:
        source = write_rows(tmp_path / f"{rows}.jsonl", rows)
        tracemalloc.start()
        bulk.predict_file(predictor, source, tmp_path / f"out-{rows}.jsonl")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(300)  # tables that are made on first use
    assert peak(4800) < 1.3 * peak(600)


def test_batches_of_long_texts_are_short() -> None:
    rows = [Row("س" * 600_000) for _ in range(4)]
    assert [len(b) for b in batches(rows)] == [2, 2]


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    return stream


def test_a_line_of_standard_input_that_is_not_utf8_is_named_and_the_rest_served(
    model: Path, standard_input: io.BytesIO, capsys: pytest.CaptureFixture[str]
) -> None:
    standard_input.write(tiny.ARMS.encode() + b"\n\n\xff\xfe\n" + tiny.SPORT.encode("cp1256") + b"\n" + b"abc")
    standard_input.seek(0)
    assert main(["predict", "--model", str(model), "--format", "jsonl", "-"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == [tiny.ARMS, "abc"]
    assert "standard input, line 3: not UTF-8 at byte 1" in err
    assert "standard input, line 4: not UTF-8" in err


def test_standard_input_goes_to_a_file_too(tmp_path: Path, model: Path, standard_input: io.BytesIO) -> None:
    standard_input.write(f"{tiny.ARMS}\n{tiny.SPORT}".encode())
    standard_input.seek(0)
    options = ["--model", str(model), "--input", "-", "--output", str(tmp_path / "out.jsonl")]
    assert main(["predict", *options]) == 0
    assert [r["text"] for r in read_lines(tmp_path / "out.jsonl")] == [tiny.ARMS, tiny.SPORT]


def test_standard_input_cannot_be_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--resume", "--input", "-", "--output", "x.jsonl"]) == 2
    assert "--resume goes on with a run from --input FILE" in capsys.readouterr().err


def test_progress_says_rows_and_rate(tmp_path: Path, predictor: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    bulk.predict_file(predictor, write_rows(tmp_path / "in.jsonl", 30, bad=frozenset({4})), tmp_path / "out.jsonl")
    err = capsys.readouterr().err
    assert "in.jsonl, line 5: not valid JSON" in err
    assert "rasd: 30 rows in" in err
    assert "rows/s; 1 left out" in err
