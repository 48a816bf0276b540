"""What a measurement was made on: processor, cores, memory, load, Python, and the packages that matter."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

_CPU_INFO = Path("/proc/cpuinfo")
_GIB = 1 << 30


def one_core() -> None:
    """Let libraries that count on threads of their own use one; to be called before they are imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def machine(*packages: str) -> dict[str, Any]:
    """Name the machine and the versions that a figure depends on.

    Args:
        packages: distributions whose versions matter; one that is not installed is left out.

    Returns:
        ``processor``, ``cores`` (usable), ``memory_gib``, ``load`` (of the last minute, before the measurement),
        ``system``, ``python``, and ``packages``.
    """
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions,
    }


def in_a_line(found: dict[str, Any]) -> str:
    """Give what :func:`machine` found as one line for the head of a table."""
    versions = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    start = f"{found['processor']}, {found['cores']} cores, load {found['load']}, Python {found['python']}"
    return f"{start}, {versions}" if versions else start


def give(report: dict[str, Any], target: Path | None) -> None:
    """Write a report as JSON to a file, or print it where none was named."""
    text = json.dumps(report, ensure_ascii=False, indent=1)
    if target:
        target.write_text(text + "\n", "utf-8")
    else:
        print(text)


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1)
