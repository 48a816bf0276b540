"""Seconds and peak memory of a command, run as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A process that a large one starts counts the large one's memory as its peak; a small one stands between.
_MEASURED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
running = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
_, status, used = os.wait4(running.pid, 0)
found = {"seconds": time.perf_counter() - start, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss}
with open(sys.argv[1], "w") as out:
    json.dump({**found, "code": os.waitstatus_to_exitcode(status)}, out)
"""
_KIB = 1024


@dataclass(frozen=True)
class Used:
    """What a process took.

    Args:
        seconds: of the clock, from start to end.
        cpu_seconds: of all processors.
        peak_mb: largest resident memory, of the process itself.
        code: its exit code; less than nothing for a signal.
        log: the end of what it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    code: int
    log: str

    @property
    def reason(self) -> str:
        """The line of the log that most likely says why the process failed."""
        lines = [line.strip() for line in self.log.replace("\r", "\n").splitlines() if line.strip()]
        told = [line for line in lines if "Error" in line] or lines
        return told[-1] if told else f"exit code {self.code}"


def run(command: Sequence[str], *, work: Path, environment: Mapping[str, str] | None = None) -> Used:
    """Run a command to its end and give what it took.

    Args:
        command: the program and its arguments.
        work: folder that it runs in.
        environment: variables beside those of this process. The checkout is on Python's path.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    figures = work / ".used.json"
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(figures), *command],
        cwd=work,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=True,
    )
    found = json.loads(figures.read_text("utf-8"))
    return Used(found["seconds"], found["cpu"], found["peak"] / _KIB, found["code"], done.stderr[-2000:])
