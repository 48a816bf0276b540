"""The suite's own guard: nothing beyond this machine can be reached, and this machine can."""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))]
)
def test_connecting_to_another_machine_fails_at_once(method: str, family: int, address: tuple[str, int]) -> None:
    with socket.socket(family) as client, pytest.raises(RuntimeError, match="tests have no network"):
        getattr(client, method)(address)


def test_looking_up_a_name_fails_before_any_question_is_sent() -> None:
    with pytest.raises(RuntimeError, match=r"look up 'huggingface.invalid'"):
        socket.getaddrinfo("huggingface.invalid", 443)


def test_a_library_cannot_take_the_refusal_for_an_outage() -> None:
    with pytest.raises(RuntimeError, match="tests have no network"):
        urllib.request.urlopen("http://huggingface.invalid/", timeout=1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_stays_reachable(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection((host, server.getsockname()[1])):
        connection, _ = server.accept()
        connection.close()


def test_unix_sockets_stay_reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Such a socket's path may be 107 bytes long at most, which a temporary folder's can pass.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("rasd.sock")
        server.listen()
        client.connect("rasd.sock")


def test_libraries_that_would_call_home_are_told_not_to() -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    import datasets

    assert datasets.config.HF_HUB_OFFLINE
    assert str(datasets.config.HF_DATASETS_CACHE) == os.environ["HF_DATASETS_CACHE"]
