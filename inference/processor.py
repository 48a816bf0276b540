"""What the processor can do, as far as it decides how a model is served."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_VNNI = {"avx512_vnni", "avx512vnni", "avx_vnni", "avx_vnni_int8"}
GPU_PROVIDER = "CUDAExecutionProvider"
_ENV_THREADS = "RASD_THREADS"
_X86 = {"x86_64", "amd64", "i386", "i686"}


def usable_cores() -> int:
    """Give the number of cores that this process may use; a container may be given fewer than the machine has.

    ``RASD_THREADS`` of the environment says how many of them it shall use.
    """
    asked = os.environ.get(_ENV_THREADS, "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def adds_int8_exactly(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether products of 8-bit numbers are added up without overflow here.

    An x86 processor without VNNI adds them up in pairs of 16 bits, which overflow; weights of 7 bits do not. Where
    the system does not tell, the answer is no.

    Args:
        cpu_info: the system's description of its processors.
    """
    if platform.machine().lower() not in _X86:
        return True
    try:
        text = cpu_info.read_text("utf-8", "replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not _VNNI.isdisjoint(flags.split())


def onnx_providers(precision: str) -> list[str]:
    """Say where ONNX Runtime is to run a model: on the GPU where its build and the machine have one.

    Args:
        precision: the model's; products of 8-bit numbers are made on the processor in any case.
    """
    import onnxruntime as ort

    found = GPU_PROVIDER in ort.get_available_providers() and Path("/proc/driver/nvidia").exists()
    return [GPU_PROVIDER, "CPUExecutionProvider"] if found and precision == "fp32" else ["CPUExecutionProvider"]
