"""What every test stands on: no network, no telemetry, no data-set cache outside a temporary folder."""

from __future__ import annotations

import atexit
import ipaddress
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# These libraries read their environment once, when they are imported: it is set before any test module is.
_CACHE = tempfile.mkdtemp(prefix="rasd-datasets-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=_CACHE)

settings.register_profile("rasd", deadline=None, max_examples=100)
settings.load_profile("rasd")


class NetworkUsedError(RuntimeError):
    """A test reached for the network; no OSError, for libraries take those for an outage and go on."""


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Let sockets reach this machine and nothing else, for the whole session."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise NetworkUsedError(f"a test tried to connect to {address!r}; tests have no network")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_local(host):
            raise NetworkUsedError(f"a test tried to look up {host!r}; tests have no network")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a whole training on a tiny encoder has run; tests read it and leave it as it is."""
    from inference.cli import main
    from tests import tiny

    folder = tiny.project(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "--config", "tiny.yaml"]) == 0
    return folder


@pytest.fixture(scope="session")
def distilled(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained project, in which its encoder was distilled on paragraphs without labels."""
    from inference.cli import main
    from tests import tiny

    folder = tmp_path_factory.mktemp("distilled") / "project"
    shutil.copytree(trained, folder)
    rows = [{"text": f"{r['text']} وكتب المراسل ذلك مساء."} for r in tiny.corpus(64)[48:]]
    (folder / "more.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["distill", "--input", "more.jsonl", *tiny.DISTILLING]) == 0
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trained project as the working folder."""
    monkeypatch.chdir(trained)
    return trained
