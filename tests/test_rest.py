"""The registered model behind MLflow's scoring server, asked by a real HTTP client on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests

from inference import Predictor
from tests import serving, tiny
from tests.waiting import free_port
from training.serving import pyfunc

# One server for the whole file: it takes seconds to start.
FIRST_ANSWER_WITHIN = 90


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    root = tmp_path_factory.mktemp("model")
    return Predictor(serving.tfidf_folder(root / "tfidf"))


@pytest.fixture(scope="module")
def address(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("rest")
    mlflow.pyfunc.save_model(root / "pyfunc", **pyfunc(predictor.folder))
    port = free_port()
    command = [sys.executable, "-m", "inference.cli", "serve", "--model", str(root / "pyfunc"), "--port", str(port)]
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=root,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": str(tiny.ROOT),
            },
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server, root / "log")
        yield url
    finally:
        # The server's workers are processes of their own; all are of the session that was started for them.
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + FIRST_ANSWER_WITHIN
    while time.monotonic() < limit and server.poll() is None:
        try:
            if requests.get(f"{url}/ping", timeout=2).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not come up:\n{log.read_text('utf-8', 'replace')}")


def ask(address: str, body: bytes | str, kind: str = "application/json") -> requests.Response:
    data = body.encode() if isinstance(body, str) else body
    return requests.post(f"{address}/invocations", data=data, headers={"Content-Type": kind}, timeout=120)


def predictions(address: str, texts: Any) -> list[dict[str, Any]]:
    answer = ask(address, json.dumps({"inputs": texts}))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def test_one_text_gets_the_answer_that_predict_gives(address: str, predictor: Predictor) -> None:
    assert predictions(address, [tiny.ARMS]) == [predictor.predict(tiny.ARMS).to_json()]


def test_many_texts_are_answered_in_order(address: str, predictor: Predictor) -> None:
    texts = [str(r["text"]) for r in tiny.corpus(48)] * 4
    assert predictions(address, texts) == [p.to_json() for p in predictor.predict(texts)]


@pytest.mark.parametrize("text", ["", "   ", "123", "\x00", "😀", "English only", "\ud800 نص"])
def test_odd_texts_are_answered(address: str, text: str) -> None:
    (found,) = predictions(address, [text])
    assert set(found["topics"]) == set(serving.WATCH_LIST.taxonomy.ids)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[1, 2", '{"inputs": ["نص"', "null", "[]", "3", '{"texts": ["نص"]}', b'{"inputs": ["\xff\xfe"]}'],
    ids=["empty", "cut", "cut list", "cut object", "null", "list", "number", "unknown key", "not UTF-8"],
)
def test_a_body_that_is_no_request_is_the_clients_error(address: str, body: str | bytes) -> None:
    answer = ask(address, body)
    assert 400 <= answer.status_code < 500, answer.text
    assert predictions(address, [tiny.ARMS])


@pytest.mark.parametrize(
    "inputs", [5, [5], [None], ["نص", 7], [["نص"]], {"a": 1}, [{"text": "نص"}], True], ids=lambda v: json.dumps(v)
)
def test_inputs_of_a_wrong_type_are_the_clients_error(address: str, inputs: object) -> None:
    answer = ask(address, json.dumps({"inputs": inputs}))
    assert 400 <= answer.status_code < 500, answer.text


def test_another_content_type_is_the_clients_error(address: str) -> None:
    assert 400 <= ask(address, tiny.ARMS, kind="text/plain").status_code < 500


def test_a_body_of_ten_megabytes_is_served(address: str) -> None:
    text = (tiny.SPORT + "\n") * (10_000_000 // len((tiny.SPORT + "\n").encode())) + tiny.ARMS
    body = json.dumps({"inputs": [text]}, ensure_ascii=False)
    assert len(body.encode()) > 9_900_000
    answer = ask(address, body)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["predictions"][0]["text"] == text


def test_fifty_clients_at_once_get_their_own_answers(address: str, predictor: Predictor) -> None:
    texts = [f"{(tiny.ARMS, tiny.TALKS, tiny.VISIT, tiny.SPORT)[i % 4]} رقم {i}" for i in range(50)]
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda t: predictions(address, [t])[0], texts))
    assert found == [p.to_json() for p in predictor.predict(texts)]
