"""A port for a process that a test starts, and waiting for it."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from typing import Any

_LONGEST = 500
_UP_WITHIN = 240


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def end_of(process: subprocess.Popen[str]) -> str:
    """What a process said, once it has ended well."""
    try:
        said = process.communicate(timeout=_LONGEST)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    return said


def until_up(address: str, server: subprocess.Popen[Any]) -> None:
    """Wait until an MLflow server answers."""
    end = time.monotonic() + _UP_WITHIN
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended before it was up"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"the server was not up after {_UP_WITHIN} s")
